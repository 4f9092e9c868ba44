"""PerceiverS: multi-scale Perceiver whose streaming form is exactly its trained form.

After "PerceiverS" (arXiv 2411.08307) and "Perceiver AR" (arXiv 2202.07765); where the paper is
silent, docs/model.md says what was chosen. B batch, N latents, P prefix tokens, T tokens of a
step, E model width, V vocabulary.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, gelu, linear

from perceivers.architecture import Architecture
from perceivers.attention import (
    blockwise_attention,
    dense_attention,
    prefix_attention,
    rotary_angles,
    rotate,
)
from perceivers.cache import Cache, KeyValue

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
Angles = tuple[Tensor, Tensor]


class Context(NamedTuple):
    """What the cross-attentions look back on."""

    tokens: Tensor  # (B, S)
    normed_table: Tensor  # (V, E): the normalised embedding of the whole vocabulary
    angles: Angles  # of every position
    padding: Tensor | None  # (B,): masked tokens at the left; None where there are none

    def seen_by(self, queries: int, window: int) -> "Context":
        """Return the part that the last `queries` positions reach with a window."""
        skipped = max(0, self.tokens.shape[1] - (queries + window - 1))
        padding = None if self.padding is None else (self.padding - skipped).clamp(min=0)
        if padding is not None and not bool(padding.any()):
            padding = None
        angles = (self.angles[0][skipped:], self.angles[1][skipped:])
        return Context(self.tokens[:, skipped:], self.normed_table, angles, padding)


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
        return x.view(B, T, self.heads, E // self.heads).transpose(1, 2)

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
        return KeyValue(rotate(self.attention.split(keys), *angles), self.attention.split(values))

    def forward(self, x: Tensor, memory: KeyValue, angles: Angles, attend: Attend) -> Tensor:
        """Map x (B, N, E) to (B, N, E)."""
        q = rotate(self.attention.split(self.attention.query(self.norm(x))), *angles)
        y: Tensor = self.feedforward(x + self.attention.merge(attend(q, *memory)))
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
        normed = self.norm(x)
        attention = self.attention
        q = rotate(attention.split(attention.query(normed)), *angles)
        k = rotate(attention.split(attention.key(normed)), *angles)
        return q, KeyValue(k, attention.split(attention.value(normed)))

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add what was attended to x and pass the feed-forward."""
        y: Tensor = self.feedforward(x + self.attention.merge(attended))
        return y


class PerceiverS(nn.Module):
    """The model: embeddings, the cascade of cross-attentions, banded self-attention, logits."""

    def __init__(self, architecture: Architecture, dropout: float = 0.0) -> None:
        super().__init__()
        self.architecture = architecture
        self.embedding = nn.Embedding(architecture.vocabulary_size, architecture.dim)
        self.context_norm = nn.LayerNorm(architecture.dim, bias=False)
        self.crosses = nn.ModuleList(
            CrossAttention(architecture, dropout) for _ in architecture.scales
        )
        self.layers = nn.ModuleList(
            SelfAttention(architecture, dropout) for _ in architecture.windows
        )
        self.final_norm = nn.LayerNorm(architecture.dim, bias=False)
        self.head = nn.Linear(architecture.dim, architecture.vocabulary_size, bias=False)
        self._initialise()

    def _initialise(self) -> None:
        """Normal weights; every block starts as the identity, the head as a uniform guess."""
        for name, parameter in self.named_parameters():
            if name.endswith(("output.weight", "down.weight", "head.weight")):
                nn.init.zeros_(parameter)
            elif parameter.dim() == 2:
                deviation = 0.5 if name == "embedding.weight" else parameter.shape[1] ** -0.5
                nn.init.normal_(parameter, std=deviation)

    @property
    def _cross_attentions(self) -> list[CrossAttention]:
        return [module for module in self.crosses if isinstance(module, CrossAttention)]

    @property
    def _self_attentions(self) -> list[SelfAttention]:
        return [module for module in self.layers if isinstance(module, SelfAttention)]

    def forward(
        self, latents: Tensor, prefix: Tensor | None = None, prefix_padding: Tensor | None = None
    ) -> Tensor:
        """Return logits (B, N, V) of the token after each latent: the training form.

        latents: (B, N) tokens that carry a state; a shorter sample is padded at its right, where
        causality keeps the padding out of sight.
        prefix: (B, P) tokens before the latents, seen by the cross-attentions only; a shorter one
        is padded at its left by `prefix_padding` (B,) tokens, which are masked.
        """
        tokens = latents if prefix is None else torch.cat((prefix, latents), dim=1)
        angles = self._angles(torch.arange(tokens.shape[1], device=tokens.device))
        context = Context(tokens, self.context_norm(self.embedding.weight), angles, prefix_padding)
        latent_angles = (angles[0][-latents.shape[1] :], angles[1][-latents.shape[1] :])
        x = self.embedding(latents)
        for cross, window in zip(
            self._cross_attentions, self.architecture.cross_windows, strict=True
        ):
            seen = context.seen_by(x.shape[1], window)
            memory = cross.keys_values(seen.tokens, seen.normed_table, seen.angles)
            x = cross(x, memory, latent_angles, _attend_context(seen, window))
        for layer, window in zip(self._self_attentions, self.architecture.windows, strict=True):
            q, memory = layer.queries_keys_values(x, latent_angles)
            x = layer.finish(x, blockwise_attention(q, *memory, window))
        return self._logits(x)

    def step(self, tokens: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        """Read the next tokens (B, T), T ≥ 1: the streaming form.

        Returns logits (B, T, V) and the cache, T positions longer.
        """
        positions = torch.arange(cache.position, cache.position + tokens.shape[1])
        angles = self._angles(positions)
        normed_table = self.context_norm(self.embedding.weight)
        x = self.embedding(tokens)
        crosses, layers = [], []
        for cross, window, old in zip(
            self._cross_attentions, self.architecture.cross_windows, cache.crosses, strict=True
        ):
            memory = old.extended(*cross.keys_values(tokens, normed_table, angles))
            x = cross(x, memory, angles, _dense(window))
            crosses.append(memory.trimmed(window))
        for layer, window, old in zip(
            self._self_attentions, self.architecture.windows, cache.layers, strict=True
        ):
            q, new = layer.queries_keys_values(x, angles)
            memory = old.extended(*new)
            x = layer.finish(x, dense_attention(q, *memory, window))
            layers.append(memory.trimmed(window))
        position = cache.position + tokens.shape[1]
        return self._logits(x), Cache(position, tuple(crosses), tuple(layers))

    def _angles(self, positions: Tensor) -> Angles:
        return rotary_angles(positions, self.architecture.head_dim, self.architecture.rope_base)

    def _logits(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.final_norm(x))
        return logits


def _attend_context(context: Context, window: int) -> Attend:
    if context.tokens.shape[1] <= window:
        return lambda q, k, v: prefix_attention(q, k, v, context.padding)
    return lambda q, k, v: blockwise_attention(q, k, v, window, context.padding)


def _dense(window: int) -> Attend:
    return lambda q, k, v: dense_attention(q, k, v, window)
