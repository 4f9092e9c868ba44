"""What is down after each token, for a model that is told: a sum of rows of its table.

The state is small and follows from the tokens: a few states and the tokens since are enough to go
back to any of them.
"""

from array import array
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perceivers.keys_down import KEY_ROWS, KeysDown
from perceivers.manifest import KEYS_TABLE, Manifest
from perceivers.token_tables import Weights

Floats = NDArray[np.floating]

EVERY = 256
"""Tokens from one kept state to the next; to go back between them is to read so many at most."""
SPARE = 4096
"""Tokens that can be gone back beyond those promised: other caches have slack, and this one is
never the first that cannot."""


@dataclass(frozen=True, slots=True)
class SavedKeys:
    """What is down at some position."""

    position: int
    keys: KeysDown

    @property
    def bytes(self) -> int:
        """Size of what is known of keys; it is too small to count."""
        return 0


class KeyInputs:
    """Reads tokens, and says what each of them is told of keys and pedal."""

    def __init__(self, table: NDArray[np.float32], rewind_tokens: int) -> None:
        """Begin with nothing down.

        table: (KEY_ROWS, E).
        rewind_tokens: how far `rewind` goes back at least.
        """
        assert len(table) == KEY_ROWS
        self._table = table
        self._most_kept = 2 + (rewind_tokens + SPARE) // EVERY
        self._keys = KeysDown()
        self._kept = deque([SavedKeys(0, KeysDown())])
        self._tokens = array("H")  # from the first kept state on

    @property
    def oldest(self) -> int:
        """The earliest position that `rewind` can go back to."""
        return self._kept[0].position

    def restart(self, position: int) -> None:
        """Forget everything; the next token stands at `position`."""
        self.restore(SavedKeys(position, KeysDown()))

    def append(self, tokens: NDArray[np.int64], told: Floats) -> None:
        """Read the next tokens (T,), and write what each of them is told to `told` (T, E)."""
        for place, token in enumerate(tokens.tolist()):
            self._read(token)
            told[place] = self._table[self._keys.rows()].sum(axis=0)

    def skip(self, tokens: NDArray[np.int64]) -> None:
        """Read the next tokens, and say nothing."""
        for token in tokens.tolist():
            self._read(token)

    def rewind(self, position: int) -> None:
        """Forget every token from `position` on; it lies between `oldest` and the newest."""
        assert self.oldest <= position <= self.oldest + len(self._tokens)
        while self._kept[-1].position > position:
            self._kept.pop()
        nearest = self._kept[-1]
        del self._tokens[position - self.oldest :]
        self._keys = nearest.keys.copy()
        for token in self._tokens[nearest.position - self.oldest :]:
            self._keys.read(token)

    def save(self) -> SavedKeys:
        """Return a copy of what the next token sees."""
        return SavedKeys(self.oldest + len(self._tokens), self._keys.copy())

    def restore(self, saved: SavedKeys) -> None:
        """Be what was saved, and know nothing of before."""
        self._keys = saved.keys.copy()
        self._kept = deque([saved])
        self._tokens = array("H")

    def _read(self, token: int) -> None:
        self._keys.read(token)
        self._tokens.append(token)
        if len(self._tokens) % EVERY == 0:
            self._kept.append(self.save())
            if len(self._kept) > self._most_kept:
                self._kept.popleft()
                del self._tokens[:EVERY]


def key_inputs(manifest: Manifest, weights: Weights, rewind_tokens: int) -> KeyInputs | None:
    """Return the reader of a model's own weights; None for a model that is told nothing."""
    if not manifest.architecture.knows_keys:
        return None
    return KeyInputs(weights[KEYS_TABLE].astype(np.float32), rewind_tokens)
