"""The keys of one cross-attention: blocks of tokens in a ring, and a mask of what is seen.

What a cross-attention keeps of a token depends on the token and its position alone, so the host
writes it, and the graph only reads. Keys stand in a ring of rows, tokens along the last axis of a
block; the mask hides what is out of the window, so nothing is ever moved. Blocks that are about
to be overwritten are set aside, to go back to. H heads, D head width, V vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from perceivers.graphs import CacheTensor

Floats = NDArray[np.float32]
Complex = NDArray[np.complex64]
Tokens = NDArray[np.int64]

Positions = TypeVar("Positions", int, NDArray[np.int64])

SEEN = np.float32(0)
HIDDEN = np.float32(-np.inf)


@dataclass(frozen=True, slots=True)
class SavedBlocks:
    """What the next token sees of one cross-attention, and where in the ring it lay."""

    origin: int
    """Position of the first key that was written."""
    stop: int
    """Position behind the newest."""
    keys: Floats
    """Of the blocks in use, (B, H, D, tokens in a block)."""
    tokens: Tokens
    """Of every key, (B, tokens in a block)."""

    @property
    def bytes(self) -> int:
        """Size of the copy."""
        return self.keys.nbytes + self.tokens.nbytes


class BlockCache:
    """The cache of one cross-attention, its mask, and the token of every key."""

    def __init__(
        self, tensor: CacheTensor, table: Floats, rewind_tokens: int, runs_of: int
    ) -> None:
        """Make an empty cache.

        table: (V, H, D), the key of every token before its rotation.
        rewind_tokens: how far `rewind` goes back at least.
        runs_of: tokens that are read in one run at most; not above `most_at_once(tensor)`.
        """
        assert runs_of <= most_at_once(tensor)
        self.tensor = tensor
        self.window = tensor.window
        self._block_count, heads, width, self._length = tensor.shape
        self._half = width // 2
        self._size = self._block_count * self._length
        self._table = as_pairs(table)
        self._keys = np.zeros(tensor.shape, np.float32)
        self._tokens = np.zeros((self._block_count, self._length), np.int64)
        self._seen = np.full((self._block_count, self._length), HIDDEN)
        self._masks = np.empty(self._size * runs_of, np.float32)  # for several tokens at once
        beyond = rewind_tokens + self.window - self._size
        self._aside_count = -(-beyond // self._length) + 1 if beyond > 0 else 0
        self._keys_aside = np.zeros((self._aside_count, heads, width, self._length), np.float32)
        self._tokens_aside = np.zeros((self._aside_count, self._length), np.int64)
        self.restart(0)

    @property
    def oldest(self) -> int:
        """The earliest position that `rewind` can go back to."""
        known = self._known_from
        return known if known == self._origin else known + self.window - 1

    @property
    def blocks_used(self) -> int:
        """Blocks that hold anything: the first ones."""
        return min(self._block_count, -(-(self._stop - self._origin) // self._length))

    @property
    def keys(self) -> Floats:
        """Graph input: the keys of the blocks in use, (B, H, D, tokens in a block)."""
        return self._keys[: self.blocks_used]

    @property
    def tokens(self) -> Tokens:
        """Graph input: the token of every key of the blocks in use, (B * tokens in a block, 1)."""
        return self._tokens[: self.blocks_used].reshape(-1, 1)

    def mask_memory(self, count: int) -> Floats:
        """Return the graph input that `mask` writes: (B, 1, count, tokens in a block)."""
        blocks = self.blocks_used
        if count == 1:
            return self._seen[:blocks, None, None, :]
        size = blocks * count * self._length
        return self._masks[:size].reshape(blocks, 1, count, self._length)

    def mask(self, count: int) -> None:
        """Say in `mask_memory` what each of the last `count` tokens sees."""
        if count == 1:
            return  # kept up to date, token by token
        masks = self.mask_memory(count)[:, 0]
        masks[:] = self._seen[: self.blocks_used, None, :]
        token, later = np.triu_indices(count, 1)
        first = self._stop - count
        block, place = divmod(self._cell(first + later), self._length)
        masks[block, token, place] = HIDDEN
        position = first - self.window + later  # what the last one sees no more
        known = (position >= self._known_from) & (position <= first + token)
        block, place = divmod(self._cell(position[known]), self._length)
        masks[block, token[known], place] = SEEN

    def restart(self, position: int) -> None:
        """Forget every key; the next one stands at `position`."""
        self._origin = self._first = self._stop = self._known_from = position
        self._seen[:] = HIDDEN

    def append(self, tokens: Tokens, turns: Complex) -> None:
        """Write the keys of the next tokens (T,), turned by `turns` (T, D / 2)."""
        rotated = self._table[tokens] * turns[:, None, :]
        written = 0
        for block, places, start in self._spans(self._stop, self._stop + len(tokens)):
            if places.start == 0:
                self._set_aside(start)
            part = slice(written, written + places.stop - places.start)
            keys = self._keys[block, :, :, places]
            keys[:, : self._half] = rotated[part].real.transpose(1, 2, 0)
            keys[:, self._half :] = rotated[part].imag.transpose(1, 2, 0)
            self._tokens[block, places] = tokens[part]
            written = part.stop
        self._see(self._stop + len(tokens))

    def rewind(self, position: int) -> None:
        """Forget every key from `position` on; it lies between `oldest` and the newest key."""
        assert self.oldest <= position <= self._stop
        lost = max(self._known_from, position - self._size), min(position, self._stop - self._size)
        for block, places, start in self._spans(*lost):
            aside = self._logical(start) % self._aside_count
            self._keys[block, :, :, places] = self._keys_aside[aside, :, :, places]
            self._tokens[block, places] = self._tokens_aside[aside, places]
        self._see(position)

    def save(self) -> SavedBlocks:
        """Return a copy of what the next token sees."""
        used = self.blocks_used
        return SavedBlocks(
            self._origin, self._stop, self._keys[:used].copy(), self._tokens[:used].copy()
        )

    def restore(self, saved: SavedBlocks) -> None:
        """Be what was saved, each key in its place, and know nothing of before."""
        self.restart(saved.origin)
        self._keys[: len(saved.keys)] = saved.keys
        self._tokens[: len(saved.tokens)] = saved.tokens
        self._known_from = max(saved.origin, saved.stop - (self.window - 1))
        self._first = self._stop = self._known_from
        self._see(saved.stop)

    def _set_aside(self, position: int) -> None:
        """Keep the block that the one from `position` on will overwrite."""
        old = self._logical(position) - self._block_count
        if old < 0 or not self._aside_count:
            return
        block, aside = old % self._block_count, old % self._aside_count
        self._keys_aside[aside] = self._keys[block]
        self._tokens_aside[aside] = self._tokens[block]
        kept = max(0, old - self._aside_count + 1)
        self._known_from = max(self._known_from, self._origin + kept * self._length)

    def _see(self, stop: int) -> None:
        """Let the newest token be the one before `stop`, in what is kept and in what is seen."""
        if not self._aside_count:
            self._known_from = max(self._known_from, stop - self._size)
        first = max(self._origin, stop - self.window)
        before = self._first, self._stop
        self._mark(before[0], min(first, before[1]), HIDDEN)
        self._mark(max(stop, before[0]), before[1], HIDDEN)
        self._mark(first, min(before[0], stop), SEEN)
        self._mark(max(before[1], first), stop, SEEN)
        self._first, self._stop = first, stop

    def _mark(self, start: int, stop: int, value: np.float32) -> None:
        for block, places, _ in self._spans(start, stop):
            self._seen[block, places] = value

    def _spans(self, start: int, stop: int) -> Iterator[tuple[int, slice, int]]:
        """Yield where positions lie: block, places in it, and the position of the first one."""
        while start < stop:
            block, place = divmod(self._cell(start), self._length)
            count = min(stop - start, self._length - place)
            yield block, slice(place, place + count), start
            start += count

    def _cell(self, position: Positions) -> Positions:
        """Return where in the ring positions stand."""
        return (position - self._origin) % self._size

    def _logical(self, position: int) -> int:
        """Return how many blocks were begun before the one of this position."""
        return (position - self._origin) // self._length


def most_at_once(tensor: CacheTensor) -> int:
    """Return how many tokens one run can read without overwriting what the first of them sees."""
    blocks, _, _, length = tensor.shape
    return blocks * length - tensor.window + 1


def as_pairs(rows: Floats) -> Complex:
    """Return rows (..., D) as the complex numbers (..., D / 2) that a rotation turns."""
    first, second = np.split(rows, 2, axis=-1)
    return (first + 1j * second).astype(np.complex64)
