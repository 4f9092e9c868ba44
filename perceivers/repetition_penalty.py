"""Repetition: where the notes struck last were struck before, and what going on that way costs."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from perceivers import vocabulary as v

WINDOW_NOTES = 1024
"""How far back a repetition is noticed: two minutes of dense playing."""
NOTHING = -1  # in the place of a pitch, before the first note

Ints = npt.NDArray[np.int16]


def _filled(value: int) -> Ints:
    return np.full(WINDOW_NOTES, value, np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class StruckPitches:
    """The pitches struck last, each compared with the newest; a value, so that one can go back."""

    pitches: Ints = field(default_factory=lambda: _filled(NOTHING))
    """(WINDOW_NOTES,): oldest first."""
    runs: Ints = field(default_factory=lambda: _filled(0))
    """(WINDOW_NOTES,): so many pitches up to and with this place are the newest ones again, at most
    WINDOW_NOTES; 0 for the newest itself."""

    def then(self, pitch: int) -> "StruckPitches":
        """Return what is known after one more note."""
        pitches, runs = np.empty_like(self.pitches), np.empty_like(self.runs)
        pitches[:-1] = self.pitches[1:]
        pitches[-1] = pitch
        np.minimum(self.runs + 1, WINDOW_NOTES, out=runs)  # one longer where the pitch fits, …
        runs *= pitches == pitch  # … and over where it does not
        runs[-1] = 0
        return StruckPitches(pitches, runs)


def discouraged(
    logits: npt.NDArray[np.float32], struck: StruckPitches, penalty: float, free_notes: int
) -> npt.NDArray[np.float32]:
    """Lower the logits (V,) of the note-ons that would prolong a repetition; return them all.

    A repetition that striking a pitch would make n notes long costs that pitch `penalty` nats for
    each note beyond `free_notes`. This is the DRY sampler (p-e-w 2024, text-generation-webui
    #5677) over struck pitches, with a penalty that grows by the note instead of by a factor:
    finite, so nothing is forbidden.
    """
    (places,) = (struck.runs[:-1] >= free_notes).nonzero()
    if not places.size:
        return logits
    excess = np.zeros(v.PITCHES, np.int16)
    np.maximum.at(excess, struck.pitches[places + 1], struck.runs[places] + 1 - free_notes)
    lowered = logits.copy()
    lowered[v.NOTE_ON : v.NOTE_ON + v.PITCHES] -= np.float32(penalty) * excess
    return lowered
