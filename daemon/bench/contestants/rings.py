"""Caches of fixed size that a step writes one row into, in the two layouts that torch may read.

A ring is as large as its window; position p lies at p mod W. Nothing is copied and nothing masked:
keys are rotated by their absolute position, and a sum over them has no order. H heads, D head
width, W window, S rows that are filled.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from perceivers.cache import KeyValue


class RowRing(NamedTuple):
    """Keys and values (H, W, D), read by torch's fused attention: what one writes first."""

    keys: Tensor
    values: Tensor

    @classmethod
    def empty(cls, heads: int, window: int, width: int) -> "RowRing":
        """Allocate a ring."""
        return cls(*(torch.zeros(heads, window, width) for _ in range(2)))

    @property
    def window(self) -> int:
        """W, in positions."""
        return self.keys.shape[1]

    def write(self, slot: Tensor, key: Tensor, value: Tensor) -> None:
        """Put the rows (H, T, D) of T positions at slots (T,)."""
        self.keys.index_copy_(1, slot, key)
        self.values.index_copy_(1, slot, value)

    def attend(self, q: Tensor, rows: int) -> Tensor:
        """Attend from queries (H, 1, D) to the first S = `rows` slots; return (H, 1, D)."""
        keys, values = self.keys[None, :, :rows], self.values[None, :, :rows]
        return scaled_dot_product_attention(q[None], keys, values)[0]


class ColumnRing(NamedTuple):
    """Keys and values (H, D, W), read by two matrix products: what torch's BLAS reads fastest."""

    keys: Tensor
    values: Tensor

    @classmethod
    def empty(cls, heads: int, window: int, width: int) -> "ColumnRing":
        """Allocate a ring."""
        return cls(*(torch.zeros(heads, width, window) for _ in range(2)))

    @property
    def window(self) -> int:
        """W, in positions."""
        return self.keys.shape[2]

    def write(self, slot: Tensor, key: Tensor, value: Tensor) -> None:
        """Put the rows (H, T, D) of T positions at slots (T,)."""
        self.keys.index_copy_(2, slot, key.transpose(1, 2))
        self.values.index_copy_(2, slot, value.transpose(1, 2))

    def attend(self, q: Tensor, rows: int) -> Tensor:
        """Attend from queries (H, 1, D) to the first S = `rows` slots; return (H, 1, D)."""
        scores = torch.matmul(q * q.shape[-1] ** -0.5, self.keys[:, :, :rows])
        values = self.values[:, :, :rows].transpose(1, 2)
        return torch.matmul(torch.softmax(scores, dim=-1), values)


Ring = RowRing | ColumnRing


def fill(ring: Ring, position: int, rows: KeyValue) -> None:
    """Put the rows (1, H, S, D) of the S positions that end before `position` into a ring."""
    count = rows.keys.shape[-2]
    slots = torch.arange(position - count, position) % ring.window
    ring.write(slots, rows.keys[0], rows.values[0])
