"""Figures of likelihood: from the cost of every token to means with their intervals.

Nothing here depends on what scored the tokens. Intervals are 95 % bootstrap intervals over pieces:
the tokens of one piece are far from independent.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perceivers import vocabulary as v
from perceivers.errors import PerformerError
from training.evaluation.intervals import drawn_again

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]
Figure = dict[str, float | None]

BUCKETS = ((0, 512), (512, 1024), (1024, 4096), (4096, 16_384), (16_384, None))
LN2 = math.log(2)


@dataclass(frozen=True, slots=True)
class Scores:
    """What the tokens of one piece cost: entry t is the token at position t + 1."""

    nats: Floats  # NaN where a token was not scored
    targets: Ids  # the tokens that the costs are of
    piece: int = 0  # its place among the pieces that were given
    wasted: Floats | None = None  # of each cost, what the grammar would save

    @property
    def is_scored(self) -> npt.NDArray[np.bool_]:
        """Tell which tokens were scored."""
        return ~np.isnan(self.nats)

    @property
    def scored_targets(self) -> Ids:
        """Return the tokens that were scored."""
        return self.targets[self.is_scored]


def checked(nats: Floats) -> Floats:
    """Return costs that are numbers, which NaN for "not scored" would otherwise hide.

    Raises PerformerError for those of a model that has none.
    """
    if not np.isfinite(nats).all():
        raise PerformerError(
            "the model predicts no numbers (NaN or infinite): its weights are damaged or its "
            "training diverged; take an earlier checkpoint"
        )
    return nats


def notes_in(tokens: Ids) -> int:
    """Count the notes."""
    return int(v.is_kind(tokens, v.Kind.NOTE_ON).sum())


def seconds_in(tokens: Ids) -> float:
    """Sum the time-shifts."""
    return float(v.steps_passed(tokens).sum()) / v.STEPS_PER_SECOND


def summary(scores: Sequence[Scores]) -> dict[str, Any]:
    """Return the figures as JSON values.

    A figure is {"value", "low", "high"}: the ratio of the sums over all pieces and its interval.
    The bounds are None where fewer than two pieces contribute, the value where none does.
    """
    nats = np.array([np.nansum(found.nats) for found in scores])
    bits = nats / LN2
    tokens = np.array([len(found.scored_targets) for found in scores])
    notes = np.array([notes_in(found.scored_targets) for found in scores])
    seconds = np.array([seconds_in(found.scored_targets) for found in scores])
    return {
        "pieces": len(scores),
        "tokens": int(tokens.sum()),
        "notes": int(notes.sum()),
        "seconds": float(seconds.sum()),
        "nats_per_token": ratio(nats, tokens),
        "bits_per_note": ratio(bits, notes),
        "bits_per_second": ratio(bits, seconds),
        "under_grammar": under_grammar(scores),
        "nats_per_token_by_context": by_context(scores),
        "nats_per_token_by_kind": by_kind(scores),
    }


def under_grammar(scores: Sequence[Scores]) -> dict[str, Figure] | None:
    """Return the figures of the model as it plays: never what the grammar forbids.

    None where it is not known what the grammar saves.
    """
    wasted = [found.wasted for found in scores if found.wasted is not None]
    if len(wasted) < len(scores):
        return None
    nats = np.array([np.nansum(s.nats - saved) for s, saved in zip(scores, wasted, strict=True)])
    tokens = np.array([len(found.scored_targets) for found in scores])
    notes = np.array([notes_in(found.scored_targets) for found in scores])
    return {"nats_per_token": ratio(nats, tokens), "bits_per_note": ratio(nats / LN2, notes)}


def piece_figures(found: Scores) -> dict[str, float | int | None]:
    """Return what one piece costs, as JSON values."""
    targets = found.scored_targets
    nats, notes = float(np.nansum(found.nats)), notes_in(targets)
    return {
        "tokens": len(targets),
        "notes": notes,
        "seconds": seconds_in(targets),
        "nats_per_token": nats / len(targets),
        "bits_per_note": nats / LN2 / notes if notes else None,
    }


def ratio(over: Floats, under: npt.NDArray[Any]) -> Figure:
    """Return the ratio of the sums over pieces with its bootstrap interval."""
    if not under.sum():
        return {"value": None, "low": None, "high": None}
    value = float(over.sum() / under.sum())
    if np.count_nonzero(under) < 2:
        return {"value": value, "low": None, "high": None}
    draws = drawn_again(len(over))
    sums = under[draws].sum(axis=1)
    drawn = sums > 0  # a draw may miss the few pieces that have any
    low, high = np.quantile(over[draws].sum(axis=1)[drawn] / sums[drawn], [0.025, 0.975])
    return {"value": value, "low": float(low), "high": float(high)}


def by_context(scores: Sequence[Scores]) -> dict[str, dict[str, float | int | None]]:
    """Return nats per token by how many tokens of its piece lie before the predicted one."""
    result: dict[str, dict[str, float | int | None]] = {}
    for low, high in BUCKETS:
        # entry t has t + 1 tokens before it
        part = slice(max(low - 1, 0), None if high is None else high - 1)
        nats = np.array([np.nansum(found.nats[part]) for found in scores])
        tokens = np.array([int(found.is_scored[part].sum()) for found in scores])
        name = f"{low}+" if high is None else f"{low}-{high}"
        result[name] = {
            **ratio(nats, tokens),
            "tokens": int(tokens.sum()),
            "pieces": int(np.count_nonzero(tokens)),
        }
    return result


def by_kind(scores: Sequence[Scores]) -> dict[str, dict[str, float | int | None]]:
    """Return nats per token of each kind of token, and the kind's shares of tokens and nats."""
    all_nats = sum(float(np.nansum(found.nats)) for found in scores)
    all_tokens = sum(len(found.scored_targets) for found in scores)
    result: dict[str, dict[str, float | int | None]] = {}
    for kind in v.Kind:
        chosen = [found.is_scored & v.is_kind(found.targets, kind) for found in scores]
        tokens = np.array([int(mask.sum()) for mask in chosen])
        if not tokens.sum():
            continue
        nats = np.array(
            [found.nats[mask].sum() for found, mask in zip(scores, chosen, strict=True)]
        )
        result[kind.value] = {
            **ratio(nats, tokens),
            "tokens": int(tokens.sum()),
            "pieces": int(np.count_nonzero(tokens)),
            "share_of_tokens": float(tokens.sum() / all_tokens),
            "share_of_nats": float(nats.sum() / all_nats),
        }
    return result
