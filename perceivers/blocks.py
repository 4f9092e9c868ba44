"""The blocks of PerceiverS: cross-attention, self-attention, and the feed-forward behind each.

B batch, N latents, T tokens, H heads, D head width, E model width, V vocabulary.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, gelu, linear

from perceivers.architecture import Architecture
from perceivers.attention import rotate
from perceivers.cache import KeyValue
from perceivers.context import Angles, Memory

Attend = Callable[[Tensor, Memory], Tensor]
"""What queries (B, H, N, D) find in a memory: (B, H, N, D)."""


class FeedForward(nn.Module):
    """Pre-norm two-layer perceptron with GELU; added to its input."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, bias=False)
        self.up = nn.Linear(dim, hidden, bias=False)
        self.down = nn.Linear(hidden, dim, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, N, E) to (B, N, E)."""
        y: Tensor = x + self.dropout(self.down(gelu(self.up(self.norm(x)))))
        return y


class Projections(nn.Module):
    """Query, key, value and output matrices of one attention."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)
        self.dropout = nn.Dropout(dropout)

    def split(self, x: Tensor) -> Tensor:
        """(B, T, E) → (B, H, T, D)."""
        B, T, E = x.shape
        return x.reshape(B, T, self.heads, E // self.heads).transpose(1, 2)

    def merge(self, x: Tensor) -> Tensor:
        """(B, H, T, D) → (B, T, E), projected."""
        y: Tensor = self.dropout(self.output(x.transpose(1, 2).flatten(-2)))
        return y


class CrossAttention(nn.Module):
    """Latents attend to raw embeddings: one scale of the cascade.

    Keys and values depend on (token, position) only, never on the latents; so a key before its
    rotation is a row of a table over the vocabulary, and a cached one stays right for ever.
    """

    def __init__(self, architecture: Architecture, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(architecture.dim, bias=False)
        self.attention = Projections(architecture.dim, architecture.heads, dropout)
        self.feedforward = FeedForward(architecture.dim, architecture.feedforward, dropout)

    def keys_values(self, tokens: Tensor, normed_table: Tensor, angles: Angles) -> KeyValue:
        """Return rotated keys and values (B, H, T, D) of tokens (B, T).

        `normed_table` (V, E) is the normalised embedding of the whole vocabulary.
        """
        keys = embedding(tokens, linear(normed_table, self.attention.key.weight))
        values = embedding(tokens, linear(normed_table, self.attention.value.weight))
        return KeyValue(self.turned_keys(keys, angles), self.attention.split(values))

    def turned_keys(self, keys: Tensor, angles: Angles) -> Tensor:
        """(B, T, E) → (B, H, T, D), rotated."""
        return rotate(self.attention.split(keys), *angles)

    def forward(self, x: Tensor, memory: Memory, angles: Angles, attend: Attend) -> Tensor:
        """Map x (B, N, E) to (B, N, E)."""
        return self.finish(x, attend(self.queries(x, angles), memory))

    def queries(self, x: Tensor, angles: Angles) -> Tensor:
        """Return rotated queries (B, H, N, D)."""
        return rotate(self.attention.split(self.attention.query(self.norm(x))), *angles)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add what was attended to x and pass the feed-forward."""
        y: Tensor = self.feedforward(x + self.attention.merge(attended))
        return y


class SelfAttention(nn.Module):
    """Latents attend to the latents of a window before them."""

    def __init__(self, architecture: Architecture, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(architecture.dim, bias=False)
        self.attention = Projections(architecture.dim, architecture.heads, dropout)
        self.feedforward = FeedForward(architecture.dim, architecture.feedforward, dropout)

    def queries_keys_values(self, x: Tensor, angles: Angles) -> tuple[Tensor, KeyValue]:
        """Return rotated queries, rotated keys and values, each (B, H, N, D)."""
        attention = self.attention
        parts = (attention.query.weight, attention.key.weight, attention.value.weight)
        # One product: three narrow ones cost twice as much.
        q, k, v = linear(self.norm(x), torch.cat(parts)).chunk(3, dim=-1)
        turned = KeyValue(rotate(attention.split(k), *angles), attention.split(v))
        return rotate(attention.split(q), *angles), turned

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add what was attended to x and pass the feed-forward."""
        y: Tensor = self.feedforward(x + self.attention.merge(attended))
        return y
