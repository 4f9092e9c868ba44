"""The limits that a player has set, as pure functions of the parameters and of what sounds.

Each says what may be struck, or for how long a key may stay down. They are held by the mask before
a token is drawn, so that the model writes around them and its memory holds what was played.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from daemon.parameter_groups.scales import pitch_classes
from daemon.parameters import Parameters
from perceivers.vocabulary import PITCHES

Keys = npt.NDArray[np.bool_]  # (PITCHES,): of each written pitch, whether it may be struck

NO_KEYS: Keys = np.zeros(PITCHES, dtype=np.bool_)
MOST_IN_WINDOW = 256  # strokes that are kept to count; more than any limit on density allows
_SAME_INSTANT_S = 1e-6  # less than any step of the grid


def keys_within(parameters: Parameters) -> Keys:
    """Return which written pitches sound within register and scale."""
    sounding = np.arange(PITCHES) + parameters.transpose
    lowest, highest = max(0, parameters.lowest_key), min(PITCHES - 1, parameters.highest_key)
    keys: Keys = (sounding >= lowest) & (sounding <= highest)
    classes = pitch_classes(parameters.scale)
    if classes is not None:
        keys &= np.isin(sounding % 12, sorted(classes))
    return keys


def may_strike(
    parameters: Parameters, keys_down: int, struck_s: Sequence[float], now_s: float
) -> bool:
    """Tell whether polyphony and density leave room for another note.

    Density counts in windows of a second, or of as long as one note may take: where 2.5 a second
    are allowed, 3 within 1.2 s.
    """
    if parameters.most_keys is not None and keys_down >= parameters.most_keys:
        return False
    most = parameters.most_notes_per_s
    if most is None:
        return True
    notes = math.ceil(most)
    if len(struck_s) < notes:
        return True
    return now_s - struck_s[-notes] >= notes / most - _SAME_INSTANT_S


def steps_left(longest_s: float, down_s: float, steps_per_s: float) -> int:
    """Return for how many more written steps a key may stay that has been down for so long."""
    return math.floor((longest_s - down_s + _SAME_INSTANT_S) * steps_per_s)
