"""Notes as a sequence of pitches whose order does not depend on which finger was first.

The notes of a chord never fall at one instant, and not in the same order twice. Here they are one
chord when they begin within 30 ms of its first note, and stand in it from low to high.
"""

import numpy as np
import numpy.typing as npt

from perceivers.vocabulary import CHORD_STEPS, STEPS_PER_SECOND

Ints = npt.NDArray[np.int64]


def onset_steps(onset_s: npt.NDArray[np.float64]) -> Ints:
    """Return onsets in steps of 10 ms, which compare exactly."""
    return np.floor(onset_s * STEPS_PER_SECOND + 0.5).astype(np.int64)


def chord_numbers(steps: Ints) -> Ints:
    """Return for each onset, in order of time, the number of the chord that it belongs to."""
    beyond = np.searchsorted(steps, steps + CHORD_STEPS, side="right").tolist()
    begins = np.zeros(len(steps), dtype=np.int64)
    first = 0
    while first < len(beyond):
        begins[first] = 1
        first = beyond[first]
    return np.cumsum(begins)


def in_playing_order(steps: Ints, pitches: Ints) -> Ints:
    """Return pitches by chord, and within each from low to high."""
    return pitches[np.lexsort((pitches, chord_numbers(steps)))]
