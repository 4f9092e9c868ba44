"""The streaming state of a PerceiverS model in torch: keys and values of every attention."""

from typing import NamedTuple

import torch
from torch import Tensor

from perceivers.architecture import Architecture
from perceivers.key_counts import KeyState, nothing_down


class KeyValue(NamedTuple):
    """Keys (already rotated) and values of one attention, each (B, H, S, D), S ≤ its window."""

    keys: Tensor
    values: Tensor

    def extended(self, keys: Tensor, values: Tensor) -> "KeyValue":
        """Return this cache with newer rows behind the old ones."""
        return KeyValue(torch.cat((self.keys, keys), -2), torch.cat((self.values, values), -2))

    def trimmed(self, window: int) -> "KeyValue":
        """Return the last `window - 1` rows: all that the next token can still see."""
        first = max(0, self.keys.shape[-2] - (window - 1))
        return KeyValue(self.keys[..., first:, :], self.values[..., first:, :])


class Cache(NamedTuple):
    """Caches in the order of the attentions: crosses, then self-attention layers."""

    position: int
    """Tokens read so far: the absolute position of the next token."""
    crosses: tuple[KeyValue, ...]
    layers: tuple[KeyValue, ...]
    keys: KeyState | None = None
    """What is down after them, for a model that is told."""


def empty_cache(
    architecture: Architecture, batch: int = 1, device: torch.device | None = None
) -> Cache:
    """Return the cache before the first token.

    Raises ModelMismatch for an architecture whose stream would not be the trained function.
    """
    architecture.check_streams_exactly()
    shape = (batch, architecture.heads, 0, architecture.head_dim)
    empty = KeyValue(torch.zeros(shape, device=device), torch.zeros(shape, device=device))
    crosses = (empty,) * len(architecture.scales)
    keys = nothing_down(batch, device) if architecture.knows_keys else None
    return Cache(0, crosses, (empty,) * len(architecture.windows), keys)
