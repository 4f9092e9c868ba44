"""Validation loss while training: nats per token on fixed crops of unseen pieces."""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from training.data.batches import IGNORED, Batch, collate, sample_of
from training.data.segmentation import effective_crop
from training.data.token_store import TokenStore

CROPS = 24


def fixed_batches(store: TokenStore, context: int, latents: int, rows: int) -> list[Batch]:
    """Return the same crops each time: pieces in proportion to their length, any context."""
    rng = np.random.default_rng(0)
    cumulative = np.cumsum(store.lengths)
    samples = []
    for _ in range(CROPS):
        position = rng.integers(cumulative[-1])
        tokens = store.tokens(int(np.searchsorted(cumulative, position, side="right")))
        crop = effective_crop(len(tokens), context, latents, rng)
        samples.append(sample_of(tokens.astype(np.int64), crop))
    return [collate(samples[i : i + rows], latents) for i in range(0, CROPS, rows)]


@torch.no_grad()
def mean_nll(model: nn.Module, batches: list[Batch], device: torch.device) -> float:
    """Return the mean negative log-likelihood in nats per token."""
    model.eval()
    total, count = 0.0, 0
    for batch in batches:
        loss = batch_nll(model, batch, device)
        total += float(loss)
        count += batch.loss_tokens
    model.train()
    return total / count


def batch_nll(model: nn.Module, batch: Batch, device: torch.device) -> torch.Tensor:
    """Return the summed negative log-likelihood (scalar) of the targets of one batch, in nats."""
    logits = model(
        batch.latents.to(device), batch.prefix.to(device), batch.prefix_padding.to(device)
    )
    return cross_entropy(
        logits.float().flatten(0, 1),
        batch.targets.to(device).flatten(),
        ignore_index=IGNORED,
        reduction="sum",
    )
