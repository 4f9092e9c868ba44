"""Runs of one length: inputs and outputs are bound once, a run writes and reads their memory."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.runtime import Session, Value, share
from daemon.window_cache import WindowCache
from perceivers.architecture import Architecture
from perceivers.manifest import length_names

Array = NDArray[np.float32]


class BoundRun:
    """The next T tokens through a graph, into its caches."""

    def __init__(
        self,
        session: Session,
        architecture: Architecture,
        caches: Iterable[WindowCache],
        bound: dict[str, Value],
        count: int,
    ) -> None:
        half, size = architecture.head_dim // 2, architecture.vocabulary_size
        caches = list(caches)
        float_type = caches[0].dtype
        self.tokens = np.zeros(count, np.int64)
        self.cos = np.zeros((count, half), float_type)
        self.sin = np.zeros((count, half), float_type)
        self._logits = np.zeros((1, count, size), np.float32)
        self._session = session
        self._binding = session.io_binding()
        inputs: dict[str, NDArray[Any]] = {
            "tokens": self.tokens[None], "cos": self.cos, "sin": self.sin,
        }  # fmt: skip
        for cache in caches:
            last_row, rows = length_names(cache.tensors[0])
            inputs |= {last_row: cache.last_row, rows: cache.rows}
        for name, array in inputs.items():
            self._binding.bind_ortvalue_input(name, share(array))
        self._binding.bind_ortvalue_output("logits", share(self._logits))
        for name, value in bound.items():
            self._binding.bind_ortvalue_input(name, value)
            self._binding.bind_ortvalue_output(f"{name}_out", value)

    def __call__(self) -> Array:
        """Run; return the logits (T, V), which the next run overwrites."""
        self._session.run_with_iobinding(self._binding)
        logits: Array = self._logits[0]
        return logits
