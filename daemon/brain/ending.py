"""How an answer ends instead of stopping: its last seconds lean towards an end.

The nearer the end, the likelier are longer times between notes and softer notes, and the less
likely are notes at all and keys that come up. Nothing is forbidden, and it is a pure function.
"""

import numpy as np
import numpy.typing as npt

from perceivers import vocabulary as v
from perceivers.events import CHORD_S
from perceivers.grammar import Mask, mask_of
from perceivers.sampling import NOTE_ONS, TIME_SHIFTS

Floats = npt.NDArray[np.float32]

LAST_CHORD_S = 1.2  # so long the last chord is held
# Nats at the end: for a time-shift e times as long, a velocity eight bins softer, a note, a release
SLOWER, SOFTER, FEWER, HELD = 1.6, 4.0, 1.5, 0.5
MOST = 4.0  # that a velocity is disfavoured for being loud

_VELOCITIES = slice(v.VELOCITY, v.VELOCITY + v.VELOCITY_BINS)
_NOTE_OFFS = slice(v.NOTE_OFF, v.NOTE_OFF + v.PITCHES)
_STEPS = np.log(np.arange(1, v.MAX_SHIFT_STEPS + 1) / 10.0)  # 0 for a shift of 100 ms
_BINS = np.arange(v.VELOCITY_BINS)


def progress(remaining_s: float, ending_s: float) -> float:
    """Return how far the ending has come: 0 before it, 1 at the end."""
    if ending_s <= 0.0:
        return 0.0
    return min(max(1.0 - remaining_s / ending_s, 0.0), 1.0)


def lean(how_far: float, velocity_bin: int) -> Floats:
    """Return what is added to the logits (V,), in nats, while notes are so loud."""
    bias = np.zeros(v.VOCABULARY_SIZE, np.float32)
    bias[TIME_SHIFTS] = SLOWER * _STEPS
    softer = SOFTER * (velocity_bin - _BINS) / 8.0
    bias[_VELOCITIES] = np.clip(softer, -MOST, FEWER) - FEWER
    bias[NOTE_ONS] = -FEWER
    bias[_NOTE_OFFS] = -HELD
    return how_far * bias


def holding(struck_s: dict[int, float], now_s: float, longest_s: float) -> Mask:
    """Return what may follow while the last chord is held: its keys do not come up yet."""
    mask = ~mask_of()
    last_s = max(struck_s.values(), default=0.0)
    held_s = min(LAST_CHORD_S, longest_s)
    for pitch, at_s in struck_s.items():
        is_of_chord = last_s - at_s <= CHORD_S
        mask[v.NOTE_OFF + pitch] = not is_of_chord or now_s - at_s >= held_s
    return mask
