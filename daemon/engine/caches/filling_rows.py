"""Rows that fill a buffer from front to end, and what the graph is told of them."""

from abc import ABC, abstractmethod

import numpy as np


class FillingRows(ABC):
    """Counts the rows of a buffer, wherever it lies; how it makes room is its own affair."""

    def __init__(self, capacity: int, most_at_once: int) -> None:
        self.capacity = capacity
        self.most_at_once = most_at_once
        """Tokens that can be read in one run without losing sight of the window."""
        self.last_row = np.zeros(1, np.int32)
        """Graph input: index of the last row, of the tokens being read included."""
        self.rows = np.zeros(1, np.int32)
        """Graph input: number of rows, those of the tokens being read included."""
        self._fill = 0

    def make_room(self, tokens: int) -> None:
        """Prepare to read `tokens` more, and tell the graph where their rows go."""
        assert tokens <= self.most_at_once
        if self._fill + tokens > self.capacity:
            self._compact()
        self.rows[0] = self._fill + tokens
        self.last_row[0] = self._fill + tokens - 1

    def advance(self, tokens: int) -> None:
        """Take the rows that the graph has written as read."""
        self._fill += tokens

    @abstractmethod
    def _compact(self) -> None:
        """Move what is still needed to the front."""
