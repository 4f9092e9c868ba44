"""Effective Segmentation: which part of a piece one training crop covers.

After PerceiverS (arXiv 2411.08307), section on segmentation, with the end point clipped so that
openings and endings are trained as often as middles (docs/model.md has the coverage). The other
ways to choose a crop are here to be compared with it.
"""

from dataclasses import dataclass

import numpy as np

SEGMENTATIONS = ("effective", "effective-unclipped", "random-start", "curriculum")


@dataclass(frozen=True, slots=True)
class Crop:
    """A crop `tokens[start:end]`: its last latents carry the loss, the rest is prefix."""

    start: int
    latents_start: int
    end: int


def draw_crop(
    segmentation: str, length: int, context: int, latents: int, rng: np.random.Generator
) -> Crop:
    """Choose a crop of a piece of `length` tokens in one of the SEGMENTATIONS.

    A curriculum draws as "effective" does; its context is that of `curriculum_context`.
    """
    match segmentation:
        case "effective" | "curriculum":
            return effective_crop(length, context, latents, rng)
        case "effective-unclipped":
            return unclipped_crop(length, context, latents, rng)
        case "random-start":
            return random_start_crop(length, context, latents, rng)
    raise ValueError(f"segmentation {segmentation!r} is none of {', '.join(SEGMENTATIONS)}")


def effective_crop(length: int, context: int, latents: int, rng: np.random.Generator) -> Crop:
    """Choose a crop of a piece of `length` tokens by its end.

    end = clip(uniform{1 … length + latents - 1}, latents, length): every context from nothing to
    the whole `context` is trained, and every position about equally often.
    """
    _refuse_empty(length)
    drawn = int(rng.integers(1, length + latents))
    return crop_ending_at(min(max(drawn, latents), length), context, latents)


def unclipped_crop(length: int, context: int, latents: int, rng: np.random.Generator) -> Crop:
    """Choose a crop by its end, uniform in latents … length: Perceiver AR's original way.

    Every context is trained, but the first and the last tokens of a piece are hardly ever.
    """
    _refuse_empty(length)
    end = int(rng.integers(min(latents, length), length + 1))
    return crop_ending_at(end, context, latents)


def random_start_crop(length: int, context: int, latents: int, rng: np.random.Generator) -> Crop:
    """Choose a crop by its start: the way of Perceiver AR's PyTorch ports.

    A piece shorter than the context is taken whole. What has fewer than context - latents tokens
    before it is never trained, unless it is among the last of a short piece.
    """
    _refuse_empty(length)
    start = int(rng.integers(0, max(0, length - context) + 1))
    return crop_ending_at(min(start + context, length), context, latents)


def crop_ending_at(end: int, context: int, latents: int) -> Crop:
    """Return the crop of at most `context` tokens that ends before position `end`."""
    return Crop(max(0, end - context), max(0, end - latents), end)


def curriculum_context(step: int, steps: int, context: int, latents: int) -> int:
    """Return the context of one step: from `latents` evenly to `context` in `steps` steps."""
    if steps < 1:
        raise ValueError(f"a curriculum takes at least one step, not {steps}")
    return latents + (context - latents) * min(step, steps) // steps


def _refuse_empty(length: int) -> None:
    if length < 1:
        raise ValueError("a piece has at least one token")
