"""How fast one thread reads memory, without compiling anything.

After the read kernel of STREAM (McCalpin, 1995), with one difference: the buffer is as large as
what is asked for, so that what the caches of the processor hold is credited just as it is to a
program that reads the same bytes again and again.
"""

import ctypes
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np

REPEATS = 5
BYTES_OF_MEMORY = 512 * 2**20
"""A buffer far larger than the caches, to measure the memory itself."""


class Reader:
    """A buffer and the two fastest ways found of reading it with one thread.

    The C library's memory comparison reads two streams with vector loads and does nothing else;
    numpy's maximum reads one. Which of them wins depends on processor and size; numpy's sum and a
    dot product are slower, and the latter may take more threads than one.
    """

    def __init__(self, most_bytes: int = BYTES_OF_MEMORY) -> None:
        """Allocate the buffer and touch every page of it."""
        self._buffer = np.full(most_bytes // 8, 1, np.int64)
        library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
        self._compare = library.memcmp
        self._compare.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)

    def read_ms(self, size: int) -> float:
        """Return the time of one thread to read `size` bytes that were read just before."""
        return min(median(self._times_ms(way, size)) for way in (self._halves, self._whole))

    def _times_ms(self, way: Callable[[int], None], size: int) -> list[float]:
        way(size)
        times = []
        for _ in range(REPEATS):
            start_s = time.thread_time()
            way(size)
            times.append(1000 * (time.thread_time() - start_s))
        return times

    def _halves(self, size: int) -> None:
        first, half = self._buffer.ctypes.data, size // 2
        differs = self._compare(first, first + half // 8 * 8, half)
        assert differs == 0  # all numbers are the same: it read to the end

    def _whole(self, size: int) -> None:
        self._buffer[: size // 8].max()
