"""The caches of one attention window: buffers that the graph writes into, and rows to go back to.

Attention costs as much as its buffer has rows, and sees no further than its window: so a buffer
holds little more than the window, is filled in place, and when it is full its newest rows move to
its front. Rows that leave it stay in a history, from which a rewound buffer is put together
again, bit by bit the same. H heads, D head width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from daemon.engine.caches.filling_rows import FillingRows
from daemon.engine.runtime import share
from perceivers.graphs import CacheTensor

Rows = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class SavedRows:
    """What the next token sees of one window, and where in its buffers it lay."""

    first: int
    """Position of the buffer's first row."""
    fill: int
    rows: Rows
    """The newest rows (tensors, H, K, D), up to `fill`."""

    @property
    def bytes(self) -> int:
        """Size of the rows."""
        return self.rows.nbytes


class WindowCache(FillingRows):
    """All caches of one kind and window: they are always equally full."""

    def __init__(
        self, tensors: Sequence[CacheTensor], history_rows: int, dtype: DTypeLike = np.float32
    ) -> None:
        self.tensors = tuple(tensors)
        self.window = tensors[0].window
        self.dtype = np.dtype(dtype)
        _, heads, capacity, width = tensors[0].shape
        super().__init__(capacity, capacity - self.window + 1)
        self._memory = np.zeros((len(tensors), heads, capacity, width), dtype)
        self._slabs = self._memory.reshape(len(tensors) * heads, -1)
        self.values = [share(buffer) for buffer in self.buffers]
        self._width = width
        self._history = _History((len(tensors), heads, max(1, history_rows), width), dtype)
        self.restart(0)

    @property
    def buffers(self) -> list[Rows]:
        """The memory of each tensor, (1, H, capacity, D); it stays where it is."""
        return [self._memory[index : index + 1] for index in range(len(self.tensors))]

    @property
    def oldest(self) -> int:
        """The earliest position that `rewind` can go back to."""
        known_from = max(self._origin, self._first - self._history.count)
        return known_from if known_from == self._origin else known_from + self.window - 1

    def restart(self, position: int) -> None:
        """Forget every row; the next one stands at `position`."""
        self._origin = self._first = position
        self._fill = 0
        self._history.count = 0

    def append(self, rows: Rows) -> None:
        """Write the rows (tensors, H, T, D) of T tokens that the graph does not read."""
        for start in range(0, rows.shape[2], self.most_at_once):
            part = rows[:, :, start : start + self.most_at_once]
            self.make_room(part.shape[2])
            self._memory[:, :, self._fill : self._fill + part.shape[2]] = part
            self.advance(part.shape[2])

    def rewind(self, position: int) -> None:
        """Forget every row from `position` on; it lies between `oldest` and the newest row."""
        assert self.oldest <= position <= self._first + self._fill
        needed = max(self._origin, position - (self.window - 1))
        if needed < self._first:
            self._restore(needed, position)
        self._fill = position - self._first

    def save(self) -> SavedRows:
        """Return a copy of what the next token sees."""
        kept = self._kept
        rows = self._memory[:, :, self._fill - kept : self._fill].copy()
        return SavedRows(self._first, self._fill, rows)

    def restore(self, saved: SavedRows) -> None:
        """Be what was saved, and know nothing of before.

        The rows come to the very places where they lay: sums of floats depend on them.
        """
        kept = saved.rows.shape[2]
        self._memory[:, :, saved.fill - kept : saved.fill] = saved.rows
        self._first, self._fill = saved.first, saved.fill
        self._origin = saved.first + saved.fill - kept
        self._history.count = 0

    @property
    def _kept(self) -> int:
        """Rows that the next token sees."""
        return min(self._fill, self.window - 1)

    def _compact(self) -> None:
        """Keep the rows that the next token sees, at the front; the others become history."""
        kept = self._kept
        dropped = self._fill - kept
        self._history.put(self._first, self._memory[:, :, :dropped])
        self._move(dropped, 0, kept)
        self._first += dropped
        self._fill = kept

    def _restore(self, needed: int, position: int) -> None:
        """Bring the rows from position `needed` on back to the front."""
        kept = max(0, position - self._first)
        self._move(0, self._first - needed, kept)
        restored = min(self._first, position) - needed
        self._memory[:, :, :restored] = self._history.get(needed, restored)
        self._history.count -= self._first - needed
        self._first = needed

    def _move(self, source: int, target: int, rows: int) -> None:
        """Move rows within every buffer; numpy moves overlapping memory of one axis in place."""
        start, goal, size = source * self._width, target * self._width, rows * self._width
        if size:
            for slab in self._slabs:
                slab[goal : goal + size] = slab[start : start + size]


class _History:
    """The rows that left a buffer last: a ring in which a position has its fixed place."""

    def __init__(self, shape: tuple[int, int, int, int], dtype: DTypeLike) -> None:
        self._ring = np.zeros(shape, dtype)
        self._size = shape[2]
        self.count = 0
        """Rows held, up to the one before the buffer's first."""

    def put(self, position: int, rows: Rows) -> None:
        """Add rows (tensors, H, T, D), the first of which stood at `position`."""
        skipped = max(0, rows.shape[2] - self._size)
        self._ring[:, :, self._places(position + skipped, rows.shape[2] - skipped)] = rows[
            :, :, skipped:
        ]
        self.count = min(self._size, self.count + rows.shape[2])

    def get(self, position: int, count: int) -> Rows:
        """Return the rows of `count` positions from `position` on."""
        return self._ring[:, :, self._places(position, count)]

    def _places(self, position: int, count: int) -> NDArray[np.intp]:
        return np.arange(position, position + count) % self._size
