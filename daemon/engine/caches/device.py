"""The caches of one attention window on a device: they never leave it.

Attention skips rows outside its window there, and memory is plenty: so a buffer keeps the rows of
the last `rewind_tokens` beside its window, rewinding is counting, and the newest rows move to the
front only once in SLACK_ROWS tokens, on the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.engine.caches.filling_rows import FillingRows
from daemon.engine.caches.row_mover import RowMover
from daemon.engine.runtime import Value, allocate
from perceivers.graphs import CacheTensor

SLACK_ROWS = 4096


@dataclass(frozen=True, slots=True)
class SavedDeviceRows:
    """What the next token sees of one window, and where in its buffers it lay."""

    first: int
    """Position of the buffer's first row."""
    fill: int
    kept: int
    rows: tuple[Value, ...]
    """Of each tensor, its newest rows (1, H, kept, D), up to `fill`; none if there are none."""

    @property
    def bytes(self) -> int:
        """Size of the rows."""
        return sum(value.tensor_size_in_bytes() for value in self.rows)


class DeviceCache(FillingRows):
    """All caches of one kind and window: they are always equally full."""

    def __init__(self, tensors: Sequence[CacheTensor], rewind_tokens: int, mover: RowMover) -> None:
        self.tensors = tuple(tensors)
        self.window = tensors[0].window
        self.dtype = mover.dtype
        self._mover = mover
        self._kept_rows = self.window - 1 + rewind_tokens
        super().__init__(self._kept_rows + SLACK_ROWS, SLACK_ROWS)
        _, heads, _, width = tensors[0].shape
        shape = (1, heads, self.capacity, width)
        self.values = [allocate(shape, mover.dtype, mover.device) for _ in tensors]
        self.restart(0)

    @property
    def oldest(self) -> int:
        """The earliest position that `rewind` can go back to."""
        return self._first if self._first == self._origin else self._first + self.window - 1

    def restart(self, position: int) -> None:
        """Forget every row; the next one stands at `position`."""
        self._origin = self._first = position
        self._fill = 0

    def rewind(self, position: int) -> None:
        """Forget every row from `position` on; it lies between `oldest` and the newest row."""
        assert self.oldest <= position <= self._first + self._fill
        self._fill = position - self._first

    def save(self) -> SavedDeviceRows:
        """Return a copy of what the next token sees, on the device."""
        kept = min(self._fill, self.window - 1)
        values = self.values if kept else []
        rows = tuple(self._mover.cut(value, self._fill - kept, self._fill) for value in values)
        return SavedDeviceRows(self._first, self._fill, kept, rows)

    def restore(self, saved: SavedDeviceRows) -> None:
        """Be what was saved, each row in its place, and know nothing of before."""
        before = saved.fill - saved.kept
        for rows, value in zip(saved.rows, self.values, strict=bool(saved.rows)):
            self._mover.move(rows, 0, saved.kept, value, before)
        self._first, self._fill = saved.first, saved.fill
        self._origin = saved.first + before

    def _compact(self) -> None:
        """Keep at the front what the next token sees, and what a rewind may bring back."""
        kept = min(self._fill, self._kept_rows)
        dropped = self._fill - kept
        for value in self.values:
            self._mover.move(value, dropped, self._fill, value, 0)
        self._first += dropped
        self._fill = kept
