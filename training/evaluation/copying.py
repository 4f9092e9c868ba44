"""Copying: the longest run of notes shared with any training piece, at any pitch.

    python training/evaluation/copying.py CONTINUATIONS --tokens TOKENS

Compared are pitches in playing order, as intervals, so that a transposed copy counts; time and
touch do not. The notes of a chord stand from low to high. Trills, scales and repeated chords are
shared without being copied: what pianists share with the same training pieces says how much.
"""

import argparse
import hashlib
import json
import sys
import zipfile
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from perceivers import vocabulary as v
from perceivers.atomic import atomic_path
from perceivers.errors import PerformerError
from training.evaluation.continuation_folder import load_continuations
from training.evaluation.notes import Notes, TooFewNotes, notes_of
from training.evaluation.repetition import NGRAMS, paired_difference
from training.evaluation.sequences import in_playing_order, onset_steps
from training.token_store import Tokens, TokenStore, write_atomically

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

FORMAT = "1"
INTERVAL_OF_ZERO = 128
"""Intervals are bytes 1-255; 0 ends a piece, and is in no query."""
CACHE = "copying-index.npz"
SIDES = ("model", "human")


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


def index_of_store(
    folder: Path, cache: Path | None = None, datasets: Collection[str] = ()
) -> CorpusIndex:
    """Index the training split of token files; `cache` is a file that keeps the index."""
    store = TokenStore(folder, "train", datasets)
    described = json.dumps([FORMAT, v.fingerprint(), [asdict(piece) for piece in store.pieces]])
    key = hashlib.sha256(described.encode()).hexdigest()
    found = CorpusIndex.load(cache, key) if cache else None
    if found is None:
        found = CorpusIndex.build(
            (piece.path, pitches_of_tokens(store.tokens(number)))
            for number, piece in enumerate(store.pieces)
        )
        if cache:
            try:
                found.save(cache, key)
            except OSError as error:
                raise PerformerError(
                    f"{cache}: cannot be written ({error.strerror}); keep the index elsewhere with "
                    "--cache FILE"
                ) from error
    return found


def pitches_of_tokens(tokens: Tokens) -> Ints:
    """Return the pitches of a piece in playing order, from its tokens."""
    numbers = tokens.astype(np.int64)
    steps = np.cumsum(v.steps_passed(numbers))
    is_note = v.is_kind(numbers, v.Kind.NOTE_ON)
    return in_playing_order(steps[is_note], numbers[is_note] - v.NOTE_ON)


def pitches_of_notes(notes: Notes) -> Ints:
    """Return the pitches of a performance in playing order."""
    return in_playing_order(onset_steps(notes.onset_s), notes.pitch)


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


def copying_report(folder: Path, index: CorpusIndex, quiet: bool = False) -> dict[str, Any]:
    """Return the longest shared run of each continuation of a folder, model's and pianist's.

    Beside them stand, as of `paired_difference`, the lengths of these runs and the shares of the
    n-grams that the corpus has.
    """
    found = load_continuations(folder)
    items: list[dict[str, Any]] = []
    paired: dict[str, list[tuple[float, float]]] = {}
    for each in tqdm(found, desc="comparing", unit="pair", disable=quiet):
        model, human = (_shared_by(index, notes_of(side)) for side in (each.model, each.human))
        sides = {"model": asdict(model.longest), "human": asdict(human.longest)}
        items.append({"number": each.item.number, "source": each.item.source} | sides)
        paired.setdefault("longest_run", []).append((model.longest.notes, human.longest.notes))
        for length in model.shares.keys() & human.shares.keys():
            pair = (model.shares[length], human.shares[length])
            paired.setdefault(f"shared_{length}", []).append(pair)
    groups = [each.item.group for each in found]
    runs = {side: [item[side]["notes"] for item in items] for side in SIDES}
    return (
        {
            side: {"median": float(np.median(runs[side])), "longest": max(runs[side])}
            for side in SIDES
        }
        | {name: _compared(pairs, groups) for name, pairs in sorted(paired.items())}
        | {"items": items}
    )


def _compared(pairs: Sequence[tuple[float, float]], groups: Sequence[str]) -> dict[str, float]:
    return paired_difference([pair[0] for pair in pairs], [pair[1] for pair in pairs], groups)


@dataclass(frozen=True, slots=True)
class _SharedBy:
    """What a performance shares with the corpus."""

    longest: Shared
    shares: dict[int, float]  # of its n-grams, by their length


def _shared_by(index: CorpusIndex, notes: Notes) -> _SharedBy:
    pitches = pitches_of_notes(notes)
    lengths = index.shared_lengths(pitches)
    shares = {n: shared_share(lengths, n) for n in NGRAMS if n <= len(pitches)}
    return _SharedBy(index.longest_shared(pitches, lengths), shares)


def shared_share(lengths: Ints, notes: int) -> float:
    """Return the share of n-grams of notes that the corpus has, from what `shared_lengths` gives.

    Raises TooFewNotes when there is no such n-gram.
    """
    asked = lengths[: max(0, len(lengths) - notes + 2)]
    if not len(asked):
        raise TooFewNotes(f"{len(lengths) + 1} notes hold no n-gram of {notes}")
    return float((asked >= notes - 1).mean())


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("continuations", type=Path, help="folder of continuations")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of token files")
    parser.add_argument("--datasets", nargs="+", default=[], help="trained on these alone")
    parser.add_argument("--cache", type=Path, help=f"index file (default: {CACHE} beside tokens)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    try:
        cache = options.cache or options.tokens / CACHE
        index = index_of_store(options.tokens, cache, options.datasets)
        report = copying_report(options.continuations, index)
        if options.json:
            write_atomically(options.json, json.dumps(report, indent=1).encode())
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    for side in SIDES:
        sys.stdout.write(
            f"{side}: longest shared run: median {report[side]['median']:g} notes, longest "
            f"{report[side]['longest']}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
