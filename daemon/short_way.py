"""The short way to a long context: what cross-attentions keep of old tokens is looked up.

What a cross-attention keeps of a token depends on nothing but token and position. What the
self-attentions keep depends on at most the sum of (window - 1) tokens before: with that many read
in full, every row that a later token can see is the exact one.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from daemon.cross_rows import Array, RotaryAngles, cross_rows, table_places
from daemon.window_cache import WindowCache
from perceivers.manifest import Manifest

LOOKED_UP_AT_ONCE = 1024
FEWEST = 64  # that are worth it


class ShortWay:
    """Fills the caches of a host with the older part of a long feed."""

    def __init__(
        self, manifest: Manifest, tables: Array, caches: Sequence[WindowCache], rewind_tokens: int
    ) -> None:
        self._heads = manifest.architecture.heads
        self._tables = tables
        self._places = table_places(manifest.caches)
        self._angles = RotaryAngles(manifest.architecture)
        self._caches = caches
        self._deep_tokens = 1 + manifest.architecture.reach  # the end of the feed, read in full
        fewest = max(rewind_tokens, FEWEST)  # so that one can rewind as far as promised
        self.pays_from = self._deep_tokens + fewest
        """Tokens of a feed from which on it is taken."""

    def skip(self, tokens: NDArray[np.int64], position: int) -> int:
        """Take the older of tokens from `position` on into the caches; return how many."""
        skipped = len(tokens) - self._deep_tokens
        for cache in self._caches:
            if cache.tensors[0].kind == "cross":
                self._append(cache, tokens[:skipped], position)
            else:
                cache.restart(position + skipped)
        return skipped

    def _append(self, cache: WindowCache, tokens: NDArray[np.int64], position: int) -> None:
        """Look up and append the rows of tokens; those that would be out of sight are left out."""
        first = max(0, len(tokens) - (cache.window - 1))
        if first:
            cache.restart(position + first)
        places = [self._places[tensor.name] for tensor in cache.tensors]
        for start in range(first, len(tokens), LOOKED_UP_AT_ONCE):
            part = tokens[start : start + LOOKED_UP_AT_ONCE]
            angles = self._angles.of(position + start, len(part))
            cache.append(cross_rows(self._tables, places, part, self._heads, angles))
