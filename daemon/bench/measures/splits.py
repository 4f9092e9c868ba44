"""The performances of one split of a data folder."""

import csv
from pathlib import Path

from perceivers.events import TimedEvent
from perceivers.midi_files import read_performance


def performances(folder: Path, split: str, *, every: int = 1) -> list[list[TimedEvent]]:
    """Read each `every`-th performance of a split, or of a folder without a manifest."""
    manifest = folder / "MANIFEST.csv"
    if manifest.exists():
        with manifest.open(encoding="utf-8", newline="") as lines:
            names = [row["path"] for row in csv.DictReader(lines) if row["split"] == split]
        paths = [folder / name for name in names]
    else:
        paths = sorted([*folder.rglob("*.mid"), *folder.rglob("*.midi")])
    return [events for path in paths[::every] if (events := read_performance(path))]
