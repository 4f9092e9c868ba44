"""The weights of a trained model as the exported graph wants them: folded, as plain arrays.

What depends on the token alone is computed here once for the whole vocabulary, in float64, so
that the graph looks it up: keys and values of every cross-attention, and the first one's query.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from perceivers.model import CrossAttention, PerceiverS

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tables:
    """What each token brings along; V vocabulary, E width, S scales."""

    query: Array | None
    """Of the first cross-attention, before its rotation: (V, E). None where a query depends on
    more than its token: on what is down."""
    keys_values: Array
    """Of every cross-attention, before the rotation: (S, 2, V, E)."""
    embedding: Array
    """(V, E)."""

    def token_rows(self) -> Array:
        """Return all of it side by side, what is to be rotated first: (V, (2 + 2 S) E).

        Without the query it is narrower by E.
        """
        keys, values = self.keys_values[:, 0], self.keys_values[:, 1]
        query = () if self.query is None else (self.query,)
        return np.concatenate((*query, *keys, *values, self.embedding), axis=1)


def fold_tables(model: PerceiverS) -> Tables:
    """Compute the tables of a model."""
    with torch.no_grad():
        embedding = model.embedding.weight.double()
        normed = _normed(model.context_norm, embedding)
        crosses = [cross for cross in model.crosses if isinstance(cross, CrossAttention)]
        first = crosses[0]
        query = None
        if not model.architecture.knows_keys:
            matrix = first.attention.query.weight.double()
            query = to_array(_normed(first.norm, embedding) @ matrix.T)
        keys_values = [
            torch.stack([normed @ matrix.weight.double().T for matrix in (a.key, a.value)])
            for a in (cross.attention for cross in crosses)
        ]
        return Tables(query, to_array(torch.stack(keys_values)), to_array(embedding))


def _normed(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return layer_norm(x, norm.normalized_shape, norm.weight.double(), eps=norm.eps)


def to_array(tensor: Tensor) -> Array:
    """Return a float32 array of a tensor's values."""
    array: Array = tensor.detach().to("cpu", torch.float32).contiguous().numpy()
    return array
