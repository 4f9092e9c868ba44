"""Continue unseen primers, and set beside each what the pianist played there.

    python training/evaluation/continuations/making.py --model models/medium --midi M --out FOLDER

The daemon's own program plays: performer, grammar and sampling are those of a live turn. FOLDER
gets `index.json` and for each cut `NNN-primer.mid`, `NNN-human.mid` and `NNN-model.mid` (in the
last two, 0 s is the cut, and both hold equally many notes, on the grid of the tokens), and in
`played/` what the daemon wrote, primer and answer together. What is there is kept: the same command
goes on where it was stopped.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[3])

from tqdm import tqdm

from perceivers.encoder import step_of
from perceivers.errors import PerformerError
from perceivers.events import TimedEvent
from perceivers.manifest import read_manifest
from perceivers.midi_files import Track, read_performance, write_performance
from training.data.midi_folder import MANIFEST, SPLITS, MidiFile, find_files, of_split
from training.data.token_store import write_atomically
from training.evaluation.continuations.cuts import (
    Cut,
    CutRules,
    answer_after,
    choose_cuts,
    quantised,
)
from training.evaluation.continuations.daemon_program import run_daemon
from training.evaluation.continuations.folder import (
    CONTENTS,
    Continuation,
    Item,
    load_continuations,
    read_index,
)

__all__ = ["CONTENTS", "Continuation", "Item", "load_continuations", "read_index"]

PLAYED = "played"
FILES_PER_RUN = 500  # names of files that a command line surely takes


@dataclass(frozen=True, slots=True)
class Request:
    """Which primers are continued, by what, and how far."""

    model: Path
    midi: Path
    split: str = "test"  # of the manifest; a folder without one is taken whole
    datasets: tuple[str, ...] = ()  # all, if none is named
    count: int = 100
    notes: int = 256
    primer_notes: int = 128
    seed: int = 0  # of the cuts, and of the first continuation; the next one has the next seed
    parameters: tuple[str, ...] = ()  # names and values, as `--set` of the daemon takes them
    config: Path | None = None  # settings file of the daemon; none: its defaults


def make_continuations(request: Request, folder: Path, quiet: bool = False) -> list[Item]:
    """Fill a folder, or go on filling it; return its items.

    Raises PerformerError when the folder is of another request, or the daemon fails.
    """
    asked = _description(request)
    if (folder / CONTENTS).exists():
        found, items = read_index(folder)
        _check_same(folder, asked, found)
    else:
        items = _prepare(request, folder, asked, quiet)
    missing = [item for item in items if not (folder / item.model).exists()]
    unplayed = [item for item in missing if not (folder / item.played).exists()]
    with tqdm(total=len(items), desc="continuing", unit="primer", disable=quiet) as bar:
        bar.update(len(items) - len(unplayed))
        for run in _runs(unplayed):
            _play(request, folder, run, bar)
    for item in missing:
        _keep_answer(folder, item, request.notes)
    return items


def _description(request: Request) -> dict[str, Any]:
    """Return what makes two requests the same, as the index tells it."""
    words = request.parameters
    return {
        "model": str(request.model),
        "checkpoint_sha256": read_manifest(request.model).checkpoint_sha256,
        "midi": str(request.midi),
        "split": request.split,
        "datasets": sorted(request.datasets),
        "parameters": dict(zip(words[::2], words[1::2], strict=False)),
        "config": request.config and request.config.read_text(encoding="utf-8"),
        "notes": request.notes,
        "primer_notes": request.primer_notes,
        "count": request.count,
        "seed": request.seed,
    }


def _check_same(folder: Path, asked: dict[str, Any], found: dict[str, Any]) -> None:
    for name, value in asked.items():
        if name not in ("model", "midi") and found.get(name) != value:  # either may have moved
            raise PerformerError(
                f"{folder}: was begun with {name} {found.get(name)!r}, not {value!r}; "
                "ask for the same again, or give another folder"
            )


def _prepare(request: Request, folder: Path, asked: dict[str, Any], quiet: bool) -> list[Item]:
    """Choose the cuts; write primers, the pianists' continuations and, last, the index."""
    groups = compositions(request.midi)
    rules = CutRules(request.notes, request.primer_notes, request.count, request.seed)
    cuts = choose_cuts(request.midi, _files(request), groups, rules, quiet)
    items = [_item(number, cut, request.seed) for number, cut in enumerate(cuts)]
    for item, cut in zip(items, cuts, strict=True):
        _write(folder / item.primer, "player", cut.primer)
        _write(folder / item.human, "player", cut.human)
    content = asked | {"items": [asdict(item) for item in items]}
    write_atomically(folder / CONTENTS, json.dumps(content, indent=1).encode())
    return items


