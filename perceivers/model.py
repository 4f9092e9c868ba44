"""PerceiverS: multi-scale Perceiver whose streaming form is exactly its trained form.

After "PerceiverS" (arXiv 2411.08307) and "Perceiver AR" (arXiv 2202.07765); where the paper is
silent, docs/model.md says what was chosen. B batch, N latents, P prefix tokens, T tokens of a
step, E model width, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from perceivers.architecture import Architecture
from perceivers.attention import dense_attention, rotary_angles, windowed_attention
from perceivers.blocks import Attend, CrossAttention, FeedForward, Projections, SelfAttention
from perceivers.cache import Cache, KeyValue
from perceivers.context import Angles, Context, Memory
from perceivers.key_counts import KeyState, count_rows, nothing_down, state_after
from perceivers.keys_down import KEY_ROWS
from perceivers.vocabulary import PAD

__all__ = ["CrossAttention", "FeedForward", "PerceiverS", "Projections", "SelfAttention"]


STARTING_AT_ZERO = ("output.weight", "down.weight", "head.weight", "key_embedding.weight")


class PerceiverS(nn.Module):
    """The model: embeddings, cross-attentions, banded self-attentions, logits."""

    def __init__(
        self, architecture: Architecture, dropout: float = 0.0, prefix_dropout: float = 0.0
    ) -> None:
        """Make a model with random weights.

        dropout: share of what attention and feed-forward add that is dropped while training.
        prefix_dropout: share of the tokens before the latents that no cross-attention sees while
        training, drawn anew for each batch.
        """
        super().__init__()
        self.architecture = architecture
        self.prefix_dropout = prefix_dropout
        self.embedding = nn.Embedding(architecture.vocabulary_size, architecture.dim)
        if architecture.knows_keys:
            self.key_embedding = nn.Embedding(KEY_ROWS, architecture.dim)
        if architecture.scales:  # a plain decoder has no context to normalise
            self.context_norm = nn.LayerNorm(architecture.dim, bias=False)
        self.crosses = nn.ModuleList(
            CrossAttention(architecture, dropout) for _ in architecture.scales
        )
        self.combination = _combination(architecture)
        self.layers = nn.ModuleList(
            SelfAttention(architecture, dropout) for _ in architecture.windows
        )
        self.final_norm = nn.LayerNorm(architecture.dim, bias=False)
        self.head = nn.Linear(architecture.dim, architecture.vocabulary_size, bias=False)
        self._initialise()

    def _initialise(self) -> None:
        """Normal weights; every block starts as the identity, the head as a uniform guess.

        What is told of keys starts as nothing, so that a model that was not told can be trained on.
        """
        for name, parameter in self.named_parameters():
            if name.endswith(STARTING_AT_ZERO):
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
        self,
        latents: Tensor,
        prefix: Tensor | None = None,
        prefix_padding: Tensor | None = None,
        carried: int | None = None,
        keys: KeyState | None = None,
    ) -> Tensor:
        """Return logits (B, N, V) of the token after each latent: the training form.

        latents: (B, N) tokens that carry a state; a shorter sample is padded at its right, where
        causality keeps the padding out of sight.
        prefix: (B, P) tokens before the latents, seen by the cross-attentions only; a shorter one
        is padded at its left by `prefix_padding` (B,) tokens, which are masked.
        carried: the last prefix tokens, as many as this and as there are, get a state as well,
        without gradient and without logits, for the self-attentions to look back on; None is the
        architecture's number.
        keys: what is down before the first of all these tokens, for a model that is told; None is
        nothing.
        """
        tokens = latents if prefix is None else torch.cat((prefix, latents), dim=1)
        length, count = tokens.shape[1], latents.shape[1]
        carried = self.architecture.carried if carried is None else carried
        carried = min(carried, length - count)
        angles = self._angles(torch.arange(length, device=tokens.device))
        kept = self._kept(tokens, length - count - carried)
        context = Context(tokens, angles, prefix_padding, kept)
        memories = self._memories(context, carried + count)
        x = self._inputs(tokens, prefix_padding, carried + count, keys)
        older, padding = None, None
        if carried:
            older, padding = self._carry(x[:, :carried], context, memories, count)
        x, _ = self._run(
            x[:, carried:], context.last_angles(count), memories, _attend, older, padding
        )
        return self._logits(x)

    def step(self, tokens: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        """Read the next tokens (B, T), T ≥ 1: the streaming form.

        Returns logits (B, T, V) and the cache, T positions longer.
        """
        position = cache.position + tokens.shape[1]
        angles = self._angles(torch.arange(cache.position, position, device=tokens.device))
        new = self._memories(Context(tokens, angles, None, None), tokens.shape[1])
        memories = [memory.behind(old) for old, memory in zip(cache.crosses, new, strict=True)]
        inputs, keys = self.embedding(tokens), cache.keys
        if keys is not None:
            told, keys = self._told(tokens, keys)
            inputs = inputs + told
        x, layers = self._run(inputs, angles, memories, _attend_densely, cache.layers)
        crosses = [memory.keys_values.trimmed(memory.window) for memory in memories]
        kept = [
            layer.trimmed(window)
            for layer, window in zip(layers, self.architecture.self_windows, strict=True)
        ]
        return self._logits(x), Cache(position, tuple(crosses), tuple(kept), keys)

    def _inputs(
        self, tokens: Tensor, padding: Tensor | None, count: int, keys: KeyState | None
    ) -> Tensor:
        """Return what the last `count` of all tokens (B, S) enter with: (B, count, E).

        The first `padding` (B,) tokens are nobody's: what they say is not so.
        """
        x: Tensor = self.embedding(tokens[:, -count:])
        if not self.architecture.knows_keys:
            return x
        if padding is not None:
            position = torch.arange(tokens.shape[1], device=tokens.device)
            tokens = tokens.masked_fill(position < padding[:, None], PAD)
        keys = nothing_down(len(tokens), tokens.device) if keys is None else keys
        told, _ = self._told(tokens[:, -count:], state_after(tokens[:, :-count], keys))
        return x + told

    def _told(self, tokens: Tensor, keys: KeyState) -> tuple[Tensor, KeyState]:
        """Return what tokens (B, T) are told of keys and pedal, (B, T, E), and the state after."""
        counts, after = count_rows(tokens, keys, self._product_type(tokens.device))
        # A product with few ones is quicker than a sum of rows, and its gradient much quicker.
        return linear(counts, self.key_embedding.weight.T), after

    def _product_type(self, device: torch.device) -> torch.dtype:
        """Return the type that factors of a matrix product have, there and now."""
        if torch.is_autocast_enabled(device.type):
            return torch.get_autocast_dtype(device.type)
        return self.key_embedding.weight.dtype

    def _kept(self, tokens: Tensor, before: int) -> Tensor | None:
        """Choose which tokens the cross-attentions see: a share of the first `before` is not."""
        dropped = round(before * self.prefix_dropout) if self.training else 0
        if not dropped:
            return None
        kept = torch.ones(tokens.shape[1], dtype=torch.bool, device=tokens.device)
        kept[torch.randperm(before, device=tokens.device)[:dropped]] = False
        return kept

    def _memories(self, context: Context, queries: int) -> list[Memory]:
        """Return what each cross-attention's last `queries` positions look back on."""
        if not self.crosses:
            return []
        normed_table = self.context_norm(self.embedding.weight)
        memories = []
        for cross, window in zip(
            self._cross_attentions, self.architecture.cross_windows, strict=True
        ):
            seen = context.seen_by(queries, window)
            keys_values = cross.keys_values(seen.tokens, normed_table, seen.angles)
            memories.append(Memory(keys_values, window, seen.padding, seen.kept))
        return memories

    @torch.no_grad()
    def _carry(
        self, x: Tensor, context: Context, memories: list[Memory], count: int
    ) -> tuple[list[KeyValue], Tensor | None]:
        """Compute the latents x (B, carried, E) before the last `count`, up to self-attention.

        Returns keys and values of every layer, and how many of them are padding.
        """
        carried = x.shape[1]
        reached = context.seen_by(carried + count, 1)
        padding = reached.padding
        angles = (reached.angles[0][:carried], reached.angles[1][:carried])
        earlier = [memory.without_last(count) for memory in memories]
        _, found = self._run(x, angles, earlier, _attend, None, padding)
        # Autocast keeps weights that it converts, in older versions of torch without a gradient.
        torch.clear_autocast_cache()
        return found, padding

    def _run(
        self,
        x: Tensor,
        angles: Angles,
        memories: list[Memory],
        attend: Attend,
        older: Sequence[KeyValue] | None,
        padding: Tensor | None = None,
    ) -> tuple[Tensor, list[KeyValue]]:
        """Take latents (B, N, E) through all attentions.

        older: keys and values of every layer that stand before those of these tokens; the first
        `padding` (B,) of all are masked.
        Returns states (B, N, E), and keys and values of every layer, old and new.
        """
        x = self._look_back(x, memories, angles, attend)
        keys_values = []
        for index, layer in enumerate(self._self_attentions):
            q, memory = layer.queries_keys_values(x, angles)
            if older is not None:
                memory = older[index].extended(*memory)
            window = self.architecture.self_windows[index]
            x = layer.finish(x, attend(q, Memory(memory, window, padding)))
            keys_values.append(memory)
        return x, keys_values

    def _look_back(
        self, x: Tensor, memories: list[Memory], angles: Angles, attend: Attend
    ) -> Tensor:
        """Pass the cross-attentions, one behind the other or side by side."""
        crosses = zip(self._cross_attentions, memories, strict=True)
        if self.architecture.combine == "cascade":
            for cross, memory in crosses:
                x = cross(x, memory, angles, attend)
            return x
        found = [cross(x, memory, angles, attend) - x for cross, memory in crosses]
        if self.architecture.combine == "sum":
            return x + torch.stack(found).sum(0)
        y: Tensor = x + self.combination(torch.cat(found, dim=-1))
        return y

    def _angles(self, positions: Tensor) -> Angles:
        return rotary_angles(positions, self.architecture.head_dim, self.architecture.rope_base)

    def _logits(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.final_norm(x))
        return logits


def _combination(architecture: Architecture) -> nn.Sequential:
    """Return what turns the scales' findings (B, N, S E) into one addition (B, N, E)."""
    dim, hidden = architecture.dim, architecture.feedforward
    found = dim * len(architecture.scales)
    if architecture.combine == "concat":
        return nn.Sequential(nn.Linear(found, dim, bias=False))
    if architecture.combine == "mlp":
        return nn.Sequential(
            nn.Linear(found, hidden, bias=False), nn.GELU(), nn.Linear(hidden, dim, bias=False)
        )
    return nn.Sequential()


def _attend(q: Tensor, memory: Memory) -> Tensor:
    keys, values = memory.keys_values
    return windowed_attention(q, keys, values, memory.window, memory.padding, memory.kept)


def _attend_densely(q: Tensor, memory: Memory) -> Tensor:
    return dense_attention(q, *memory.keys_values, memory.window)
