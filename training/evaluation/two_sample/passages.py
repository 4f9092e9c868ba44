"""What a judge may see of a continuation: notes on the model's own grid, from onset to onset.

Whatever tells a model from a pianist without being music is taken away from both alike: finer time
and velocity than tokens carry, the order inside one step of the grid, the silence before the first
note, what rings on behind the last one, and the number of notes.
"""

from dataclasses import dataclass

import numpy as np

from perceivers import vocabulary as v
from training.evaluation.metrics.notes import Floats, Notes

STEP_S = 1.0 / v.STEPS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Passage:
    """Notes in order of onset and pitch; all arrays have one entry per note."""

    onset_s: Floats  # the first is 0
    length_s: Floats  # key down to key up, at least one step, cut at the last onset
    pitch: Floats
    velocity: Floats  # in bins of the vocabulary
    pedal: Floats  # 1 where the note begins with the pedal down

    def __len__(self) -> int:
        return len(self.onset_s)

    def part(self, start: int, stop: int) -> "Passage":
        """Return consecutive notes, with their times."""
        chosen = slice(start, stop)
        return Passage(
            self.onset_s[chosen],
            self.length_s[chosen],
            self.pitch[chosen],
            self.velocity[chosen],
            self.pedal[chosen],
        )


def passage_of(notes: Notes, first: int | None = None, last: int | None = None) -> Passage:
    """Return the `first` or the `last` so many notes as a passage; of a single note, none."""
    chosen = slice(first) if last is None else slice(max(0, len(notes) - last), None)
    onset_s = notes.onset_s[chosen]
    if len(onset_s) < 2:
        return Passage(*(np.zeros(0) for _ in range(5)))
    begins = _on_grid(onset_s - onset_s[0])
    ends = _on_grid(notes.offset_s[chosen] - onset_s[0])
    lengths = np.maximum(np.minimum(ends, begins[-1]) - begins, STEP_S)
    order = np.lexsort((notes.pitch[chosen], begins))  # the grid may have made onsets equal
    return Passage(
        begins[order],
        lengths[order],
        notes.pitch[chosen].astype(np.float64)[order],
        np.floor(notes.velocity[chosen] / v.VELOCITIES_PER_BIN)[order],
        _pedal_down(notes.pedal_s, onset_s)[order],
    )


def _on_grid(time_s: Floats) -> Floats:
    steps: Floats = np.round(time_s / STEP_S)
    return steps * STEP_S


def _pedal_down(pedal_s: Floats, onset_s: Floats) -> Floats:
    """Tell for each onset whether it lies in a stretch of pedal."""
    if not len(pedal_s):
        return np.zeros(len(onset_s))
    before = np.searchsorted(pedal_s[:, 0], onset_s, side="right") - 1
    down: Floats = ((before >= 0) & (onset_s < pedal_s[before, 1])).astype(np.float64)
    return down
