"""What gives a model away: the statistics in which it differs most from pianists.

A classifier says whether, not by what. Here each statistic is compared after the same primers, as a
mean over pieces in units of its standard error. Of a hundred statistics some differ by chance:
turning the signs of whole pieces at random shows how far the largest of all then goes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.evaluation.metrics.notes import Floats
from training.evaluation.two_sample.hand_features import hand_features
from training.evaluation.two_sample.passages import Passage

TOLD = 15
TURNS = 2000
SMALLEST_SPREAD = 1e-3  # of how pianists differ: a constant difference is not infinitely certain


def telltales(
    model: Sequence[Passage], human: Sequence[Passage], pieces: Sequence[str], seed: int = 0
) -> dict[str, Any]:
    """Return the statistics that differ most, the largest first, as JSON values.

    Passages stand in pairs, of two pieces or more. `chance` is what the largest of all exceeds in
    5 % of random signs; a statistic beyond it is no accident of looking at so many.
    """
    sides = [[hand_features(passage) for passage in side] for side in (model, human)]
    names = list(sides[0][0])
    mine, theirs = (_table(rows, names) for rows in sides)
    by_piece = _means_of(mine - theirs, pieces)
    floor = SMALLEST_SPREAD * theirs.std(axis=0) + 1e-12
    found = _scores(by_piece, np.ones((1, len(by_piece))), floor)[0]
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(TURNS, len(by_piece)))
    chance = float(np.quantile(np.abs(_scores(by_piece, signs, floor)).max(axis=1), 0.95))
    order = np.argsort(-np.abs(found), kind="stable")[:TOLD]
    return {
        "statistics": len(names),
        "chance": chance,
        "beyond_chance": int((np.abs(found) > chance).sum()),
        "largest": [
            {
                "name": names[number],
                "model": float(mine[:, number].mean()),
                "human": float(theirs[:, number].mean()),
                "standard_errors": float(found[number]),
            }
            for number in order
        ],
    }


def _table(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> Floats:
    return np.array([[row[name] for name in names] for row in rows])


def _means_of(differences: Floats, pieces: Sequence[str]) -> Floats:
    """Return the mean of each piece (P, S)."""
    _, number = np.unique(np.array(pieces), return_inverse=True)
    sums = np.zeros((int(number.max()) + 1, differences.shape[1]))
    np.add.at(sums, number, differences)
    means: Floats = sums / np.bincount(number)[:, None]
    return means


def _scores(by_piece: Floats, signs: Floats, floor: Floats) -> Floats:
    """Return means over pieces by their standard errors (K, S), for K ways to sign the pieces."""
    count = len(by_piece)
    means = signs @ by_piece / count
    squares = (by_piece**2).mean(axis=0)
    spread = np.sqrt(np.maximum(squares - means**2, 0.0) * count / (count - 1))
    scores: Floats = means / (np.maximum(spread, floor) / np.sqrt(count))
    return scores
