"""Batches: crops of pieces as tensors, drawn without state so that any step can be repeated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from perceivers import vocabulary as v
from training.data.augmentation import Ids, draw_factor, shift_velocities, stretch, transpose
from training.data.mixture import Mixture
from training.data.segmentation import Crop, curriculum_context, draw_crop
from training.data.token_store import Tokens

IGNORED = -100  # a target that carries no loss


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


@dataclass(frozen=True, slots=True)
class Recipe:
    """How crops are drawn, and how they are changed."""

    contexts: tuple[int, ...]  # taken in turn: long crops cost more, and need not be all
    latents: int
    seed: int = 0
    segmentation: str = "effective"
    curriculum_steps: int = 0  # in which the contexts grow to their whole; 0: from the beginning
    tag_dropout: float = 0.0  # share of openings whose tag becomes that of an unknown source
    transpositions: tuple[int, int] = (-5, 6)  # semitones, both included: every key once
    stretch: float = 0.0  # largest change of tempo, as a share
    velocity_shift: int = 0  # largest change of touch, in velocity bins


class BatchSource:
    """Draws training batches: a piece of a mixture, a crop of it, its augmentation."""

    def __init__(self, pieces: Mixture, recipe: Recipe) -> None:
        self._pieces = pieces
        self._recipe = recipe

    def batch(self, step: int, rows: range) -> Batch:
        """Return rows of the batch of one step; the same step and rows give the same batch."""
        return collate([self._draw(step, row) for row in rows], self._recipe.latents)

    def _draw(self, step: int, row: int) -> Sample:
        recipe = self._recipe
        rng = np.random.default_rng((recipe.seed, step, row))
        tokens = self._pieces.draw(rng)
        context = self._context(step)
        crop = draw_crop(recipe.segmentation, len(tokens), context, recipe.latents, rng)
        # Up to the first token that is no time-shift: a gap cut in two would be stretched wrongly.
        last = _end_of_gap(tokens, crop.end) if recipe.stretch else crop.end
        window = tokens[crop.start : last + 1].astype(np.int64)
        semitones = int(rng.integers(recipe.transpositions[0], recipe.transpositions[1] + 1))
        if crop.start <= 1 and rng.random() < recipe.tag_dropout:
            window[1 - crop.start] = v.tag_of(v.Source.UNKNOWN)
        window = _retouched(transpose(window, semitones), recipe, rng)
        end = len(window) - (crop.end < len(tokens))  # the token after the last latent, if any
        latents_start = max(0, end - (crop.end - crop.latents_start))
        return sample_of(window, Crop(max(0, end - context), latents_start, end))

    def _context(self, step: int) -> int:
        recipe = self._recipe
        context = recipe.contexts[step % len(recipe.contexts)]
        if not recipe.curriculum_steps or context <= recipe.latents:
            return context
        return curriculum_context(step, recipe.curriculum_steps, context, recipe.latents)


def _end_of_gap(tokens: Tokens, position: int) -> int:
    """Return the first position from `position` on that holds no time-shift."""
    last = len(tokens) - 1
    while position < last and v.kind_of(int(tokens[position])) is v.Kind.TIME_SHIFT:
        position += 1
    return position


def _retouched(window: Ids, recipe: Recipe, rng: np.random.Generator) -> Ids:
    """Change the tempo and the touch by random amounts."""
    if recipe.stretch:
        window = stretch(window, draw_factor(recipe.stretch, rng))
    if recipe.velocity_shift:
        bins = int(rng.integers(-recipe.velocity_shift, recipe.velocity_shift + 1))
        window = shift_velocities(window, bins)
    return window
