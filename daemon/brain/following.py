"""Staying with the player: how two hands play lately, and which tokens bring one nearer the other.

Density, register, loudness and note length of what the Performer writes are compared with those of
the player's last phrases while it plays. Where they differ, the tokens that would mend it become a
little likelier: time-shifts by their length, velocities by their height, keys by their place, and
note-ons and note-offs as kinds. Nothing is forbidden, and where both agree nothing is changed.
"""

import math
import statistics
from collections import deque
from copy import copy
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from perceivers import vocabulary as v
from perceivers.events import NoteOff, NoteOn, TimedEvent

Floats = npt.NDArray[np.float32]

PLAYER_NOTES = 64  # the player's last phrases
OWN_NOTES = 24  # the answer's last notes, which the next ones are to put right
FEWEST_NOTES = 8  # fewer say nothing
LONGEST_GAP_S = 1.0  # a longer pause between two notes is none of their pace

# Nats, for a difference of one e-fold, or of eight bins of velocity
PACE, KINDS, TOUCH, LENGTH, REGISTER = 0.6, 0.5, 2.0, 0.8, 0.7
MOST = 1.5  # a difference counts for no more: the lean stays small
_LITTLE_SHARE = 0.002  # of a key that was never struck
_OCTAVE = np.bartlett(2 * 12 + 1) / 12.0  # a key counts for those around it, too

_STEPS = np.log(np.arange(1, v.MAX_SHIFT_STEPS + 1) / 10.0)  # 0 for a shift of 100 ms
_TIME = slice(v.TIME_SHIFT, v.TIME_SHIFT + v.MAX_SHIFT_STEPS)
_VELOCITY = slice(v.VELOCITY, v.VELOCITY + v.VELOCITY_BINS)
_ON = slice(v.NOTE_ON, v.NOTE_ON + v.PITCHES)
_OFF = slice(v.NOTE_OFF, v.NOTE_OFF + v.PITCHES)


@dataclass(frozen=True, slots=True)
class Manner:
    """How somebody plays lately."""

    notes_per_s: float  # without the pauses
    velocity: float
    length_s: float  # how long a key is down, the median
    keys: npt.NDArray[np.float64]  # (PITCHES,): how much each part of the keyboard is played


@dataclass(slots=True)
class Lately:
    """The last notes of one hand."""

    most_notes: int
    _struck: deque[tuple[float, NoteOn]] = field(init=False)
    _lengths_s: deque[float] = field(init=False)
    _down_s: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._struck = deque(maxlen=self.most_notes)
        self._lengths_s = deque(maxlen=self.most_notes)

    def copy(self) -> "Lately":
        """Return one that goes its own way from here."""
        twin = copy(self)
        twin._struck, twin._lengths_s = self._struck.copy(), self._lengths_s.copy()  # noqa: SLF001 - its own kind
        twin._down_s = dict(self._down_s)  # noqa: SLF001 - its own kind
        return twin

    def take(self, timed: TimedEvent) -> bool:
        """Take note of an event; tell whether it changes the manner."""
        time_s, event = timed
        if isinstance(event, NoteOn):
            self._struck.append((time_s, event))
            self._down_s[event.pitch] = time_s
            return True
        if isinstance(event, NoteOff) and event.pitch in self._down_s:
            self._lengths_s.append(time_s - self._down_s.pop(event.pitch))
            return True
        return False

    def manner(self) -> Manner | None:
        """Return how it is played; None while there is too little to tell."""
        if len(self._struck) < FEWEST_NOTES or not self._lengths_s:
            return None
        times_s = np.array([time_s for time_s, _ in self._struck])
        played_s = float(np.minimum(np.diff(times_s), LONGEST_GAP_S).sum())
        counts = np.bincount([note.pitch for _, note in self._struck], minlength=v.PITCHES)
        return Manner(
            notes_per_s=(len(times_s) - 1) / max(played_s, 0.1),
            velocity=statistics.fmean(note.velocity for _, note in self._struck),
            length_s=max(statistics.median(self._lengths_s), 0.01),
            keys=np.convolve(counts / len(times_s), _OCTAVE, mode="same"),
        )


def lean(towards: Manner, own: Manner) -> Floats:
    """Return what is added to the logits (V,), in nats, so that `own` comes nearer."""
    bias = np.zeros(v.VOCABULARY_SIZE, np.float32)
    pace = _bounded(math.log(towards.notes_per_s / own.notes_per_s))
    bias[_TIME] -= PACE * pace * _STEPS
    bias[_ON] += KINDS * pace
    bias[_VELOCITY] += KINDS * pace  # most often it announces a note-on
    length = _bounded(math.log(towards.length_s / own.length_s))
    bias[_OFF] -= LENGTH * length
    bins_louder = (towards.velocity - own.velocity) / v.VELOCITIES_PER_BIN
    from_own = np.arange(v.VELOCITY_BINS) - own.velocity / v.VELOCITIES_PER_BIN
    bias[_VELOCITY] += TOUCH * _bounded(bins_louder / 8) * np.clip(from_own / 8, -1, 1)
    ratio = (towards.keys + _LITTLE_SHARE) / (own.keys + _LITTLE_SHARE)
    bias[_ON] += REGISTER * np.clip(np.log(ratio), -MOST, MOST)
    return bias


def _bounded(difference: float) -> float:
    return min(max(difference, -MOST), MOST)


class Following:
    """Compares an answer with its player, and says how its next token leans."""

    def __init__(self, player: Manner | None) -> None:
        self._player = player
        self._own = Lately(OWN_NOTES)
        self._lean: Floats | None = None
        self._is_stale = False

    def copy(self) -> "Following":
        """Return one that goes its own way from here."""
        twin = copy(self)
        twin._own = self._own.copy()  # noqa: SLF001 - its own kind
        return twin

    def take(self, written: TimedEvent) -> None:
        """Take note of what the answer does."""
        self._is_stale |= self._own.take(written)

    def lean(self) -> Floats | None:
        """Return the lean (V,) of the next token; None while there is too little to compare."""
        if self._is_stale:
            own = self._own.manner()
            if self._player is not None and own is not None:
                self._lean = lean(self._player, own)
            self._is_stale = False
        return self._lean
