"""What the host computes of a model: rotary angles, and cross-attention rows by table."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perceivers.architecture import Architecture
from perceivers.manifest import CacheTensor

Array = NDArray[np.float32]


def rotary_angles(architecture: Architecture, position: int, count: int) -> tuple[Array, Array]:
    """Return cos and sin (T, D/2) of `count` positions, by way of float64: sessions last days."""
    exponents = np.arange(0, architecture.head_dim, 2, dtype=np.float64) / architecture.head_dim
    positions = np.arange(position, position + count, dtype=np.float64)
    angles = positions[:, None] * architecture.rope_base**-exponents
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def cross_rows(
    tables: Array,
    places: Sequence[tuple[int, int]],
    tokens: NDArray[np.int64],
    architecture: Architecture,
    position: int,
) -> Array:
    """Return what cross-attentions keep of tokens from `position` on: (tensors, H, T, D).

    tables: (scales, 2, V, E). places: scale, and 0 for keys or 1 for values, of each tensor.
    """
    cos, sin = rotary_angles(architecture, position, len(tokens))
    shape = (len(tokens), architecture.heads, architecture.head_dim)
    rows = [tables[place][tokens].reshape(shape).swapaxes(0, 1) for place in places]
    return np.stack(
        [
            values if part else _rotated(values, cos, sin)
            for values, (_, part) in zip(rows, places, strict=True)
        ]
    )


def table_places(caches: Sequence[CacheTensor]) -> dict[str, tuple[int, int]]:
    """Return where the tables have the rows of each cross-attention cache."""
    crosses = [cache.name for cache in caches if cache.kind == "cross"]
    return {name: divmod(index, 2) for index, name in enumerate(crosses)}


def _rotated(x: Array, cos: Array, sin: Array) -> Array:
    """Turn x (H, T, D) by angles (T, D/2); the halves of D are the pairs."""
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)
