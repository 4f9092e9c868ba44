"""Means and paired differences of arms, with bootstrap intervals over pieces.

The pieces are drawn anew 2,000 times, the same draws for both arms: what is hard in a piece is
hard for both and cancels. The interval tells how sure a difference is for other music; how sure it
is for other random weights, the differences of the single seeds tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perceivers.errors import PerformerError
from training.ablation.results import Result

Floats = npt.NDArray[np.float64]
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval; the bounds are NaN where it has none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Nats per token, or a difference of them: over all, and for each range of contexts."""

    overall: Interval
    by_context: tuple[Interval, ...]


class Comparison:
    """The results of one table, on the same tokens of the same pieces.

    Raises PerformerError when they are not.
    """

    def __init__(self, results: Sequence[Result]) -> None:
        first = results[0]
        self._tokens = _tokens_of(first)
        for result in results:
            if not np.array_equal(_tokens_of(result), self._tokens):
                raise PerformerError(
                    f"results {first.run.name} and {result.run.name} were scored on other tokens "
                    "and cannot be compared; delete one and run it again"
                )
        pieces = len(first.pieces)
        draws = np.random.default_rng(0).integers(pieces, size=(RESAMPLES, pieces))
        drawn = np.stack([np.bincount(draw, minlength=pieces) for draw in draws])
        self._times_drawn = drawn.astype(np.float64)
        shares = np.array(first.bucket_tokens, dtype=np.float64)
        shares[self._tokens.sum(axis=0) == 0] = 0.0  # nothing scored there
        self._shares = shares / shares.sum()

    def mean(self, results: Sequence[Result]) -> Figures:
        """Return the nats per token of an arm, the mean over its seeds."""
        return self._figures(np.mean([_nats_of(result) for result in results], axis=0))

    def difference(self, ours: Sequence[Result], reference: Sequence[Result]) -> Figures:
        """Return how much more an arm costs than the reference, over the seeds that both have."""
        seeds = {result.run.seed for result in ours} & {result.run.seed for result in reference}
        paired = [
            np.mean([_nats_of(result) for result in side if result.run.seed in seeds], axis=0)
            for side in (ours, reference)
        ]
        return self._figures(paired[0] - paired[1])

    def difference_by_seed(self, ours: Sequence[Result], reference: Sequence[Result]) -> Floats:
        """Return the overall difference for each seed that both have."""
        references = {result.run.seed: result for result in reference}
        return np.array(
            [
                self.difference([result], [references[result.run.seed]]).overall.value
                for result in sorted(ours, key=lambda found: found.run.seed)
                if result.run.seed in references
            ]
        )

    def _figures(self, nats: Floats) -> Figures:
        """Return the figures of nats (pieces, ranges)."""
        values = self._per_token(nats.sum(axis=0), self._tokens.sum(axis=0))
        resampled = self._per_token(self._times_drawn @ nats, self._times_drawn @ self._tokens)
        by_context = tuple(_interval(float(values[i]), resampled[:, i]) for i in range(len(values)))
        scored = self._shares > 0
        weights = self._shares[scored]
        overall = _interval(float(values[scored] @ weights), resampled[:, scored] @ weights)
        return Figures(overall, by_context)

    @staticmethod
    def _per_token(nats: Floats, tokens: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            quotient: Floats = nats / tokens
        return quotient


def _interval(value: float, resampled: Floats) -> Interval:
    known = resampled[np.isfinite(resampled)]
    if len(known) < RESAMPLES // 2:  # most draws miss the few pieces that have any
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def _nats_of(result: Result) -> Floats:
    return np.array([piece.nats for piece in result.pieces])


def _tokens_of(result: Result) -> Floats:
    return np.array([piece.tokens for piece in result.pieces], dtype=np.float64)
