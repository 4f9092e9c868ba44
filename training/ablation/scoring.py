"""How the arms are scored: on the same tokens, openings as well as what lies far behind them.

The block protocol of training/evaluation on a sample of spans. A span is 4 N of the reference, a
multiple of the blocks of every arm, so that arms of other N are scored on the same tokens. Half of
the scored tokens are openings, which are rare in the music and much of what is asked for. Each
range of contexts therefore counts by its share of all tokens, not of the scored ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from perceivers.model import PerceiverS
from training.evaluation.likelihood.block_protocol import piece_nats
from training.evaluation.likelihood.blocks import BlockSampling
from training.evaluation.likelihood.figures import BUCKETS, Ids

SPAN_IN_LATENTS = 4
BUCKET_NAMES = tuple(f"{low:,}+" if high is None else f"{low:,}–{high:,}" for low, high in BUCKETS)


@dataclass(frozen=True, slots=True)
class SpanSampling(BlockSampling):
    """Which blocks of a piece are scored: those of every k-th span, and of some openings.

    `every` and `offset` count spans; the piece's opening is scored if `opening` says so.
    """

    span: int = 1  # in tokens
    latents: int = 1  # N of the model that is scored
    opening: bool = False

    def takes(self, block: int) -> bool:
        """Tell whether a block is scored."""
        start = 0 if block == 0 else self.latents + (block - 1) * (self.latents // 2)
        span = start // self.span
        return self.opening if span == 0 else (span + self.offset) % self.every == 0


@dataclass(frozen=True, slots=True)
class ScoringPlan:
    """Which spans of a set of pieces are scored."""

    span: int
    every_opening: int
    every: int

    @classmethod
    def of(cls, lengths: Sequence[int], reference_latents: int, tokens: int) -> "ScoringPlan":
        """Plan to score about so many tokens, half of them openings."""
        span = SPAN_IN_LATENTS * reference_latents
        openings = sum(min(length, span) for length in lengths)
        rest = sum(lengths) - openings
        every_opening = max(1, round(openings / (tokens / 2)))
        left = max(tokens / 2, tokens - openings)
        return cls(span, every_opening, max(1, round(rest / left)))

    def sampling(self, piece: int, latents: int) -> SpanSampling:
        """Return the blocks to score of the piece with this number."""
        assert latents <= self.span, "the first block must lie in the first span"
        return SpanSampling(
            every=self.every,
            offset=piece % self.every,
            span=self.span,
            latents=latents,
            opening=piece % self.every_opening == 0,
        )


@dataclass(frozen=True, slots=True)
class PieceScore:
    """What the scored tokens of one piece cost, by the range of contexts."""

    nats: tuple[float, ...]
    tokens: tuple[int, ...]


def score_pieces(
    model: PerceiverS, pieces: Sequence[Ids], plan: ScoringPlan, device: torch.device
) -> list[PieceScore]:
    """Score the planned spans of all pieces, with a progress bar."""
    scores = []
    latents = model.architecture.latents
    for number, piece in enumerate(
        tqdm(pieces, unit="piece", desc="scoring", mininterval=1, leave=False, disable=None)
    ):
        sampling = plan.sampling(number, latents)
        nats = piece_nats(model, piece, device, sampling)
        parts = [nats[bucket_slice(bucket)] for bucket in range(len(BUCKETS))]
        scores.append(
            PieceScore(
                tuple(float(np.nansum(part)) for part in parts),
                tuple(int(np.count_nonzero(~np.isnan(part))) for part in parts),
            )
        )
    return scores


def bucket_slice(bucket: int) -> slice:
    """Return which costs belong to a range of contexts: entry t has t + 1 tokens before it."""
    low, high = BUCKETS[bucket]
    return slice(max(low - 1, 0), None if high is None else high - 1)


def bucket_tokens(lengths: Sequence[int]) -> tuple[int, ...]:
    """Count the tokens of all pieces in each range of contexts, scored or not."""
    return tuple(
        sum(len(range(*bucket_slice(bucket).indices(length - 1))) for length in lengths)
        for bucket in range(len(BUCKETS))
    )
