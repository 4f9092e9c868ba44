"""Repetition: where the chords struck last were struck before, and what going on that way costs."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from perceivers import vocabulary as v
from perceivers.events import CHORD_S

WINDOW_CHORDS = 1024
"""How far back a repetition is noticed: minutes."""
TOGETHER_S = CHORD_S + 0.5 / v.STEPS_PER_SECOND
"""Notes struck so soon after the first of a chord belong to it, in whatever order they come."""

Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]

_WORDS = v.PITCHES // 64  # a chord is a column of so many words, a bit for each pitch
_PITCHES = np.arange(v.PITCHES)
_BITS = np.zeros((v.PITCHES, _WORDS, 1), "<u8")
_BITS[_PITCHES, _PITCHES // 64, 0] = np.uint64(1) << (_PITCHES % 64).astype(np.uint64)


def _column(pitches: frozenset[int]) -> Bits:
    """Return a chord as a column of bits, shape (_WORDS, 1)."""
    column: Bits = np.bitwise_or.reduce(_BITS[list(pitches)], axis=0)
    return column


@dataclass(frozen=True, slots=True, eq=False)
class StruckChords:
    """The chords struck last, each compared with the newest; a value, so that one can go back.

    A chord is what is struck together, a single note too.
    """

    chords: Bits = field(default_factory=lambda: np.zeros((_WORDS, WINDOW_CHORDS), "<u8"))
    """(_WORDS, WINDOW_CHORDS): those that are over, oldest first."""
    runs: Ints = field(default_factory=lambda: np.zeros(WINDOW_CHORDS, np.int64))
    """(WINDOW_CHORDS,): so many notes, up to and with this chord, are the last ones of `chords`
    again; 0 for the last itself."""
    longest: int = 0  # of the runs
    sounding: frozenset[int] = frozenset()
    """What was struck of a chord that may not be over."""
    since_s: float = 0.0

    def at(self, time_s: float) -> "StruckChords":
        """Return what is known at an instant: a chord may be over by then."""
        if not self.sounding or time_s - self.since_s <= TOGETHER_S:
            return self
        over = _column(self.sounding)
        chords = np.concatenate((self.chords[:, 1:], over), axis=1)
        runs = (self.runs + len(self.sounding)) * (chords == over).all(axis=0)
        runs[-1] = 0
        return StruckChords(chords, runs, int(runs.max()))

    def then(self, time_s: float, pitch: int) -> "StruckChords":
        """Return what is known after one more note."""
        before = self.at(time_s)
        since_s = before.since_s if before.sounding else time_s
        return replace(before, sounding=before.sounding | {pitch}, since_s=since_s)


def discouraged(
    logits: npt.NDArray[np.float32], struck: StruckChords, penalty: float, free_notes: int
) -> npt.NDArray[np.float32]:
    """Lower the logits (V,) of the note-ons that would prolong a repetition; return them all.

    A repetition that striking a pitch would make n notes long costs that pitch `penalty` nats for
    each note beyond `free_notes`. This is the DRY sampler (p-e-w 2024, text-generation-webui
    #5677) over chords as sets, with a penalty that grows by the note instead of by a factor:
    finite, so nothing is forbidden.
    """
    added = len(struck.sounding) + 1
    if struck.longest + added <= free_notes:
        return logits
    excess = struck.runs[:-1] + (added - free_notes)
    (places,) = (excess > 0).nonzero()
    begun = _column(struck.sounding)
    followed = struck.chords[:, places + 1]
    fits = (followed & begun == begun).all(axis=0)
    to_come = np.ascontiguousarray((followed & ~begun)[:, fits].T).view(np.uint8)
    pitches = np.unpackbits(to_come, axis=1, bitorder="little")  # (places that fit, PITCHES)
    lowered = logits.copy()
    lowered[v.NOTE_ON : v.NOTE_ON + v.PITCHES] -= penalty * (
        pitches * excess[places][fits, None]
    ).max(axis=0, initial=0)
    return lowered
