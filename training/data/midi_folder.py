"""Which MIDI files a folder offers for training: those of its manifest, or all of them."""

import csv
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from perceivers.errors import PerformerError
from perceivers.vocabulary import Source

SPLITS = ("train", "validation", "test")
MANIFEST = "MANIFEST.csv"


@dataclass(frozen=True, slots=True)
class MidiFile:
    """A file to prepare; an empty split is decided by the notes."""

    path: str
    split: str
    dataset: str
    source: Source


def find_files(root: Path) -> list[MidiFile]:
    """List the MIDI files under `root`: those of its manifest, or every .mid and .midi.

    Raises PerformerError when there is none.
    """
    if not root.is_dir():
        raise PerformerError(f"{root}: no such folder")
    manifest = root / MANIFEST
    if manifest.exists():
        return _files_of_manifest(manifest)
    files = _files_of_tree(root)
    if not files:
        raise PerformerError(f"{root}: no MIDI files (*.mid, *.midi) in this folder or below it")
    return files


def of_split(
    files: Iterable[MidiFile], split: str | None, datasets: Collection[str] = ()
) -> list[MidiFile]:
    """Return the files that are or may be in a split, and are of these data sets.

    None is every split, no data sets are all. A file whose split the notes decide may be in any.
    """
    return [
        file
        for file in files
        if split is None or file.split in ("", split)
        if not datasets or file.dataset in datasets
    ]


def _files_of_manifest(manifest: Path) -> list[MidiFile]:
    try:
        with manifest.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise PerformerError(f"{manifest}: not a CSV file in UTF-8 ({error})") from error
    if not rows:
        raise PerformerError(f"{manifest}: names no files; add some, or remove it to take them all")
    lines: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        if not row.get("path") or row.get("split") not in SPLITS:
            raise PerformerError(
                f"{manifest}:{number}: needs a path and a split out of {', '.join(SPLITS)}"
            )
        if row["path"] in lines:
            raise PerformerError(
                f"{manifest}:{number}: {row['path']} stands in line {lines[row['path']]} already; "
                "a piece has one split"
            )
        lines[row["path"]] = number
    return [
        MidiFile(
            row["path"],
            row["split"],
            row.get("dataset") or "",
            _source_of(row.get("capture") or ""),
        )
        for row in rows
    ]


def _files_of_tree(root: Path) -> list[MidiFile]:
    found = (path for path in _paths_below(root) if path.suffix.lower() in (".mid", ".midi"))
    # A link that leads nowhere is listed, to be named among the skipped; a pipe would never end.
    chosen = (path for path in found if path.is_file() or path.is_symlink())
    names = sorted(str(path.relative_to(root)) for path in chosen)
    # What nobody describes counts as played on keys, which is how the daemon tags live playing.
    return [MidiFile(name, "", root.name, Source.DISKLAVIER) for name in names]


def _paths_below(root: Path) -> Iterator[Path]:
    """Yield all files below a folder, through links to folders too, each folder once."""
    seen = set()
    for folder, folders, names in os.walk(root, onerror=_refuse, followlinks=True):
        real = Path(folder).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(folder) / name for name in names)


def _refuse(error: OSError) -> None:
    raise PerformerError(
        f"{error.filename}: this folder cannot be listed ({error.strerror}); allow it, or move it "
        "elsewhere"
    )


def _source_of(capture: str) -> Source:
    known = {
        "disklavier": Source.DISKLAVIER,
        "roll": Source.PIANO_ROLL,
        "transcri": Source.TRANSCRIPTION,
    }
    matches = [source for word, source in known.items() if word in capture.lower()]
    return matches[0] if matches else Source.UNKNOWN
