"""What the host computes of a model: rotary angles, and cross-attention rows by table."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from perceivers.architecture import Architecture
from perceivers.graphs import CacheTensor

Array = NDArray[np.float32]
Floats = NDArray[np.floating]


class RotaryAngles:
    """The angles of an architecture's positions, by way of float64: sessions last days."""

    def __init__(self, architecture: Architecture) -> None:
        exponents = np.arange(0, architecture.head_dim, 2, dtype=np.float64) / architecture.head_dim
        self._frequencies = architecture.rope_base**-exponents

    def of(self, position: int, count: int) -> tuple[Array, Array]:
        """Return the cosines and sines (T, D/2) of `count` positions."""
        cos, sin = np.empty((2, count, len(self._frequencies)), np.float32)
        self.write(position, cos, sin)
        return cos, sin

    def write(self, position: int, cos: Floats, sin: Floats) -> None:
        """Write the cosines and sines (T, D/2) of T positions from `position` on."""
        steps = np.arange(position, position + len(cos), dtype=np.float64)
        angles = np.multiply.outer(steps, self._frequencies)
        np.cos(angles, out=cos, casting="same_kind")
        np.sin(angles, out=sin, casting="same_kind")


def cross_rows(
    tables: Array,
    places: Sequence[tuple[int, int]],
    tokens: NDArray[np.int64],
    heads: int,
    angles: tuple[Array, Array],
) -> Array:
    """Return what cross-attentions keep of tokens: (tensors, H, T, D).

    tables: (scales, 2, V, E). places: scale, and 0 for keys or 1 for values, of each tensor.
    angles: cosines and sines (T, D/2) of the tokens' positions.
    """
    cos, sin = angles
    rows = [
        tables[place][tokens].reshape(len(tokens), heads, -1).swapaxes(0, 1) for place in places
    ]
    return np.stack(
        [
            values if part else _rotated(values, cos, sin)
            for values, (_, part) in zip(rows, places, strict=True)
        ]
    )


def table_places(caches: Iterable[CacheTensor]) -> dict[str, tuple[int, int]]:
    """Return where the tables have the rows of each cache that belongs to a cross-attention."""
    return {
        f"cross_{scale}_{part}": (scale, index)
        for scale in range(sum(cache.kind == "cross" for cache in caches) // 2)
        for index, part in enumerate(("keys", "values"))
    }


def _rotated(x: Array, cos: Array, sin: Array) -> Array:
    """Turn x (H, T, D) by angles (T, D/2); the halves of D are the pairs."""
    first, second = np.split(x, 2, axis=-1)
    return np.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)
