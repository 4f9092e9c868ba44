"""Token files: shards of uint16 tokens, memory-mapped, with an index of pieces.

A folder holds `shard-00000.bin` (tokens, little-endian uint16, piece after piece), beside each
`shard-00000.json` (its pieces), and `index.json` (flavour, vocabulary fingerprint, all pieces).
"""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from perceivers.atomic import atomic_path
from perceivers.errors import ModelMismatch, PerformerError
from perceivers.vocabulary import Flavour, fingerprint, flavour_of

Tokens = npt.NDArray[np.uint16]
INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class Piece:
    """One performance in the store."""

    path: str  # of the MIDI file, relative to its root
    split: str  # train, validation or test
    dataset: str
    shard: str
    offset: int  # in tokens, from the start of the shard
    length: int  # in tokens
    notes: int
    seconds: float


class TokenStore:
    """Read access to the pieces of one split, or to some of its data sets.

    Raises PerformerError when the folder holds no token files, ModelMismatch when they are of
    another vocabulary, of a flavour that is not among `flavours`, or incomplete.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        datasets: Collection[str] = (),
        flavours: Collection[Flavour] = (Flavour.EVENTS,),
    ) -> None:
        self.flavour, indexed = _read_index(folder)
        if self.flavour not in flavours:
            raise ModelMismatch(
                f"{folder}: tokens of flavour '{self.flavour}'; here '{', '.join(flavours)}' is "
                "needed"
            )
        pieces = [piece for piece in indexed if piece.split == split]
        self.pieces = [p for p in pieces if not datasets or p.dataset in datasets]
        self._shards = {
            name: _open_shard(folder / name, self.pieces)
            for name in sorted({piece.shard for piece in self.pieces})
        }

    def __len__(self) -> int:
        return len(self.pieces)

    def tokens(self, index: int) -> Tokens:
        """Return the tokens (T,) of one piece, without copying."""
        piece = self.pieces[index]
        return self._shards[piece.shard][piece.offset : piece.offset + piece.length]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Return the length in tokens of every piece."""
        return np.array([piece.length for piece in self.pieces], dtype=np.int64)


def _read_index(folder: Path) -> tuple[Flavour, list[Piece]]:
    path = folder / INDEX
    if not path.is_file():
        raise PerformerError(
            f"{folder}: no {INDEX}; make token files with "
            f"`python training/prepare_data.py --midi MIDI_FOLDER --out {folder}`"
        )
    index = _json_of(path)
    if index is None:
        raise ModelMismatch(f"{path}: damaged; run training/prepare_data.py again")
    flavour = flavour_of(index["vocabulary"])
    if flavour is None:
        raise ModelMismatch(
            f"{folder}: tokens of vocabulary {index['vocabulary']}, this is {fingerprint()}; "
            "run training/prepare_data.py again"
        )
    return flavour, [Piece(**fields) for fields in index["pieces"]]


def flavour_in(folder: Path) -> Flavour | None:
    """Return the flavour of the token files in a folder, None where there are none of ours."""
    index = _json_of(folder / INDEX)
    return None if index is None else flavour_of(index["vocabulary"])


def _json_of(path: Path) -> dict[str, Any] | None:
    """Return the content of an index, None where there is no whole one."""
    try:
        index = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    whole = isinstance(index, dict) and {"vocabulary", "pieces"} <= set(index)
    return index if whole else None


def _open_shard(path: Path, pieces: list[Piece]) -> Tokens:
    needed = max(piece.offset + piece.length for piece in pieces if piece.shard == path.name)
    found = path.stat().st_size // 2 if path.exists() else 0
    if found < needed:
        raise ModelMismatch(
            f"{path}: {found} tokens, the index promises {needed}; "
            "run training/prepare_data.py again"
        )
    return np.memmap(path, dtype="<u2", mode="r")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    with atomic_path(path) as partial:
        partial.write_bytes(content)


def write_index(folder: Path, pieces: list[Piece], flavour: Flavour = Flavour.EVENTS) -> None:
    """Write the index over all shards."""
    content = {
        "flavour": flavour.value,
        "vocabulary": fingerprint(flavour),
        "pieces": [asdict(piece) for piece in pieces],
    }
    write_atomically(folder / INDEX, json.dumps(content, indent=0).encode())
