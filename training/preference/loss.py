"""What is learned from pairs: the pianist's answer becomes likelier than the model's own.

After SPIN (Chen et al. 2024, arXiv 2401.01335, eq. 4.7), whose loss is that of DPO (Rafailov et al.
2023, arXiv 2305.18290, eq. 7) with the pianist as the one preferred.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from training.data.batches import IGNORED, Batch


class Preference(NamedTuple):
    """What a batch of P pairs says."""

    loss: Tensor  # nats per token, a scalar
    margin: Tensor  # (P,) nats by which the pianist's answers gained on the model's own


def answer_nats(model: nn.Module, batch: Batch) -> Tensor:
    """Return what each answer costs, (2 P,), in nats, pianists' first."""
    logits = model(batch.latents, batch.prefix, batch.prefix_padding)
    costs = cross_entropy(
        logits.float().transpose(1, 2), batch.targets, ignore_index=IGNORED, reduction="none"
    )
    return costs.sum(dim=1)


def margins(nats: Tensor, frozen_nats: Tensor) -> Tensor:
    """Return by how many nats the pianists' answers gained, (P,), of costs (2 P,)."""
    (pianist, own), (pianist_before, own_before) = nats.chunk(2), frozen_nats.chunk(2)
    return (pianist_before - pianist) - (own_before - own)


def preference(
    nats: Tensor, frozen_nats: Tensor, tokens: int, beta: float, anchor: float
) -> Preference:
    """Return the loss of pairs whose answers cost `nats` (2 P,), and `frozen_nats` before.

    tokens: of the pianists' answers together. beta: how soon a pair is learned well enough, per
    nat of margin. anchor: how much the pianists' likelihood counts by itself; with a margin of 0
    the loss has half the gradient of the likelihood, and as much against the model's own answers.
    """
    margin = margins(nats, frozen_nats)
    learned = softplus(-beta * margin) / beta + anchor * nats.chunk(2)[0]
    return Preference(learned.sum() / tokens, margin.detach())


def pianists_tokens(batch: Batch) -> int:
    """Count the tokens of the pianists' answers of a batch of pairs."""
    return int((batch.targets[: len(batch.targets) // 2] != IGNORED).sum())


@torch.no_grad()
def frozen_nats_of(model: nn.Module, batch: Batch) -> Tensor:
    """Return `answer_nats` of a model that is not to learn, (2 P,)."""
    return answer_nats(model, batch)
