"""The trained model in torch as fast as torch makes it: caches allocated once, written in place.

Everything that the exported graph gains before its runtime starts is given here as well: what
depends on the token alone is looked up, and the three matrices of a self-attention are one. T
tokens, E width, H heads, V vocabulary.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear

from daemon.bench.contestants.rings import ColumnRing, Ring, RowRing, fill
from perceivers.attention import rotary_angles, rotate
from perceivers.cache import Cache, KeyValue
from perceivers.key_counts import nothing_down, state_after
from perceivers.keys_down import KeysDown
from perceivers.model import CrossAttention, PerceiverS, SelfAttention
from perceivers.token_tables import first_query, keys_values

FILLED_AT_ONCE = 128
Angles = tuple[Tensor, Tensor]


class Matrix(nn.Module):
    """A matrix that multiplies one row at a time, in one of two layouts."""

    def __init__(self, weights: Sequence[Tensor], is_turned: bool) -> None:
        """Stack weights, each (Out, In); turned, they are kept as (In, Out).

        Torch's BLAS multiplies one row by a turned matrix twice as fast.
        """
        super().__init__()
        self.weight: Tensor
        stacked = torch.cat([weight.detach() for weight in weights])
        self.is_turned = is_turned
        self.register_buffer("weight", stacked.T.contiguous() if is_turned else stacked)

    def forward(self, x: Tensor) -> Tensor:
        """(1, In) to (1, Out)."""
        return torch.mm(x, self.weight) if self.is_turned else linear(x, self.weight)


class Block(nn.Module):
    """One attention and its feed-forward; `enter` makes of the state what the attention needs."""

    def __init__(
        self, source: CrossAttention | SelfAttention, enter: Sequence[nn.Linear], is_turned: bool
    ) -> None:
        super().__init__()
        self.norm, self.inner_norm = source.norm, source.feedforward.norm
        self.enter = Matrix([part.weight for part in enter], is_turned)
        self.output = Matrix([source.attention.output.weight], is_turned)
        self.up = Matrix([source.feedforward.up.weight], is_turned)
        self.down = Matrix([source.feedforward.down.weight], is_turned)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add what was attended to x (1, E) and pass the feed-forward."""
        x = x + self.output(attended.reshape(1, -1))
        y: Tensor = x + self.down(gelu(self.up(self.inner_norm(x))))
        return y


class StepModel(nn.Module):
    """One token to the logits of the next, given the rings."""

    def __init__(self, model: PerceiverS, is_turned: bool) -> None:
        super().__init__()
        self.embedding: Tensor
        self.first_query: Tensor
        self.keys_values: Tensor
        self.heads = model.architecture.heads
        weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
        tables = torch.from_numpy(keys_values(model.architecture, weights))
        self.register_buffer("embedding", model.embedding.weight.detach().clone())
        # Of a model that is told of keys, the first query depends on more than its token.
        self.knows_keys = model.architecture.knows_keys
        query = torch.empty(0) if self.knows_keys else torch.from_numpy(first_query(weights))
        self.register_buffer("first_query", query)
        self.register_buffer("keys_values", tables)
        self.crosses = nn.ModuleList(
            Block(cross, [cross.attention.query], is_turned) for cross in crosses_of(model)
        )
        self.layers = nn.ModuleList(
            Block(layer, [part.query, part.key, part.value], is_turned)
            for layer in layers_of(model)
            for part in [layer.attention]
        )
        self.final_norm = model.final_norm
        self.head = Matrix([model.head.weight], is_turned)

    def forward(
        self,
        token: Tensor,
        told: Tensor,
        angles: Angles,
        rings: list[Ring],
        slots: list[Tensor],
        rows: list[int],
    ) -> Tensor:
        """Read one token (1,), whose rows go to `slots`; return logits (V,).

        told: what it is told of keys and pedal, (1, E); zeros where it is told nothing.
        rows: how many rows of each ring are filled, those of this token included.
        """
        x = self.embedding[token] + told
        for index, block in enumerate(_blocks(self.crosses)):
            looks_up = not index and not self.knows_keys
            q = self.first_query[token] if looks_up else block.enter(block.norm(x))
            key, value = self.keys_values[index, 0][token], self.keys_values[index, 1][token]
            ring, slot, count = rings[index], slots[index], rows[index]
            x = block.finish(x, self._look_back((q, key, value), angles, ring, slot, count))
        for index, block in enumerate(_blocks(self.layers), len(self.crosses)):
            q, key, value = block.enter(block.norm(x)).chunk(3, dim=-1)
            ring, slot, count = rings[index], slots[index], rows[index]
            x = block.finish(x, self._look_back((q, key, value), angles, ring, slot, count))
        logits: Tensor = self.head(self.final_norm(x))[0]
        return logits

    def _look_back(
        self, parts: Sequence[Tensor], angles: Angles, ring: Ring, slot: Tensor, rows: int
    ) -> Tensor:
        """Write key and value (1, E) into a ring and attend to all that it holds: (H, 1, D)."""
        q, key, value = (part.view(self.heads, 1, -1) for part in parts)
        ring.write(slot, rotate(key, *angles), value)
        return ring.attend(rotate(q, *angles), rows)


