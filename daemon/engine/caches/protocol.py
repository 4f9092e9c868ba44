"""What the engine needs of its caches, wherever they lie."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from daemon.engine.runtime import Value
from perceivers.graphs import CacheTensor


class Saved(Protocol):
    """A copy of what the next token sees of a cache."""

    @property
    def bytes(self) -> int:
        """Size of the copy."""


class Cache(Protocol):
    """Remembers for one attention, or for several of one window."""

    @property
    def oldest(self) -> int:
        """The earliest position that `rewind` can go back to."""

    def restart(self, position: int) -> None:
        """Forget everything; the next token stands at `position`."""

    def rewind(self, position: int) -> None:
        """Forget every token from `position` on; it lies between `oldest` and the newest."""

    def save(self) -> Saved:
        """Return a copy of what the next token sees."""

    def restore(self, saved: Any) -> None:
        """Be what was saved, everything in its place, and know nothing of before."""


class RowCache(Cache, Protocol):
    """All caches of rows of one kind and window: they are always equally full."""

    @property
    def tensors(self) -> Sequence[CacheTensor]:
        """What the graph calls them."""

    @property
    def values(self) -> Sequence[Value]:
        """The memory of each tensor, (1, H, capacity, D); it stays where it is."""

    @property
    def last_row(self) -> NDArray[np.int32]:
        """Graph input: index of the last row, of the tokens being read included."""

    @property
    def rows(self) -> NDArray[np.int32]:
        """Graph input: number of rows, those of the tokens being read included."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the rows."""

    @property
    def most_at_once(self) -> int:
        """Tokens that can be read in one run without losing sight of the window."""

    def make_room(self, tokens: int) -> None:
        """Prepare to read `tokens` more, and tell the graph where their rows go."""

    def advance(self, tokens: int) -> None:
        """Take the rows that the graph has written as read."""
