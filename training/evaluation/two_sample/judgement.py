"""A two-sample test: can a classifier tell the model's continuations from the pianists' own?

Both continue the same primers. Each classifier is trained on some pieces and asked about others;
its AUC is the chance that it scores a continuation of the model above one of a pianist. 0.5 is the
goal: nothing was found that tells them apart. The control asks the same of the pianists'
continuations alone, one half called the model's at random: it has to lie at 0.5.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from perceivers.errors import PerformerError
from training.evaluation.intervals import RESAMPLES
from training.evaluation.metrics.notes import Floats, Notes
from training.evaluation.two_sample.classifiers import (
    Classifier,
    Heard,
    Labels,
    LogisticClassifier,
    Rows,
    piece_folds,
)
from training.evaluation.two_sample.hand_features import SHORTEST_NOTES
from training.evaluation.two_sample.note_reader import NeuralClassifier
from training.evaluation.two_sample.passages import passage_of
from training.evaluation.two_sample.telltales import telltales

FOLDS = 5
JUDGES: dict[str, type[LogisticClassifier] | type[NeuralClassifier]] = {
    "logistic": LogisticClassifier,
    "neural": NeuralClassifier,
}
REPEATS = {"logistic": 5, "neural": 2}  # other folds, other halves each time
WIDENED = 1.2
"""Intervals by this factor: pieces are resampled, but no classifier is trained anew on them. Of
simulated equal players (16-30 pieces), the plain 95 % intervals held 0.5 in 85-90 %."""
PRIMER_NOTES = 256  # of the end of the primer are seen
LEAST_PIECES = 4  # two to learn from and to watch, two to be asked about


@dataclass(frozen=True, slots=True)
class Pair:
    """What a model and a pianist play after the same primer, and the piece that it is from."""

    piece: str
    primer: Notes
    model: Notes
    human: Notes


class _Trial(NamedTuple):
    """Scores of rows by classifiers that were trained without their pieces."""

    labels: Labels
    fold: Rows
    scores: Floats


def two_sample_test(
    pairs: Sequence[Pair],
    seed: int = 0,
    quiet: bool = False,
    repeats: Mapping[str, int] = REPEATS,
) -> dict[str, Any]:
    """Return the figures of the test and its control as JSON values.

    Both continuations of a pair are cut to the length of the shorter. Pairs with fewer than 16
    notes are left out and counted. `repeats` names the classifiers, and says how often each is
    trained anew, with other folds. Raises PerformerError when too few pieces are left.
    """
    kept = [pair for pair in pairs if _common_notes(pair) >= SHORTEST_NOTES]
    pieces = sorted({pair.piece for pair in kept})
    if len(pieces) < LEAST_PIECES:
        raise PerformerError(
            f"the two-sample test found {len(kept)} of {len(pairs)} pairs with at least "
            f"{SHORTEST_NOTES} notes, of {len(pieces)} pieces; it needs {LEAST_PIECES} pieces or "
            "more: continue primers of more pieces"
        )
    heard = [item for pair in kept for item in _heard(pair)]
    number_of = {piece: number for number, piece in enumerate(pieces)}
    piece = np.repeat(np.array([number_of[pair.piece] for pair in kept]), 2)
    labels = Labels(np.tile([1.0, 0.0], len(kept)), piece)
    judges: dict[str, Classifier] = {name: JUDGES[name](heard) for name in repeats}
    trials = sum(repeats[name] for name in judges) * 2
    with tqdm(total=trials, unit="trial", desc="two-sample test", disable=quiet) as bar:

        def seeds(name: str) -> Iterator[int]:
            for repeat in range(repeats[name]):
                yield seed + 1000 * repeat
                bar.update()

        tested = {
            name: _figures(_trials(judge, labels, seeds(name)), len(pieces), paired=True)
            for name, judge in judges.items()
        }
        control = {
            name: _figures(_controls(judge, labels, seeds(name)), len(pieces), paired=False)
            for name, judge in judges.items()
        }
    return {
        "pairs": len(kept),
        "left_out": len(pairs) - len(kept),
        "pieces": len(pieces),
        "notes": int(np.median([_common_notes(pair) for pair in kept])),
        "seed": seed,
        "headline": max(tested, key=lambda name: float(tested[name]["auc"]["value"])),
        "model_against_human": tested,
        "human_against_human": control,
        "telltales": telltales(
            [item.continuation for item in heard[0::2]],
            [item.continuation for item in heard[1::2]],
            [pair.piece for pair in kept],
            seed,
        ),
    }


def _common_notes(pair: Pair) -> int:
    return min(len(pair.model.onset_s), len(pair.human.onset_s))


def _heard(pair: Pair) -> tuple[Heard, Heard]:
    notes = _common_notes(pair)
    primer = passage_of(pair.primer, last=PRIMER_NOTES)
    return (
        Heard(primer, passage_of(pair.model, first=notes)),
        Heard(primer, passage_of(pair.human, first=notes)),
    )


def _trials(judge: Classifier, labels: Labels, seeds: Iterable[int]) -> Iterator[_Trial]:
    """Ask about every row, with other folds for each seed."""
    everything = np.arange(len(labels.piece))
    for seed in seeds:
        yield _cross_validated(judge, everything, labels, seed)


def _controls(judge: Classifier, labels: Labels, seeds: Iterable[int]) -> Iterator[_Trial]:
    """Ask about the pianists alone, a random half of each piece (to one) called the model's."""
    human = np.flatnonzero(labels.is_model == 0.0)
    for seed in seeds:
        called = _random_halves(labels.piece[human], np.random.default_rng(seed))
        yield _cross_validated(judge, human, Labels(called, labels.piece[human]), seed)


