"""A judge of who plays: what it is given, and the simple one, a regression on statistics.

A judge is given what was played before (the primer) and what follows, and learns to score how
likely a model plays the latter. It is deterministic for a seed.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from training.evaluation.metrics.notes import Floats
from training.evaluation.two_sample.hand_features import hand_features
from training.evaluation.two_sample.passages import Passage

Rows = npt.NDArray[np.int64]
PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
EXTREME = 4.0  # standard deviations to which a statistic is clipped


class Heard(NamedTuple):
    """What a judge is given: the end of the primer and what follows."""

    primer: Passage
    continuation: Passage


class Labels(NamedTuple):
    """For each row: 1 where a model plays, and the number of the piece."""

    is_model: Floats
    piece: Rows

    def of(self, rows: Rows) -> "Labels":
        """Return the labels of some rows."""
        return Labels(self.is_model[rows], self.piece[rows])


class Classifier(Protocol):
    """Learns from some rows and scores others: the higher, the more a model's."""

    def scores(self, train: Rows, labels: Labels, test: Rows, seed: int) -> Floats:
        """Return a score for each row of `test`; `labels` are those of the rows of `train`."""


def piece_folds(piece: Rows, folds: int, rng: np.random.Generator) -> Rows:
    """Return the fold of each row; all rows of a piece lie in one fold, folds are about equal."""
    pieces, counts = np.unique(piece, return_counts=True)
    shuffled = rng.permutation(len(pieces))
    largest_first = shuffled[np.argsort(-counts[shuffled], kind="stable")]
    sizes = np.zeros(folds)
    fold_of = {}
    for number in largest_first:
        fold = int(np.argmin(sizes))
        sizes[fold] += counts[number]
        fold_of[int(pieces[number])] = fold
    return np.array([fold_of[int(number)] for number in piece], dtype=np.int64)


class LogisticClassifier:
    """Ridge-penalised logistic regression on statistics of what follows, and of what is new in it.

    The penalty is chosen on held-out pieces of the training rows.
    """

    def __init__(self, heard: Sequence[Heard]) -> None:
        primers: dict[int, Floats] = {}
        rows = []
        for item in heard:
            after = np.array(list(hand_features(item.continuation).values()))
            before = primers.get(id(item.primer))
            if before is None:
                before = np.array(list(hand_features(item.primer).values()))
                primers[id(item.primer)] = before
            rows.append(np.concatenate([after, after - before]))
        self._features = np.array(rows)

    def scores(self, train: Rows, labels: Labels, test: Rows, seed: int) -> Floats:
        """Return the log odds that a model plays."""
        rng = np.random.default_rng(seed)
        x, x_test = _standardised(self._features[train], self._features[test])
        penalty = _best_penalty(x, labels, rng)
        return _linear(_logistic_weights(x, labels.is_model, penalty), x_test)


def _standardised(train: Floats, test: Floats) -> tuple[Floats, Floats]:
    """Scale by the training rows; what is unknown becomes the mean."""
    known = ~np.isnan(train)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, train, 0.0).sum(axis=0) / count
    spread = np.sqrt((np.where(known, train - mean, 0.0) ** 2).sum(axis=0) / count)
    scale = np.where(spread > 1e-9, spread, np.inf)
    scaled = [
        np.nan_to_num((part - mean) / scale).clip(-EXTREME, EXTREME) for part in (train, test)
    ]
    return scaled[0], scaled[1]


def _best_penalty(x: Floats, labels: Labels, rng: np.random.Generator) -> float:
    """Return the penalty with the lowest loss on pieces left out; the middle one for one piece."""
    folds = min(3, len(np.unique(labels.piece)))
    if folds < 2:
        return PENALTIES[len(PENALTIES) // 2]
    fold = piece_folds(labels.piece, folds, rng)
    losses = []
    for penalty in PENALTIES:
        loss = 0.0
        for number in range(folds):
            inside, outside = fold != number, fold == number
            weights = _logistic_weights(x[inside], labels.is_model[inside], penalty)
            sign = 2.0 * labels.is_model[outside] - 1.0
            loss += float(np.logaddexp(0.0, -sign * _linear(weights, x[outside])).sum())
        losses.append(loss)
    return PENALTIES[int(np.argmin(losses))]


def _logistic_weights(x: Floats, is_model: Floats, penalty: float) -> Floats:
    """Return the weights, the intercept last and free of the penalty, by Newton's method."""
    with_one = np.column_stack([x, np.ones(len(x))])
    ridge = np.full(with_one.shape[1], penalty)
    ridge[-1] = 1e-3
    weights = np.zeros(with_one.shape[1])
    for _ in range(25):
        odds = 1.0 / (1.0 + np.exp(-with_one @ weights))
        slope = with_one.T @ (odds - is_model) + ridge * weights
        curvature = (with_one * (odds * (1.0 - odds))[:, None]).T @ with_one + np.diag(ridge)
        step = np.linalg.solve(curvature, slope)
        weights -= step
        if np.abs(step).max() < 1e-6:
            break
    return weights


def _linear(weights: Floats, x: Floats) -> Floats:
    return np.asarray(x @ weights[:-1] + weights[-1])
