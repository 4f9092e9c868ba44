"""A folder of continuations, read: what a model and a pianist played after the same primers.

`index.json` says what was asked for and describes each item; the MIDI files lie beside it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perceivers import vocabulary as v
from perceivers.encoder import step_of
from perceivers.errors import PerformerError
from perceivers.events import TimedEvent
from perceivers.midi_files import read_performance

CONTENTS = "index.json"


@dataclass(frozen=True, slots=True)
class Item:
    """One cut, as the index describes it; paths are relative to the folder."""

    number: int
    source: str  # relative to the MIDI folder
    dataset: str
    group: str  # the composition: performances of one piece share it
    cut_s: float  # since the first event of the source
    seed: int
    primer: str
    model: str
    human: str
    played: str


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a model and a pianist played after the same primer; the cut is at 0 s."""

    item: Item
    folder: Path
    model: tuple[TimedEvent, ...]
    human: tuple[TimedEvent, ...]

    def primer(self) -> list[TimedEvent]:
        """Read what was heard before the cut, in the time of the source."""
        return on_grid(read_performance(self.folder / self.item.primer))


def on_grid(events: Sequence[TimedEvent]) -> list[TimedEvent]:
    """Return events at the grid times that a MIDI file's ticks came next to."""
    return [TimedEvent(step_of(time_s) / v.STEPS_PER_SECOND, event) for time_s, event in events]


def load_continuations(folder: Path) -> list[Continuation]:
    """Read a finished folder. Raises PerformerError when it is not one."""
    found = []
    for item in read_index(folder)[1]:
        missing = [name for name in (item.model, item.human) if not (folder / name).exists()]
        if missing:
            raise PerformerError(
                f"{folder / missing[0]}: not there yet; let "
                "training/evaluation/continuations/making.py finish the folder"
            )
        sides = (on_grid(read_performance(folder / name)) for name in (item.model, item.human))
        found.append(Continuation(item, folder, *map(tuple, sides)))
    return found


def read_index(folder: Path) -> tuple[dict[str, Any], list[Item]]:
    """Return what a folder was asked for, and its items. Raises PerformerError without an index."""
    path = folder / CONTENTS
    if not path.is_file():
        raise PerformerError(
            f"{path}: no such file; make continuations with `python "
            "training/evaluation/continuations/making.py --model MODEL --midi MIDI --out FOLDER`"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        items = [Item(**fields) for fields in content.pop("items")]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PerformerError(f"{path}: not an index of continuations ({error})") from error
    return content, items
