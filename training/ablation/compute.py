"""What a training run computes, in floating-point operations, by formula.

A multiplication and an addition are two operations; a backward pass counts as two forward passes.
Left out: norms, softmax, optimiser, and what a kernel computes outside a band.
"""

import numpy as np
import numpy.typing as npt

from perceivers.architecture import Architecture
from training.ablation.settings import Run
from training.data.segmentation import Crop, curriculum_context, draw_crop

Lengths = npt.NDArray[np.int64]
CROPS_DRAWN = 1000
BACKWARD = 2  # forward passes


def flop_of(run: Run, lengths: Lengths) -> float:
    """Return the operations of a whole run, from crops drawn as it draws them."""
    campaign, architecture = run.campaign, run.arm.architecture
    crops = _drawn_crops(run, lengths)
    per_crop = sum(crop_flop(architecture, crop) for crop in crops) / len(crops)
    passes = campaign.steps * -(-run.batch // run.micro_batch)
    return per_crop * campaign.steps * run.batch + passes * _table_flop(architecture)


def _drawn_crops(run: Run, lengths: Lengths) -> list[Crop]:
    rng = np.random.default_rng(0)
    cumulative = np.cumsum(lengths)
    steps, architecture = run.campaign.steps, run.arm.architecture
    segmentation = run.arm.training.get("segmentation", "effective")
    crops = []
    for number in range(CROPS_DRAWN):
        piece = np.searchsorted(cumulative, rng.integers(cumulative[-1]), side="right")
        context, latents = architecture.context, architecture.latents
        if segmentation == "curriculum":
            step = number * steps // CROPS_DRAWN
            context = curriculum_context(step, steps, context, latents)
        crops.append(draw_crop(segmentation, int(lengths[piece]), context, latents, rng))
    return crops


def crop_flop(architecture: Architecture, crop: Crop) -> float:
    """Return the operations of training on one crop."""
    latents, prefix = crop.end - crop.latents_start, crop.latents_start - crop.start
    carried = min(architecture.carried, prefix)
    head = 2 * architecture.dim * architecture.vocabulary_size
    matrices = 2 * _matrix_weights(architecture)
    trained = latents * (matrices + head) + _attention_flop(architecture, latents, prefix, carried)
    only_read = carried * matrices + _attention_flop(architecture, carried, prefix - carried, 0)
    return (1 + BACKWARD) * trained + only_read


def _matrix_weights(architecture: Architecture) -> int:
    """Return how many weights each latent meets between embedding and head."""
    dim, hidden, scales = architecture.dim, architecture.feedforward, len(architecture.scales)
    cross = 2 * dim**2 + 2 * dim * hidden  # keys and values come from a table
    layer = 4 * dim**2 + 2 * dim * hidden
    combination = {"concat": scales * dim**2, "mlp": (scales + 1) * dim * hidden}
    blocks = scales * cross + len(architecture.windows) * layer
    return blocks + combination.get(architecture.combine, 0)


def _attention_flop(architecture: Architecture, queries: int, prefix: int, carried: int) -> float:
    """Return the operations of all attentions of so many latents, in a forward pass."""
    before = np.arange(1, queries + 1)  # itself included
    seen = sum(
        int(np.minimum(window, prefix + before).sum()) for window in architecture.cross_windows
    )
    seen += sum(
        int(np.minimum(window, carried + before).sum()) for window in architecture.self_windows
    )
    return 4.0 * architecture.dim * seen


def _table_flop(architecture: Architecture) -> float:
    """Return the operations for the keys and values of the whole vocabulary, for one pass."""
    weights = 2 * len(architecture.scales) * architecture.dim**2
    return (1 + BACKWARD) * 2.0 * architecture.vocabulary_size * weights
