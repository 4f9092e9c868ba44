"""Moves rows of caches on the device where they lie: a graph of two nodes, nothing by the host."""

import numpy as np
from numpy.typing import DTypeLike

from daemon.engine.onnx_bytes import small_model
from daemon.engine.runtime import Binding, Device, Value, open_session, share

ROWS_AXIS = 2  # of (1, H, rows, D)


class RowMover:
    """Cuts rows out of one buffer, and puts rows into another or the same."""

    def __init__(self, device: Device, dtype: DTypeLike) -> None:
        self.device = device
        self.dtype = np.dtype(dtype)
        self._session = open_session(_graph(dtype), device)
        # The graph's numbers, which the host reads on every device; bindings hold no reference.
        self._start, self._stop = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self._axis, self._pads = np.array([ROWS_AXIS], np.int64), np.zeros(8, np.int64)

    def cut(self, source: Value, start: int, stop: int) -> Value:
        """Return a copy of rows start..stop - 1 of a buffer."""
        binding = self._bind(source, start, stop, 0, 0)
        binding.bind_output("rows", self.device.name, 0)
        self._session.run_with_iobinding(binding)
        return binding.get_outputs()[0]

    def move(self, source: Value, start: int, stop: int, target: Value, goal: int) -> None:
        """Let `target` hold rows start..stop - 1 of `source` at row `goal`, and zeros elsewhere.

        Both may be the same: the rows are cut out before anything is written.
        """
        after = target.shape()[ROWS_AXIS] - goal - (stop - start)
        binding = self._bind(source, start, stop, goal, after)
        binding.bind_ortvalue_output("padded", target)
        self._session.run_with_iobinding(binding)

    def _bind(self, source: Value, start: int, stop: int, before: int, after: int) -> Binding:
        self._start[0], self._stop[0] = start, stop
        self._pads[ROWS_AXIS], self._pads[ROWS_AXIS + 4] = before, after
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("source", source)
        numbers = {
            "start": self._start, "stop": self._stop, "axis": self._axis, "pads": self._pads,
        }  # fmt: skip
        for name, array in numbers.items():
            binding.bind_ortvalue_input(name, share(array))
        return binding


def _graph(dtype: DTypeLike) -> bytes:
    numbers = {name: (np.int64, [1]) for name in ("start", "stop", "axis")}
    return small_model(
        [
            ("Slice", ["source", "start", "stop", "axis"], "rows"),
            ("Pad", ["rows", "pads"], "padded"),
        ],
        {"source": (dtype, [1, "H", "C", "D"]), **numbers, "pads": (np.int64, [8])},
        {"rows": (dtype, [1, "H", "K", "D"]), "padded": (dtype, [1, "H", "P", "D"])},
    )
