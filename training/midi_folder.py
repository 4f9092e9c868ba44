"""Which MIDI files a folder offers for training: those of its manifest, or all of them."""

import csv
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
    files = _files_of_manifest(manifest) if manifest.exists() else _files_of_tree(root)
    if not files:
        raise PerformerError(f"{root}: no MIDI files (*.mid, *.midi) in this folder or below it")
    return files


def _files_of_manifest(manifest: Path) -> list[MidiFile]:
    try:
        with manifest.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise PerformerError(f"{manifest}: not a CSV file in UTF-8 ({error})") from error
    for number, row in enumerate(rows, start=2):
        if not row.get("path") or row.get("split") not in SPLITS:
            raise PerformerError(
                f"{manifest}:{number}: needs a path and a split out of {', '.join(SPLITS)}"
            )
    return [
        MidiFile(
            row["path"], row["split"], row.get("dataset", ""), _source_of(row.get("capture", ""))
        )
        for row in rows
    ]


def _files_of_tree(root: Path) -> list[MidiFile]:
    found = (path for path in root.rglob("*") if path.suffix.lower() in (".mid", ".midi"))
    names = sorted(str(path.relative_to(root)) for path in found if path.is_file())
    # What nobody describes counts as played on keys, which is how the daemon tags live playing.
    return [MidiFile(name, "", root.name, Source.DISKLAVIER) for name in names]


def _source_of(capture: str) -> Source:
    known = {
        "disklavier": Source.DISKLAVIER,
        "roll": Source.PIANO_ROLL,
        "transcri": Source.TRANSCRIPTION,
    }
    matches = [source for word, source in known.items() if word in capture.lower()]
    return matches[0] if matches else Source.UNKNOWN