def _random_halves(piece: Rows, rng: np.random.Generator) -> Floats:
    """Return 1 for a random half of the rows of each piece, odd ones by turns, else 0."""
    called = np.zeros(len(piece))
    turn = int(rng.integers(2))
    for number in rng.permutation(np.unique(piece)):
        rows = rng.permutation(np.flatnonzero(piece == number))
        half = (len(rows) + turn) // 2
        turn ^= len(rows) % 2
        called[rows[:half]] = 1.0
    return called


def _cross_validated(judge: Classifier, rows: Rows, labels: Labels, seed: int) -> _Trial:
    """Score each row by a classifier that has seen no other row of its piece."""
    rng = np.random.default_rng(seed)
    # Two pieces in a fold at least: where a piece has one row, one has nothing to compare it with.
    fold = piece_folds(labels.piece, min(FOLDS, len(np.unique(labels.piece)) // 2), rng)
    scores = np.zeros(len(rows))
    for number in range(int(fold.max()) + 1):
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        scores[outside] = judge.scores(
            rows[inside], labels.of(inside), rows[outside], seed + number + 1
        )
    return _Trial(labels, fold, scores)


def _figures(trials: Iterator[_Trial], pieces: int, paired: bool) -> dict[str, Any]:
    """Return the AUC over all trials with its interval over pieces.

    It is unknown where no fold holds both a row that is a model's and one that is not.
    """
    done = list(trials)
    tables = [_piece_table(trial, pieces) for trial in done]
    won = sum(table[0] for table in tables)
    compared = sum(table[1] for table in tables)
    assert isinstance(won, np.ndarray)
    assert isinstance(compared, np.ndarray)
    draws = np.random.default_rng(0).multinomial(
        pieces, np.full(pieces, 1.0 / pieces), size=RESAMPLES
    )
    both = [(float(w @ won @ w), float(w @ compared @ w)) for w in (np.ones(pieces), *draws)]
    figures: dict[str, Any] = {"auc": _with_interval([a / b if b else None for a, b in both])}
    if paired:
        right = np.zeros(pieces)
        asked = np.zeros(pieces)
        for trial in done:
            model, human = trial.scores[0::2], trial.scores[1::2]
            np.add.at(right, trial.labels.piece[0::2], _beats(model, human))
            np.add.at(asked, trial.labels.piece[0::2], 1.0)
        figures["told_apart_side_by_side"] = _with_interval(
            [float(w @ right) / float(w @ asked) for w in (np.ones(pieces), *draws)]
        )
    return figures


def _with_interval(drawn: Sequence[float | None]) -> dict[str, float | None]:
    """Return the first value, and the interval of the others where they are known."""
    value, *resampled = drawn
    known = [x for x in resampled if x is not None]
    if value is None or not known:
        return {"value": value, "low": None, "high": None}
    low, high = value + WIDENED * (np.quantile(known, [0.025, 0.975]) - value)
    return {"value": value, "low": max(float(low), 0.0), "high": min(float(high), 1.0)}


def _beats(model: Floats, human: Floats) -> Floats:
    above: Floats = (model > human) + 0.5 * (model == human)
    return above


def _piece_table(trial: _Trial, pieces: int) -> tuple[Floats, Floats]:
    """Return how often a model's row of one piece scored above a pianist's of another, of how many.

    Scores are compared within a fold only: two folds have two classifiers.
    """
    model = np.flatnonzero(trial.labels.is_model == 1.0)
    human = np.flatnonzero(trial.labels.is_model == 0.0)
    same_fold = (trial.fold[model][:, None] == trial.fold[human]).astype(np.float64)
    won = _beats(trial.scores[model][:, None], trial.scores[human]) * same_fold
    onto_model = np.eye(pieces)[trial.labels.piece[model]]
    onto_human = np.eye(pieces)[trial.labels.piece[human]]
    return onto_model.T @ won @ onto_human, onto_model.T @ same_fold @ onto_human
