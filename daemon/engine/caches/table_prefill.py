"""A long context by table: what cross-attentions keep of old tokens is looked up, not computed.

What a cross-attention keeps of a token depends on nothing but token and position. What the
self-attentions keep depends on at most the sum of (window - 1) tokens before: with that many read
in full, every row that a later token can see is the exact one.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from daemon.engine.caches.block import BlockCache
from daemon.engine.caches.window import WindowCache
from daemon.engine.cross_rows import Array, RotaryAngles, cross_rows, table_places
from perceivers.architecture import Architecture

LOOKED_UP_AT_ONCE = 1024
FEWEST = 64  # that are worth it


class TablePrefill:
    """Fills the caches of a host with the older part of a long feed."""

    def __init__(
        self,
        architecture: Architecture,
        tables: Array,
        rows: Sequence[WindowCache],
        blocks: Sequence[BlockCache],
        rewind_tokens: int,
    ) -> None:
        self._heads = architecture.heads
        self._tables = tables
        self._places = table_places([tensor for cache in rows for tensor in cache.tensors])
        self._angles = RotaryAngles(architecture)
        self._rows = rows
        self._blocks = blocks
        self._deep_tokens = 1 + architecture.reach  # the end of the feed, read in full
        fewest = max(rewind_tokens, FEWEST)  # so that one can rewind as far as promised
        self.pays_from = self._deep_tokens + fewest
        """Tokens of a feed from which on it is taken."""

    def skip(self, tokens: NDArray[np.int64], position: int) -> int:
        """Take the older of tokens from `position` on into the caches; return how many."""
        skipped = len(tokens) - self._deep_tokens
        for cache in self._rows:
            if cache.tensors[0].kind == "self":
                cache.restart(position + skipped)
                continue
            places = [self._places[tensor.name] for tensor in cache.tensors]
            for part, angles in self._parts(cache, tokens[:skipped], position):
                cache.append(cross_rows(self._tables, places, part, self._heads, angles))
        for block in self._blocks:
            for part, (cos, sin) in self._parts(block, tokens[:skipped], position):
                block.append(part, cos + 1j * sin)
        return skipped

    def _parts(
        self, cache: WindowCache | BlockCache, tokens: NDArray[np.int64], position: int
    ) -> Iterator[tuple[NDArray[np.int64], tuple[Array, Array]]]:
        """Yield tokens and their angles, part by part, without those that will be out of sight."""
        first = max(0, len(tokens) - (cache.window - 1))
        if first:
            cache.restart(position + first)
        for start in range(first, len(tokens), LOOKED_UP_AT_ONCE):
            part = tokens[start : start + LOOKED_UP_AT_ONCE]
            yield part, self._angles.of(position + start, len(part))
