"""Effective Segmentation: which part of a piece one training crop covers.

After PerceiverS (arXiv 2411.08307), section on segmentation, with the end point clipped so that
openings and endings are trained as often as middles (docs/training.md has the coverage).
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Crop:
    """A crop `tokens[start:end]`: its last latents carry the loss, the rest is prefix."""

    start: int
    latents_start: int
    end: int


def effective_crop(length: int, context: int, latents: int, rng: np.random.Generator) -> Crop:
    """Choose a crop of a piece of `length` tokens by its end.

    end = clip(uniform{1 … length + latents - 1}, latents, length): every context from nothing to
    the whole `context` is trained, and every position about equally often.
    """
    if length < 1:
        raise ValueError("a piece has at least one token")
    drawn = int(rng.integers(1, length + latents))
    return crop_ending_at(min(max(drawn, latents), length), context, latents)


def crop_ending_at(end: int, context: int, latents: int) -> Crop:
    """Return the crop of at most `context` tokens that ends before position `end`."""
    return Crop(max(0, end - context), max(0, end - latents), end)
