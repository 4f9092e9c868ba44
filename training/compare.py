"""Compare two folders of performances by distribution metrics, each with its noise floor.

    python training/compare.py --model PERFORMANCES --human OTHERS
    python training/compare.py --model OTHERS --human OTHERS --control shuffled

Excerpts of equal numbers of notes are drawn from both folders, in turn from each piece; a piece is
the `composition_group` of a MANIFEST.csv where it has that column, else a file. docs/evaluation.md
says what the figures mean.
"""

import argparse
import csv
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from tqdm import tqdm

from perceivers.atomic import atomic_path
from perceivers.errors import MidiFileError, PerformerError
from training.data.midi_folder import MANIFEST, SPLITS, find_files
from training.evaluation.metrics.distances import compare
from training.evaluation.metrics.features import FEATURES
from training.evaluation.metrics.mgeval import MGEVAL_FEATURES, mgeval_compatible
from training.evaluation.metrics.notes import Notes, TooFewNotes, read_notes, windows
from training.evaluation.metrics.spoilt_music import CONTROLS


@dataclass(frozen=True, slots=True)
class Excerpts:
    """One side of the comparison."""

    notes: list[Notes]
    pieces: list[str]  # the piece of each


def draw_excerpts(
    root: Path, split: str | None, datasets: list[str], length: int, count: int
) -> Excerpts:
    """Return `count` excerpts of `length` notes, in turn from every piece, without overlap.

    The same ones each time. Raises PerformerError when there are fewer.
    """
    rng = np.random.default_rng(0)
    paths = _in_turn(root, split, datasets, rng)
    cut: list[list[tuple[str, Notes]]] = []
    for piece, path in tqdm(paths, unit="file", desc=f"reading {root.name}"):
        try:
            found = windows(read_notes(path), length)
        except (MidiFileError, TooFewNotes) as error:
            print(f"skipped {error}")
            continue
        cut.append([(piece, found[i]) for i in rng.permutation(len(found))])
        if len(cut) >= count:
            break
    # The first excerpt of every file, then the second of every file, and so on.
    drawn = [one for one in chain.from_iterable(zip_longest(*cut)) if one is not None][:count]
    if len(drawn) < count:
        raise PerformerError(
            f"{root}: {len(drawn)} excerpts of {length} notes in {len(paths)} files of "
            f"{split or 'all splits'}, {count} wanted; ask for fewer (--excerpts) or shorter "
            "ones (--notes)"
        )
    return Excerpts([notes for _piece, notes in drawn], [piece for piece, _notes in drawn])


def _in_turn(
    root: Path, split: str | None, datasets: list[str], rng: np.random.Generator
) -> list[tuple[str, Path]]:
    """Return (piece, file) in random order, a file of each piece before the second of any."""
    files = [
        file.path
        for file in find_files(root)
        if (split is None or file.split == split) and (not datasets or file.dataset in datasets)
    ]
    groups = _composition_groups(root)
    by_piece: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for i in rng.permutation(len(files)):
        piece = groups.get(files[i]) or files[i]
        by_piece[piece].append((piece, root / files[i]))
    return [one for one in chain.from_iterable(zip_longest(*by_piece.values())) if one is not None]


def _composition_groups(root: Path) -> dict[str, str]:
    manifest = root / MANIFEST
    if not manifest.exists():
        return {}
    with manifest.open(newline="", encoding="utf-8") as file:
        return {row["path"]: row.get("composition_group") or "" for row in csv.DictReader(file)}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Read both folders and return the figures as JSON values."""
    datasets = [name for name in options.datasets.split(",") if name]
    size = options.notes, options.excerpts
    model = draw_excerpts(options.model, options.model_split, datasets, *size)
    human = draw_excerpts(options.human, options.human_split, datasets, *size)
    rng = np.random.default_rng(0)
    if options.control:
        spoil = CONTROLS[options.control]
        model = Excerpts([spoil(notes, rng) for notes in model.notes], model.pieces)
    total = len(FEATURES) + len(MGEVAL_FEATURES)
    with tqdm(total=total, unit="feature", desc="comparing") as bar:
        figures = compare(
            model.notes, human.notes, model.pieces, rng, human.pieces, lambda _name: _tick(bar)
        )
        compatible = mgeval_compatible(model.notes, human.notes, lambda _name: _tick(bar))
    return {
        "notes": options.notes,
        "excerpts": options.excerpts,
        "control": options.control,
        "pieces": {"model": len(set(model.pieces)), "human": len(set(human.pieces))},
        "features": figures,
        "mgeval_compatible": compatible,
    }


def _tick(bar: "tqdm[Any]") -> None:
    bar.update()


def print_table(result: dict[str, Any]) -> None:
    """Print overlap areas, energy distances and the mgeval-compatible column."""
    print(f"{result['excerpts']} excerpts of {result['notes']} notes a side; pieces: model "
          f"{result['pieces']['model']}, human {result['pieces']['human']}")  # fmt: skip
    for metric, title in (("overlap_area", "overlap area"), ("energy_distance", "energy distance")):
        print(f"{title:34}   value  interval        at half   floor  95 % of floors   worse")
        for name, metrics in result["features"].items():
            found = metrics[metric]
            print(
                f"{name:34}  {found['value']:6.3f}  {found['low']:6.3f}–{found['high']:.3f}   "
                f"{found['at_half']:6.3f}  {found['floor']:6.3f}  "
                f"{found['floor_low']:6.3f}–{found['floor_high']:.3f}    "
                f"{found['worse_than_floor']:.2f}"
            )
    print(f"{'mgeval-compatible':34}  OA within model, within human, each against across")
    for name, sides in result["mgeval_compatible"].items():
        areas = [sides[side]["oa"] for side in ("model", "human")]
        print(f"{name:34}  {'  '.join('none ' if a is None else f'{a:.3f}' for a in areas)}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for side, what in (("model", "performances to judge"), ("human", "pianists' performances")):
        parser.add_argument(f"--{side}", type=Path, required=True, help=f"folder of MIDI: {what}")
        parser.add_argument(f"--{side}-split", choices=SPLITS, help="of its manifest (default all)")
    parser.add_argument("--datasets", default="", help="of the manifests, these only: asap,mine")
    parser.add_argument("--notes", type=int, default=256, help="notes of an excerpt (default 256)")
    parser.add_argument("--excerpts", type=int, default=100, help="of each side (default 100)")
    parser.add_argument(
        "--control", choices=sorted(CONTROLS), help="spoil the model's side, to see a bad model"
    )
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args(arguments)
    if min(options.notes, options.excerpts) < 1:
        parser.error("--notes and --excerpts must be at least 1")
    try:
        result = measure(options)
        print_table(result)
        if options.json:
            with atomic_path(options.json) as partial:
                partial.write_text(json.dumps(result, indent=2) + "\n")
    except PerformerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
