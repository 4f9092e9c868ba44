"""What cross-attentions know of each token of the vocabulary, computed from the weights.

Keys and values of every cross-attention, before their rotation, are functions of the token alone,
and so is the first one's query in a model that is not told of keys. Computed in float64. V
vocabulary, E width, S scales.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from perceivers.architecture import Architecture

Array = NDArray[np.float32]
Weights = Mapping[str, NDArray[np.floating]]
"""By their names in a checkpoint."""

NORM_EPSILON = 1e-5  # of every layer norm, as torch has it


def keys_values(architecture: Architecture, weights: Weights) -> Array:
    """Return keys and values of every cross-attention: (S, 2, V, E)."""
    normed = _normed(weights["embedding.weight"], weights["context_norm.weight"])
    parts = [
        normed @ weights[f"crosses.{scale}.attention.{part}.weight"].astype(np.float64).T
        for scale in range(len(architecture.scales))
        for part in ("key", "value")
    ]
    shape = len(architecture.scales), 2, architecture.vocabulary_size, architecture.dim
    return np.stack(parts).astype(np.float32).reshape(shape)


def first_query(weights: Weights) -> Array:
    """Return what the first cross-attention asks after each token, told nothing else: (V, E)."""
    normed = _normed(weights["embedding.weight"], weights["crosses.0.norm.weight"])
    matrix = weights["crosses.0.attention.query.weight"].astype(np.float64)
    query: Array = (normed @ matrix.T).astype(np.float32)
    return query


def _normed(rows: NDArray[np.floating], scale: NDArray[np.floating]) -> NDArray[np.float64]:
    x = rows.astype(np.float64)
    x -= x.mean(axis=1, keepdims=True)
    x /= np.sqrt((x * x).mean(axis=1, keepdims=True) + NORM_EPSILON)
    x *= scale
    return x
