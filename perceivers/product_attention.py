"""Banded attention by plain matrix products, forward and backward: the training form on a CPU.

A fused kernel spends most of its time there outside of products, and autograd's own backward pass
of a slice fills a whole tensor with zeros. So queries are taken in tiles, each against the keys
that its band reaches, and the backward pass is written out. B batch, H heads, N queries, S keys, D
head width, L queries of a block, K keys that a block reaches. Queries and keys are right-aligned:
the last query stands at the last key.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

LONGEST_KEPT = 4096
"""Keys; beyond, the backward pass computes probabilities again: they would fill the memory."""
NARROW, WIDE = 64, 256
"""Windows up to the first and beyond the second have blocks of that many queries, others of half
the second: a larger block has fewer and larger products, and more scores outside of the band."""


class Band(NamedTuple):
    """What a query sees: its own position and the window - 1 before it, but for what is hidden."""

    window: int
    padding: Tensor | None = None  # (B,): hidden keys at the left; None where there are none
    kept: Tensor | None = None  # (S,): keys that may be seen; None where all may


def band_mask(queries: int, keys: int, window: int, device: torch.device) -> Tensor:
    """Return the mask (N, S): each query sees its own position and the window - 1 before it."""
    last_key = torch.arange(keys - queries, keys, device=device)[:, None]
    key = torch.arange(keys, device=device)[None, :]
    return (key <= last_key) & (key > last_key - window)


def product_attention(q: Tensor, k: Tensor, v: Tensor, band: Band) -> Tensor:
    """Attend within a band.

    q (B, H, N, D), k and v (B, H, S, D). Returns (B, H, N, D); a query that is itself padding gets
    anything finite.
    """
    attended: Tensor = _ProductAttention.apply(q, k, v, band)  # type: ignore[no-untyped-call]
    return attended


class Tile(NamedTuple):
    """Blocks of L queries each, and the K keys that each of them reaches: one batch of products."""

    queries: slice
    keys: slice  # from before the first key on, where the band of the first block reaches there
    blocks: int = 1

    @property
    def length(self) -> int:
        """L."""
        count: int = self.queries.stop - self.queries.start
        return count // self.blocks

    def of_queries(self, x: Tensor) -> Tensor:
        """(B H, N, D) → (B H blocks, L, D)."""
        return x[:, self.queries].reshape(-1, self.length, x.shape[-1])

    def of_keys(self, x: Tensor) -> Tensor:
        """(B H, S, D) → (B H blocks, K, D)."""
        if self.blocks == 1:
            return x[:, self.keys].contiguous()
        rows = pad(x[:, max(0, self.keys.start) :], (0, 0, max(0, -self.keys.start), 0))
        parts = rows.reshape(len(x), -1, self.length, x.shape[-1])
        reached = parts.shape[1] - self.blocks + 1
        shifted = [parts[:, part : part + self.blocks] for part in range(reached)]
        return torch.cat(shifted, dim=2).flatten(0, 1)

    def add_to_keys(self, total: Tensor, x: Tensor) -> None:
        """Add x (B H blocks, K, D) to (B H, S, D): the transpose of `of_keys`."""
        if self.blocks == 1:
            total[:, self.keys] += x
            return
        parts = x.view(len(total), self.blocks, -1, self.length, x.shape[-1])
        for part in range(parts.shape[2]):
            start = self.keys.start + part * self.length
            rows = parts[:, :, part].flatten(1, 2)
            total[:, max(0, start) : start + rows.shape[1]] += rows[:, max(0, -start) :]


def tiles(queries: int, keys: int, window: int) -> list[Tile]:
    """Return the tiles of a band: one with all blocks where it is narrow, else one for each."""
    length = NARROW if window <= NARROW else WIDE if window > WIDE else WIDE // 2
    before = keys - queries
    if window <= WIDE and queries % length == 0:
        reach = -(-(window - 1) // length) * length
        return [Tile(slice(0, queries), slice(before - reach, keys), queries // length)]
    tiles = []
    for start in range(0, queries, length):
        stop = min(start + length, queries)
        first = max(0, before + start - window + 1)
        tiles.append(Tile(slice(start, stop), slice(first, before + stop)))
    return tiles


def _hide(scores: Tensor, tile: Tile, band: Band, heads: int) -> None:
    """Set the scores (B H blocks, L, K) of keys that are not seen to minus infinity.

    There are many scores: only those at the edges of the band are touched.
    """
    _, length, reached = scores.shape
    for columns, hidden in _edges(length, reached, band.window, scores.dtype):
        scores[..., columns] += hidden
    of_samples = scores.view(-1, heads, tile.blocks, length, reached)
    padding = [0] if band.padding is None else band.padding.tolist()
    for block in range(tile.blocks):
        first = tile.keys.start + block * length
        if first < 0:  # the band reaches to before the first key
            of_samples[:, :, block, :, :-first] = float("-inf")
        for sample, count in enumerate(padding):
            if count > first:
                _hide_padding(of_samples[sample, :, block], count - first)
        if band.kept is not None:
            kept = band.kept[max(0, first) : first + reached]
            of_samples[:, :, block, :, -len(kept) :].masked_fill_(~kept, float("-inf"))


def _hide_padding(scores: Tensor, count: int) -> None:
    """Hide the first `count` keys from the queries of one block (H, L, K), but not from themselves.

    Every query sees itself: without any key there is no softmax.
    """
    _, length, reached = scores.shape
    itself = scores.diagonal(reached - length, -2, -1)
    kept = itself.clone()
    scores[..., :count] = float("-inf")
    itself.copy_(kept)


@lru_cache(maxsize=64)
def _edges(
    queries: int, keys: int, window: int, dtype: torch.dtype
) -> tuple[tuple[slice, Tensor], ...]:
    """Return the columns that a band hides from some queries, and what is added to hide them."""
    seen = band_mask(queries, keys, window, torch.device("cpu"))
    hidden = torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, float("-inf"))
    left, right = max(0, keys - window), keys - queries + 1
    edges = [slice(0, left), slice(right, keys)] if left < right else [slice(0, keys)]
    return tuple((edge, hidden[:, edge]) for edge in edges if edge.start < edge.stop)


def _probabilities(q: Tensor, k: Tensor, tile: Tile, band: Band, heads: int) -> Tensor:
    """Return what each query of a tile makes of each key that its block reaches."""
    scores = torch.bmm(q, k.transpose(1, 2))
    _hide(scores, tile, band, heads)
    return torch.softmax(scores, dim=-1)


class _ProductAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, band: Band) -> Tensor:
        ctx.band, ctx.shape = band, q.shape
        # Queries are scaled once, instead of every score.
        q, k, v = (q * q.shape[-1] ** -0.5).flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
        attended = torch.empty_like(q)
        kept = []
        for tile in tiles(q.shape[1], k.shape[1], band.window):
            p = _probabilities(tile.of_queries(q), tile.of_keys(k), tile, band, ctx.shape[1])
            found = torch.bmm(p, tile.of_keys(v))
            attended[:, tile.queries] = found.view(len(q), -1, q.shape[-1])
            if k.shape[1] <= LONGEST_KEPT:
                kept.append(p)
        ctx.save_for_backward(q, k, v, *kept)
        return attended.view(ctx.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *kept = ctx.saved_tensors
        of_attended = gradients[0].to(q.dtype).flatten(0, 1)
        of_q = torch.empty_like(q)
        of_k, of_v = torch.zeros_like(k), torch.zeros_like(v)  # each a sum of a few blocks
        for index, tile in enumerate(tiles(q.shape[1], k.shape[1], ctx.band.window)):
            queries, keys = tile.of_queries(q), tile.of_keys(k)
            upstream = tile.of_queries(of_attended)
            p = kept[index] if kept else _probabilities(queries, keys, tile, ctx.band, ctx.shape[1])
            tile.add_to_keys(of_v, torch.bmm(p.transpose(1, 2), upstream))
            of_p = torch.bmm(upstream, tile.of_keys(v).transpose(1, 2))
            of_scores = torch._softmax_backward_data(of_p, p, -1, q.dtype)  # noqa: SLF001
            of_q[:, tile.queries] = torch.bmm(of_scores, keys).view(len(q), -1, q.shape[-1])
            tile.add_to_keys(of_k, torch.bmm(of_scores.transpose(1, 2), queries))
        of_q *= q.shape[-1] ** -0.5
        found = (x.view(*ctx.shape[:2], *x.shape[1:]) for x in (of_q, of_k, of_v))
        return (*found, None)
