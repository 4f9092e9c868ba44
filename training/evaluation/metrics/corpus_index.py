"""An index of melodies: the longest run of intervals that a performance shares with a corpus.

A suffix array: all runs of a corpus stand in it in sorted order, so that any run is found by
bisection. Pitches are compared as intervals, so that a transposed run is found, too.
"""

import zipfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from perceivers.atomic import atomic_path
from perceivers.errors import PerformerError

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

INTERVAL_OF_ZERO = 128
"""Intervals are bytes 1-255; 0 ends a piece, and is in no query."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A run of notes that a training piece has as well."""

    notes: int
    start: int  # in the performance, in notes in playing order
    piece: str
    piece_start: int  # in the piece, likewise
    transposition: int  # semitones from the piece to the performance


@dataclass(frozen=True, slots=True, eq=False)
class CorpusIndex:
    """All runs of intervals of a corpus in sorted order (a suffix array)."""

    pieces: tuple[str, ...]
    starts: Ints  # (P,): where each piece begins in the arrays below
    pitches: Bytes  # (N,), of all pieces
    intervals: bytes  # from each note to the next; 0 at the last note of a piece
    order: npt.NDArray[np.int32]  # (N,): places in `intervals`, sorted by what follows there

    @classmethod
    def build(cls, pieces: Iterable[tuple[str, Ints]]) -> "CorpusIndex":
        """Index named pieces, each a sequence of pitches in playing order.

        Raises PerformerError when there are no notes.
        """
        kept = [(name, pitches) for name, pitches in pieces if len(pitches)]
        if not kept:
            raise PerformerError("no notes to look for copies in")
        sizes = np.array([len(pitches) for _, pitches in kept])
        text = np.concatenate([_intervals(pitches, ends=True) for _, pitches in kept])
        return cls(
            tuple(name for name, _ in kept),
            np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
            np.concatenate([pitches for _, pitches in kept]).astype(np.uint8),
            text.tobytes(),
            sorted_suffixes(text),
        )

    def longest_shared(self, pitches: Ints, lengths: Ints | None = None) -> Shared:
        """Return the longest run of a performance (pitches in playing order) that is shared.

        Of equally long ones, the first in the performance, and there the one transposed least.
        `lengths` is what `shared_lengths` gave, if it is known.
        Raises PerformerError when there are fewer than two notes.
        """
        lengths = self.shared_lengths(pitches) if lengths is None else lengths
        if not len(lengths):
            raise PerformerError(f"{len(pitches)} notes; copying is told of two or more")
        start = int(lengths.argmax())
        length = int(lengths[start])
        places = self._places(_intervals(pitches)[start : start + length].tobytes())
        moved = int(pitches[start]) - self.pitches[places].astype(np.int64)
        nearest = int(np.abs(moved).argmin())
        place = int(places[nearest])
        piece = int(np.searchsorted(self.starts, place, side="right")) - 1
        return Shared(
            length + 1,
            start,
            self.pieces[piece],
            place - int(self.starts[piece]),
            int(moved[nearest]),
        )

    def shared_lengths(self, pitches: Ints) -> Ints:
        """Return for each note but the last how many intervals from it on are shared."""
        query = _intervals(pitches).tobytes()
        return np.array([self._longest(query[i:]) for i in range(len(query))], dtype=np.int64)

    def _longest(self, query: bytes) -> int:
        """Return the length of the longest beginning of `query` in the corpus."""
        place = bisect_left(self.order, query, key=self._from(len(query)))
        beside = self.order[max(0, place - 1) : place + 1].tolist()
        return max(_common(query, self.intervals[at : at + len(query)]) for at in beside)

    def _places(self, query: bytes) -> Ints:
        """Return where in the corpus a run of intervals occurs."""
        key = self._from(len(query))
        low = bisect_left(self.order, query, key=key)
        return self.order[low : bisect_right(self.order, query, lo=low, key=key)].astype(np.int64)

    def _from(self, length: int) -> Any:
        return lambda at: self.intervals[at : at + length]

    def save(self, path: Path, key: str) -> None:
        """Write the index to a file, under the key of what it is made from."""
        with atomic_path(path) as partial:
            np.savez(
                partial,
                key=np.array(key),
                pieces=np.array(self.pieces),
                starts=self.starts,
                pitches=self.pitches,
                intervals=np.frombuffer(self.intervals, np.uint8),
                order=self.order,
            )

    @classmethod
    def load(cls, path: Path, key: str) -> "CorpusIndex | None":
        """Read an index; None when there is none, it is damaged or of another key."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                if str(arrays["key"]) != key:
                    return None
                return cls(
                    tuple(arrays["pieces"].tolist()),
                    arrays["starts"],
                    arrays["pitches"],
                    arrays["intervals"].tobytes(),
                    arrays["order"],
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None


def _intervals(pitches: Ints, ends: bool = False) -> Bytes:
    steps = np.diff(pitches.astype(np.int64)) + INTERVAL_OF_ZERO
    return np.append(steps, 0).astype(np.uint8) if ends else steps.astype(np.uint8)


def _common(a: bytes, b: bytes) -> int:
    """Return how many bytes two strings have in common from their beginning."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def sorted_suffixes(text: Bytes) -> npt.NDArray[np.int32]:
    """Return the places of a text in the order of what follows there (prefix doubling)."""
    size = len(text)
    rank = text.astype(np.int64)
    width = 1
    while True:
        beyond = np.zeros(size, dtype=np.int64)  # what ends is smaller than anything
        beyond[: size - width] = rank[width:] + 1
        key = rank * (int(rank.max()) + 2) + beyond
        order = np.argsort(key)
        sorted_key = key[order]
        new_rank = np.concatenate([[0], np.cumsum(sorted_key[1:] != sorted_key[:-1])])
        rank[order] = new_rank
        width *= 2
        if new_rank[-1] == size - 1 or width >= size:
            return order.astype(np.int32)
