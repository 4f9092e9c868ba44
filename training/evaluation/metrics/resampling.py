"""Which excerpts are compared with which: all, pieces drawn again, and random halves of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics.notes import Floats, Ints

BOOTSTRAPS = 200
SPLITS = 100

Bools = NDArray[np.bool_]
Draw = tuple[Floats, Floats]  # weights of all excerpts (n,), on the model's and the human side


@dataclass(frozen=True, slots=True)
class Draws:
    """Which excerpts are compared with which."""

    whole: Draw
    resampled: list[Draw]  # pieces drawn with replacement
    floor: list[Draw]  # half of the pianists' pieces against the other half
    halves: list[Draw]  # the model in the one half of the pieces, the pianists in the other


def make_draws(pieces: Ints, is_model: Bools, rng: np.random.Generator) -> Draws:
    """Draw resamples and splits of pieces; the same ones serve every feature."""
    count = int(pieces.max()) + 1
    model, human = is_model.astype(np.float64), (~is_model).astype(np.float64)

    def has_two_pieces(weights: Floats) -> bool:
        return len(np.unique(pieces[weights > 0])) > 1

    resampled: list[Draw] = []
    while len(resampled) < BOOTSTRAPS:
        times = np.bincount(rng.integers(count, size=count), minlength=count)[pieces]
        if has_two_pieces(model * times) and has_two_pieces(human * times):
            resampled.append((model * times, human * times))
    floor: list[Draw] = []
    halves: list[Draw] = []
    while len(floor) < SPLITS:
        here = (rng.permutation(count) < count // 2)[pieces]
        sides = model * here, human * here, human * ~here
        if all(has_two_pieces(side) for side in sides):
            floor.append((sides[1], sides[2]))
            halves.append((sides[0], sides[2]))
    return Draws((model, human), resampled, floor, halves)
