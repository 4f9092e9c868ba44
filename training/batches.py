"""Batches: crops of pieces as tensors, drawn without state so that any step can be repeated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perceivers import vocabulary as v
from training.segmentation import Crop, effective_crop
from training.token_store import TokenStore

IGNORED = -100  # a target that carries no loss
LOWEST_KEY, HIGHEST_KEY = 21, 108
TRANSPOSITIONS = (-5, 6)  # semitones, both included: every key signature once

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """B crops with N latents and a prefix of up to P tokens."""

    latents: Tensor  # (B, N) tokens, padded at the right
    targets: Tensor  # (B, N) the token after each latent, IGNORED where there is none
    prefix: Tensor  # (B, P) tokens before the latents, padded at the left
    prefix_padding: Tensor  # (B,) padded tokens at the left of each prefix

    @property
    def loss_tokens(self) -> int:
        """Count the targets that carry a loss."""
        return int((self.targets != IGNORED).sum())


@dataclass(frozen=True, slots=True)
class Sample:
    """The tokens of one crop."""

    prefix: Ids
    latents: Ids
    targets: Ids  # as long as latents, or one shorter at the end of a piece


def sample_of(tokens: Ids, crop: Crop) -> Sample:
    """Cut one crop out of a piece."""
    return Sample(
        tokens[crop.start : crop.latents_start],
        tokens[crop.latents_start : crop.end],
        tokens[crop.latents_start + 1 : crop.end + 1],
    )


def collate(samples: Sequence[Sample], latents: int) -> Batch:
    """Pad crops to one shape."""
    longest = max(len(sample.prefix) for sample in samples)
    rows = len(samples)
    latent_ids = np.full((rows, latents), v.PAD)
    targets = np.full((rows, latents), IGNORED)
    prefix = np.full((rows, longest), v.PAD)
    padding = np.zeros(rows, dtype=np.int64)
    for row, sample in enumerate(samples):
        latent_ids[row, : len(sample.latents)] = sample.latents
        targets[row, : len(sample.targets)] = sample.targets
        padding[row] = longest - len(sample.prefix)
        prefix[row, padding[row] :] = sample.prefix
    arrays = (latent_ids, targets, prefix, padding)
    return Batch(*(torch.from_numpy(array) for array in arrays))


def transpose(tokens: Ids, semitones: int) -> Ids:
    """Transpose by as much of `semitones` as keeps every note on the keyboard."""
    is_note = (tokens >= v.NOTE_ON) & (tokens < v.NOTE_OFF + v.PITCHES)
    pitches = (tokens[is_note] - v.NOTE_ON) % v.PITCHES
    if pitches.size == 0:
        return tokens
    lowest, highest = int(pitches.min()), int(pitches.max())
    downwards = min(0, LOWEST_KEY - lowest)
    upwards = max(0, HIGHEST_KEY - highest)
    moved = tokens.copy()
    moved[is_note] += min(max(semitones, downwards), upwards)
    return moved


class BatchSource:
    """Draws training batches: a piece in proportion to its length, a crop, a transposition.

    The steps take the `contexts` in turn: long crops cost more, and need not be all.
    """

    def __init__(self, store: TokenStore, contexts: Sequence[int], latents: int, seed: int) -> None:
        self._store = store
        self._contexts = tuple(contexts)
        self._latents = latents
        self._seed = seed
        self._cumulative = np.cumsum(store.lengths)

    def batch(self, step: int, rows: range) -> Batch:
        """Return rows of the batch of one step; the same step and rows give the same batch."""
        return collate([self._draw(step, row) for row in rows], self._latents)

    def _draw(self, step: int, row: int) -> Sample:
        rng = np.random.default_rng((self._seed, step, row))
        position = rng.integers(self._cumulative[-1])
        tokens = self._store.tokens(int(np.searchsorted(self._cumulative, position, side="right")))
        context = self._contexts[step % len(self._contexts)]
        crop = effective_crop(len(tokens), context, self._latents, rng)
        window = tokens[crop.start : crop.end + 1].astype(np.int64)
        semitones = int(rng.integers(TRANSPOSITIONS[0], TRANSPOSITIONS[1] + 1))
        local = Crop(0, crop.latents_start - crop.start, crop.end - crop.start)
        return sample_of(transpose(window, semitones), local)