class InPlaceModel:
    """A model with its memory of what it read, one token a step."""

    def __init__(
        self,
        model: PerceiverS,
        *,
        is_turned: bool,
        compiled: Callable[[StepModel], Callable[..., Tensor]] | None = None,
    ) -> None:
        """Allocate the rings.

        is_turned: matrices and caches in the layout that torch's BLAS reads fastest.
        compiled: how to compile a step; None leaves torch eager.
        """
        self._model = model.eval().requires_grad_(requires_grad=False)
        self._architecture = architecture = model.architecture
        step = StepModel(self._model, is_turned).eval()
        self._step: Callable[..., Tensor] = step if compiled is None else compiled(step)
        kind = ColumnRing if is_turned else RowRing
        self._rings: list[Ring] = [
            kind.empty(architecture.heads, window, architecture.head_dim)
            for window in (*architecture.cross_windows, *architecture.self_windows)
        ]
        self.position = 0
        self._keys = KeysDown()
        self._nothing_told = torch.zeros(1, architecture.dim)

    @torch.inference_mode()
    def fill(self, tokens: Sequence[int]) -> None:
        """Read the first tokens of a stream, many at once, by the model's own streaming form.

        As the engine does: what lies further back than the self-attentions reach goes into the
        cross-attentions only.
        """
        older = max(0, len(tokens) - (1 + self._architecture.reach))
        cache = self._cache_of(torch.tensor([tokens[:older]], dtype=torch.int64))
        for start in range(older, len(tokens), FILLED_AT_ONCE):
            part = torch.tensor([tokens[start : start + FILLED_AT_ONCE]])
            _, cache = self._model.step(part, cache)
        for ring, rows in zip(self._rings, (*cache.crosses, *cache.layers), strict=True):
            fill(ring, cache.position, rows)
        self.position = cache.position
        self._keys = KeysDown()
        for token in tokens:
            self._keys.read(token)

    def _cache_of(self, tokens: Tensor) -> Cache:
        """Return the cache after tokens (1, T) that only the cross-attentions see."""
        architecture, count = self._architecture, tokens.shape[1]
        angles = self._angles(torch.arange(count))
        normed = self._model.context_norm(self._model.embedding.weight)
        crosses = tuple(
            cross.keys_values(tokens, normed, angles).trimmed(window)
            for cross, window in zip(
                crosses_of(self._model), architecture.cross_windows, strict=True
            )
        )
        empty = torch.zeros(1, architecture.heads, 0, architecture.head_dim)
        keys = state_after(tokens, nothing_down(1)) if architecture.knows_keys else None
        return Cache(count, crosses, (KeyValue(empty, empty),) * len(architecture.windows), keys)

    @torch.inference_mode()
    def step(self, token: int) -> Tensor:
        """Read one token; return logits (V,)."""
        position = self.position
        angles = self._angles(torch.tensor([position]))
        slots = [torch.tensor([position % ring.window]) for ring in self._rings]
        rows = [min(position + 1, ring.window) for ring in self._rings]
        told = self._told(token)
        logits = self._step(torch.tensor([token]), told, angles, self._rings, slots, rows)
        self.position += 1
        return logits

    def _told(self, token: int) -> Tensor:
        if not self._architecture.knows_keys:
            return self._nothing_told
        self._keys.read(token)
        return self._model.key_embedding.weight[self._keys.rows()].sum(0, keepdim=True)

    def _angles(self, positions: Tensor) -> Angles:
        return rotary_angles(positions, self._architecture.head_dim, self._architecture.rope_base)


def _blocks(modules: nn.ModuleList) -> list[Block]:
    return [block for block in modules if isinstance(block, Block)]


def crosses_of(model: PerceiverS) -> list[CrossAttention]:
    """Return the cross-attentions of a model."""
    return [cross for cross in model.crosses if isinstance(cross, CrossAttention)]


def layers_of(model: PerceiverS) -> list[SelfAttention]:
    """Return the self-attentions of a model."""
    return [layer for layer in model.layers if isinstance(layer, SelfAttention)]