def _files(request: Request) -> list[MidiFile]:
    files = of_split(find_files(request.midi), request.split)
    chosen = of_split(files, request.split, request.datasets)
    if not chosen:
        known = ", ".join(sorted({file.dataset for file in files})) or "none"
        raise PerformerError(
            f"{request.midi}: no files in split {request.split!r} of {', '.join(request.datasets)};"
            f" data sets in this split: {known}"
        )
    return chosen


def compositions(root: Path) -> dict[str, str]:
    """Return which composition each path performs, as far as the manifest knows."""
    if not (root / MANIFEST).exists():
        return {}
    with (root / MANIFEST).open(newline="", encoding="utf-8") as file:
        return {row["path"]: _composition(row) for row in csv.DictReader(file)}


def _composition(row: dict[str, str]) -> str:
    named = " ".join(filter(None, (row.get("composer"), row.get("title"))))
    return row.get("composition_group") or named or row["path"]


def _item(number: int, cut: Cut, seed: int) -> Item:
    stem = f"{number:03d}"
    return Item(
        number=number,
        source=cut.file.path,
        dataset=cut.file.dataset,
        group=cut.group,
        cut_s=cut.cut_s,
        seed=seed + number,
        primer=f"{stem}-primer.mid",
        model=f"{stem}-model.mid",
        human=f"{stem}-human.mid",
        played=f"{PLAYED}/{stem}-primer.mid",
    )


def _write(path: Path, name: str, events: Sequence[TimedEvent]) -> None:
    write_performance(path, [Track(name, 0, tuple(events))])


def _runs(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Part items into runs of consecutive numbers: the daemon's seeds count up."""
    run: list[Item] = []
    for item in items:
        if run and (item.number != run[-1].number + 1 or len(run) == FILES_PER_RUN):
            yield run
            run = []
        run.append(item)
    if run:
        yield run


def _play(request: Request, folder: Path, items: Sequence[Item], bar: "tqdm[None]") -> None:
    """Let the daemon continue primers, with one engine; tell of each as it is done."""
    played_notes = CutRules(request.notes, request.primer_notes).played_notes
    command = ["--model", str(request.model.resolve())]
    if request.config is not None:
        command += ["--config", str(request.config.resolve())]
    command += ["--continue", *(str((folder / item.primer).resolve()) for item in items)]
    command += ["--at", *(f"{item.cut_s:.2f}" for item in items), "--no-picture"]
    command += ["--out", str((folder / PLAYED).resolve()), "--set", *request.parameters]
    command += ["length_unit", "notes", "length", str(played_notes), "seed", str(items[0].seed)]
    (folder / PLAYED).mkdir(exist_ok=True)
    run_daemon(command, folder, on_line=bar.update)


def _keep_answer(folder: Path, item: Item, notes: int) -> None:
    """Take the model's part out of what was played, as the pianist's was taken."""
    played = quantised(read_performance(folder / item.played))
    step = step_of(item.cut_s)
    _write(folder / item.model, "performer", answer_after(played, step, notes))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--midi", type=Path, required=True, help="folder of MIDI files")
    parser.add_argument("--out", type=Path, required=True, help="folder for the continuations")
    parser.add_argument("--split", default="test", choices=SPLITS, help="split of the manifest")
    parser.add_argument("--datasets", nargs="+", default=[], help="only these data sets")
    parser.add_argument("--count", type=int, default=100, help="continuations (default 100)")
    parser.add_argument("--notes", type=int, default=256, help="length of each (default 256)")
    parser.add_argument("--primer-notes", type=int, default=128, help="at least (default 128)")
    parser.add_argument("--seed", type=int, default=0, help="of cuts and continuations")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME VALUE", help="parameters of the daemon"
    )
    parser.add_argument("--config", type=Path, help="settings file of the daemon")
    options = parser.parse_args(arguments)
    if min(options.count, options.notes, options.primer_notes) < 1 or options.seed < 0:
        parser.error("--count, --notes and --primer-notes are at least 1, --seed at least 0")
    request = Request(
        model=options.model,
        midi=options.midi,
        split=options.split,
        datasets=tuple(options.datasets),
        count=options.count,
        notes=options.notes,
        primer_notes=options.primer_notes,
        seed=options.seed,
        parameters=tuple(options.set),
        config=options.config,
    )
    try:
        items = make_continuations(request, options.out)
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on\n")
        return 130
    sys.stdout.write(f"{options.out}: {len(items)} continuations of {options.notes} notes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
