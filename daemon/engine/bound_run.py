"""Runs of one length: inputs and outputs are bound once, a run writes and reads their memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.engine.caches.block import BlockCache
from daemon.engine.caches.protocol import RowCache
from daemon.engine.caches.set import CacheSet
from daemon.engine.runtime import Session, Value, allocate, share
from perceivers.architecture import Architecture
from perceivers.graphs import KEYS_INPUT, block_names, length_names

Array = NDArray[np.float32]


class BoundRun:
    """The next T tokens through a graph, into its caches."""

    def __init__(
        self, session: Session, architecture: Architecture, caches: CacheSet, count: int
    ) -> None:
        self.tokens = np.zeros(count, np.int64)
        half = architecture.head_dim // 2
        self.cos, self.sin = np.zeros((2, count, half), caches.rows[0].dtype)
        self._session = session
        self.binding = session.io_binding()
        self._device = caches.device
        self._sent: list[tuple[Value, NDArray[Any]]] = []
        for name, array in (("tokens", self.tokens[None]), ("cos", self.cos), ("sin", self.sin)):
            self._bind_input(name, array)
        if caches.keys is not None:
            self.keys = np.zeros((count, architecture.dim), caches.rows[0].dtype)
            self._bind_input(KEYS_INPUT, self.keys[None])
        for cache in caches.rows:
            self._bind_rows(cache)
        self._blocks = caches.blocks
        self._blocks_bound = [0 for _ in self._blocks]
        self._logits = np.zeros((1, count, architecture.vocabulary_size), np.float32)
        self._logits_value = self._place(self._logits)
        self.binding.bind_ortvalue_output("logits", self._logits_value)

    def __call__(self) -> Array:
        """Run; return the logits (T, V), which the next run may overwrite."""
        for index, cache in enumerate(self._blocks):
            cache.mask(len(self.tokens))
            if cache.blocks_used != self._blocks_bound[index]:
                self._bind_blocks(cache)
                self._blocks_bound[index] = cache.blocks_used
        for value, array in self._sent:
            value.update_inplace(array)
        self._session.run_with_iobinding(self.binding)
        whole = self._logits if self._device is None else self._logits_value.numpy()
        logits: Array = whole[0]
        return logits

    def _bind_rows(self, cache: RowCache) -> None:
        last_row, rows = length_names(cache.tensors[0])
        self._bind_input(last_row, cache.last_row)
        # The number of rows is read by the host, on a GPU too: it decides what to start there.
        self.binding.bind_ortvalue_input(rows, share(cache.rows))
        for tensor, value in zip(cache.tensors, cache.values, strict=True):
            self.binding.bind_ortvalue_input(tensor.name, value)
            self.binding.bind_ortvalue_output(f"{tensor.name}_out", value)

    def _bind_blocks(self, cache: BlockCache) -> None:
        """Bind the blocks that are in use: only they are read."""
        mask, tokens = block_names(cache.tensor)
        self.binding.bind_ortvalue_input(cache.tensor.name, share(cache.keys))
        self.binding.bind_ortvalue_input(mask, share(cache.mask_memory(len(self.tokens))))
        self.binding.bind_ortvalue_input(tokens, share(cache.tokens))

    def _bind_input(self, name: str, array: NDArray[Any]) -> None:
        value = self._place(array)
        self.binding.bind_ortvalue_input(name, value)
        if self._device is not None:
            self._sent.append((value, array))

    def _place(self, array: NDArray[Any]) -> Value:
        """Return the value for an array of the host: its own memory, or room on the device."""
        if self._device is None:
            return share(array)
        return allocate(array.shape, array.dtype, self._device)
