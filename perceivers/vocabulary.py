"""The token table: which integer stands for which musical event, and its fingerprint.

Everything that depends on token numbers derives from this one table.
"""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from perceivers.events import CHORD_S

if TYPE_CHECKING:  # the stage, which has no arrays, need not load numpy
    import numpy as np
    from numpy.typing import NDArray

STEPS_PER_SECOND = 100  # the time grid: 10 ms
CHORD_STEPS = round(CHORD_S * STEPS_PER_SECOND)
MAX_SHIFT_STEPS = 100  # the longest single time-shift: 1 s
VELOCITY_BINS = 32
VELOCITIES_PER_BIN = 128 // VELOCITY_BINS
PITCHES = 128


class Kind(StrEnum):
    """What a token says."""

    PAD = "pad"
    BOS = "bos"
    EOS = "eos"
    TAG = "tag"
    NOTE_ON = "note_on"
    NOTE_OFF = "note_off"
    TIME_SHIFT = "time_shift"
    VELOCITY = "velocity"
    PEDAL_DOWN = "pedal_down"
    PEDAL_UP = "pedal_up"


class Source(StrEnum):
    """How a performance was captured; its tag follows BOS."""

    DISKLAVIER = "disklavier"
    PIANO_ROLL = "piano_roll"
    TRANSCRIPTION = "transcription"
    UNKNOWN = "unknown"


class Flavour(StrEnum):
    """How a performance is said in tokens: which kinds are used, and what they mean.

    Both flavours have the same token numbers, so that model and training are the same code; but
    tokens, checkpoints and figures of one mean nothing in the other, and their fingerprints differ.
    """

    EVENTS = "events"
    """What keys and pedal do: the language of the Performer."""
    SUSTAIN_388 = "sustain-388"
    """What sounds: the pedal is in the note ends; see `perceivers/sustain.py`."""


KINDS_OF_FLAVOUR = {
    Flavour.EVENTS: frozenset(Kind),
    Flavour.SUSTAIN_388: frozenset((Kind.NOTE_ON, Kind.NOTE_OFF, Kind.TIME_SHIFT, Kind.VELOCITY)),
}
"""The kinds of token that a model of each flavour may have to predict."""


@dataclass(frozen=True, slots=True)
class TokenRange:
    """The consecutive tokens of one kind: `start` … `start + size - 1`."""

    kind: Kind
    start: int
    size: int

    @property
    def stop(self) -> int:
        """One past the last token."""
        return self.start + self.size


_SIZES = (
    (Kind.PAD, 1),
    (Kind.BOS, 1),
    (Kind.EOS, 1),
    (Kind.TAG, len(Source)),
    (Kind.NOTE_ON, PITCHES),
    (Kind.NOTE_OFF, PITCHES),
    (Kind.TIME_SHIFT, MAX_SHIFT_STEPS),
    (Kind.VELOCITY, VELOCITY_BINS),
    (Kind.PEDAL_DOWN, 1),
    (Kind.PEDAL_UP, 1),
)


def _ranges() -> dict[Kind, TokenRange]:
    ranges = {}
    start = 0
    for kind, size in _SIZES:
        ranges[kind] = TokenRange(kind, start, size)
        start += size
    return ranges


RANGES = _ranges()
VOCABULARY_SIZE = sum(size for _, size in _SIZES)

PAD = RANGES[Kind.PAD].start
BOS = RANGES[Kind.BOS].start
EOS = RANGES[Kind.EOS].start
NOTE_ON = RANGES[Kind.NOTE_ON].start
NOTE_OFF = RANGES[Kind.NOTE_OFF].start
TIME_SHIFT = RANGES[Kind.TIME_SHIFT].start
VELOCITY = RANGES[Kind.VELOCITY].start
PEDAL_DOWN = RANGES[Kind.PEDAL_DOWN].start
PEDAL_UP = RANGES[Kind.PEDAL_UP].start

_KIND_OF_TOKEN = tuple(kind for kind, size in _SIZES for _ in range(size))


def kind_of(token: int) -> Kind:
    """Return what `token` says. Raises ValueError outside the vocabulary."""
    if not 0 <= token < VOCABULARY_SIZE:
        raise ValueError(f"token must be in range 0..{VOCABULARY_SIZE - 1}, not {token}")
    return _KIND_OF_TOKEN[token]


def is_kind(tokens: "NDArray[np.integer]", kind: Kind) -> "NDArray[np.bool_]":
    """Tell which of some tokens, an array of any shape, are of a kind."""
    found = RANGES[kind]
    return (tokens >= found.start) & (tokens < found.stop)


def tag_of(source: Source) -> int:
    """Return the tag token of a kind of source."""
    return RANGES[Kind.TAG].start + list(Source).index(source)


def shift_token(steps: int) -> int:
    """Return the token that lets `steps` (1…MAX_SHIFT_STEPS) of time pass."""
    if not 1 <= steps <= MAX_SHIFT_STEPS:
        raise ValueError(f"a time-shift has 1..{MAX_SHIFT_STEPS} steps, not {steps}")
    return TIME_SHIFT + steps - 1


def steps_passed(tokens: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """Return how much time each of some tokens lets pass, in steps; only time-shifts do."""
    return (tokens - TIME_SHIFT + 1) * is_kind(tokens, Kind.TIME_SHIFT)


def velocity_bin(velocity: int) -> int:
    """Return the bin (0…31) of a MIDI velocity (1…127)."""
    return velocity // VELOCITIES_PER_BIN


def velocity_of(bin_index: int) -> int:
    """Return the MIDI velocity in the middle of a bin."""
    return bin_index * VELOCITIES_PER_BIN + VELOCITIES_PER_BIN // 2


def predictable_tokens(flavour: Flavour) -> tuple[int, ...]:
    """Return the tokens that a model of a flavour may have to predict, in order."""
    kinds = KINDS_OF_FLAVOUR[flavour]
    return tuple(token for token, kind in enumerate(_KIND_OF_TOKEN) if kind in kinds)


def fingerprint(flavour: Flavour = Flavour.EVENTS) -> str:
    """Return a short hash of the table: equal for equal vocabularies, and only for those."""
    table: dict[str, object] = {
        "kinds": [[kind.value, size] for kind, size in _SIZES],
        "sources": [source.value for source in Source],
        "steps_per_second": STEPS_PER_SECOND,
        "velocity_of_bin": [velocity_of(index) for index in range(VELOCITY_BINS)],
    }
    if flavour is not Flavour.EVENTS:
        table["flavour"] = flavour.value
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:16]


def flavour_of(found: str) -> Flavour | None:
    """Return the flavour that has a fingerprint, None for that of another vocabulary."""
    return next((flavour for flavour in Flavour if fingerprint(flavour) == found), None)
