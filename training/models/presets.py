"""Named sizes of the model, and the variants of one that an ablation compares.

A variant has the parameters of its base to within a few per cent, so that a difference in loss is
one of kind and not of size. Attention blocks, cross or self, have equally many parameters: where
a variant has fewer scales it may have as many more layers; elsewhere the feed-forward's width
makes up for the difference.
"""

from dataclasses import replace

from perceivers.architecture import Architecture
from perceivers.keys_down import KEY_ROWS

OF_EIGHT_LAYERS = (32, 32, 64, 64, 128, 128, 256, 256)
PRESETS: dict[str, Architecture] = {
    "tiny": Architecture(
        dim=64,
        heads=2,
        feedforward=128,
        context=512,
        latents=128,
        scales=(None, 64),
        windows=(16, 32),
        knows_keys=True,
    ),
    "small": Architecture(knows_keys=True),
    "medium": Architecture(
        dim=384,
        heads=6,
        feedforward=1536,
        windows=OF_EIGHT_LAYERS,
        knows_keys=True,
    ),
    "base": Architecture(
        dim=512,
        heads=8,
        feedforward=2048,
        windows=OF_EIGHT_LAYERS,
        knows_keys=True,
    ),
}

WIDTH_STEP = 8  # of a feed-forward: widths that vector units like


def parameters_of(architecture: Architecture) -> int:
    """Return the number of parameters of a model."""
    dim, scales = architecture.dim, len(architecture.scales)
    block = dim + 4 * dim**2 + dim + 2 * dim * architecture.feedforward
    combination = {
        "cascade": 0,
        "sum": 0,
        "concat": scales * dim**2,
        "mlp": (scales + 1) * dim * architecture.feedforward,
    }[architecture.combine]
    context_norm = dim if scales else 0
    keys = KEY_ROWS * dim if architecture.knows_keys else 0
    ends = 2 * architecture.vocabulary_size * dim + dim  # embedding, head and the norm before it
    return ends + keys + context_norm + combination + (scales + len(architecture.windows)) * block


def sized_like(variant: Architecture, base: Architecture) -> Architecture:
    """Return a variant with that feed-forward width which gives it the parameters of its base."""
    per_step = parameters_of(_widened(variant, 2)) - parameters_of(_widened(variant, 1))
    missing = parameters_of(base) - parameters_of(_widened(variant, 1))
    return _widened(variant, max(1, 1 + round(missing / per_step)))


def _widened(architecture: Architecture, steps: int) -> Architecture:
    return replace(architecture, feedforward=steps * WIDTH_STEP)


def perceiver_ar(base: Architecture) -> Architecture:
    """Return the Perceiver AR of the same size: one scale, and every latent sees all before it.

    Each further scale of the base is replaced by a layer: exactly as many parameters. It cannot
    stream exactly.
    """
    layers = len(base.windows) + len(base.scales) - 1
    return replace(base, scales=(None,), windows=(None,) * layers, combine="cascade", carried=0)


def plain_decoder(base: Architecture, latents: int | None = None) -> Architecture:
    """Return the decoder of the same size: it sees the last `latents` tokens and nothing else.

    Each scale of the base is replaced by a layer; only a norm of `dim` parameters is missing.
    """
    latents = base.latents if latents is None else latents
    windows = (None,) * (len(base.windows) + len(base.scales))
    return replace(
        base,
        context=latents,
        latents=latents,
        scales=(),
        windows=windows,
        combine="cascade",
        carried=0,
    )


def with_scales(base: Architecture, *scales: int | None) -> Architecture:
    """Return the same size with other scales; the feed-forward makes up for their number."""
    return sized_like(replace(base, scales=scales), base)


def with_combination(base: Architecture, combine: str) -> Architecture:
    """Return the same size with another combination of scales, its own matrices made up for."""
    return sized_like(replace(base, combine=combine), base)


def with_bands(base: Architecture, bands: int | str) -> Architecture:
    """Return the base with other self-attention windows; the parameters stay the same.

    bands: a width for all layers; "graded", from N / 4 in the last two layers halved every two
    layers downwards; or "full". A width whose sum reaches beyond the crop gets as many carried
    latents as exact streaming needs.
    """
    layers = len(base.windows)
    if bands == "full":
        return replace(base, windows=(None,) * layers, carried=0)
    if bands == "graded":
        widths = [base.latents // 4 >> (layer // 2) for layer in reversed(range(layers))]
        return replace(base, windows=tuple(max(1, width) for width in widths), carried=0)
    if not isinstance(bands, int):
        raise ValueError(f"bands {bands!r} is neither a width nor 'graded' nor 'full'")
    carried = max(0, layers * (bands - 1) - (base.latents - 1))
    return replace(base, windows=(bands,) * layers, carried=carried)
