"""Prepare token files from a folder of MIDI files, in parallel, restartable shard by shard.

    python training/prepare_data.py --midi FOLDER --out TOKENS

FOLDER may hold a MANIFEST.csv with the columns `path` and `split` (train, validation, test), and
optionally `dataset` and `capture`. Without one, the pieces are split 80/10/10 by the notes that
they begin with, so that two performances of one piece never part. A file that cannot be read, or
holds no notes, is named, counted and skipped.
"""

import argparse
import csv
import hashlib
import json
import math
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from tqdm import tqdm

from perceivers.encoder import encode
from perceivers.errors import MidiFileError, PerformerError
from perceivers.events import NoteOn, TimedEvent
from perceivers.midi_files import read_performance
from perceivers.vocabulary import Source, fingerprint
from training.token_store import Piece, write_atomically, write_index

FILES_PER_SHARD = 64
OPENING_NOTES = 48
SPLITS = ("train", "validation", "test")
MANIFEST = "MANIFEST.csv"


@dataclass(frozen=True, slots=True)
class MidiFile:
    """A file to prepare; an empty split is decided by the notes."""

    path: str
    split: str
    dataset: str
    source: Source


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a preparation did."""

    pieces: list[Piece]
    skipped: list[Skipped]


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
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
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
    return [MidiFile(name, "", root.name, Source.UNKNOWN) for name in names]


def _source_of(capture: str) -> Source:
    known = {
        "disklavier": Source.DISKLAVIER,
        "roll": Source.PIANO_ROLL,
        "transcri": Source.TRANSCRIPTION,
    }
    matches = [source for word, source in known.items() if word in capture.lower()]
    return matches[0] if matches else Source.UNKNOWN


def prepare(root: Path, out: Path, workers: int = 0, quiet: bool = False) -> Report:
    """Encode every MIDI file under `root` into shards in `out`.

    A shard that is already there, made from the same files and vocabulary, is kept.
    """
    files = find_files(root)
    out.mkdir(parents=True, exist_ok=True)
    groups = [files[i : i + FILES_PER_SHARD] for i in range(0, len(files), FILES_PER_SHARD)]
    pieces: list[list[Piece]] = [[] for _ in groups]
    skipped: list[Skipped] = []
    with (
        ProcessPoolExecutor(workers or os.cpu_count() or 1) as pool,
        tqdm(total=len(files), unit="file", desc="preparing", disable=quiet) as bar,
    ):
        jobs = {
            pool.submit(_prepare_shard, root, out, number, group): number
            for number, group in enumerate(groups)
        }
        for job in as_completed(jobs):
            report = job.result()
            pieces[jobs[job]] = report.pieces
            skipped += report.skipped
            bar.update(len(groups[jobs[job]]))
    together = _split_by_opening([piece for group in pieces for piece in group])
    if not together:
        raise PerformerError(f"{root}: none of {len(files)} files holds notes; {_why(skipped)}")
    write_index(out, together)
    return Report(together, skipped)


def _why(skipped: list[Skipped]) -> str:
    return "; ".join(f"{skip.path}: {skip.reason}" for skip in skipped[:3])


def _prepare_shard(root: Path, out: Path, number: int, files: list[MidiFile]) -> Report:
    name = f"shard-{number:05d}.bin"
    described = (out / name).with_suffix(".json")
    key = _shard_key(root, files)
    if described.exists() and (out / name).exists():
        done = json.loads(described.read_text())
        if done["key"] == key:
            return Report(
                [Piece(**piece) for piece in done["pieces"]],
                [Skipped(**skip) for skip in done["skipped"]],
            )
    report, tokens = _encode_files(root, name, files)
    write_atomically(out / name, tokens.astype("<u2").tobytes())
    content = {
        "key": key,
        "pieces": [asdict(piece) for piece in report.pieces],
        "skipped": [asdict(skip) for skip in report.skipped],
    }
    write_atomically(described, json.dumps(content).encode())
    return report


def _shard_key(root: Path, files: list[MidiFile]) -> str:
    """Return a hash of everything that the shard is made from."""
    state = []
    for file in files:
        path = root / file.path
        stat = path.stat() if path.exists() else None
        state.append([asdict(file), stat and (stat.st_size, stat.st_mtime_ns)])
    content = json.dumps([fingerprint(), str(root.resolve()), state])
    return hashlib.sha256(content.encode()).hexdigest()


def _encode_files(root: Path, shard: str, files: list[MidiFile]) -> tuple[Report, np.ndarray]:
    pieces: list[Piece] = []
    skipped: list[Skipped] = []
    parts: list[np.ndarray] = []
    offset = 0
    for file in files:
        try:
            events = read_performance(root / file.path)
        except MidiFileError as error:
            skipped.append(Skipped(file.path, str(error).removeprefix(f"{root / file.path}: ")))
            continue
        notes = sum(isinstance(event.event, NoteOn) for event in events)
        if not notes:
            skipped.append(Skipped(file.path, "holds no notes"))
            continue
        tokens = np.array(encode(_from_first_event(events), file.source), dtype=np.uint16)
        split = file.split or _opening_key(events)
        seconds = events[-1].time_s - events[0].time_s
        pieces.append(
            Piece(file.path, split, file.dataset, shard, offset, len(tokens), notes, seconds)
        )
        parts.append(tokens)
        offset += len(tokens)
    return Report(pieces, skipped), np.concatenate(parts) if parts else np.zeros(0, np.uint16)


def _from_first_event(events: list[TimedEvent]) -> list[TimedEvent]:
    """Start the clock at the first event: the silence at the head of a file is not music."""
    start_s = events[0].time_s
    return [TimedEvent(event.time_s - start_s, event.event) for event in events]


def _opening_key(events: list[TimedEvent]) -> str:
    """Return a hash of the pitches that the piece begins with, in place of a split."""
    pitches = [event.event.pitch for event in events if isinstance(event.event, NoteOn)]
    return hashlib.sha256(bytes(sorted(pitches[:OPENING_NOTES]))).hexdigest()


def _split_by_opening(pieces: list[Piece]) -> list[Piece]:
    """Replace opening hashes by splits: a tenth of the openings to validation, a tenth to test.

    With two openings or more there is always something to validate on; with one, the piece itself.
    """
    openings = sorted({piece.split for piece in pieces} - set(SPLITS))
    tenth = math.ceil(len(openings) / 10) if len(openings) > 1 else 0
    split_of = {name: "train" for name in openings}
    split_of |= dict.fromkeys(openings[:tenth], "validation")
    if len(openings) > 2:
        split_of |= dict.fromkeys(openings[tenth : 2 * tenth], "test")
    done = [replace(piece, split=split_of.get(piece.split, piece.split)) for piece in pieces]
    if done and not any(piece.split == "validation" for piece in done):
        done += [replace(piece, split="validation") for piece in done[:8]]
    return done


def print_report(report: Report) -> None:
    """Tell what was prepared and what was left out."""
    for skip in report.skipped:
        print(f"skipped {skip.path}: {skip.reason}")
    for split in SPLITS:
        chosen = [piece for piece in report.pieces if piece.split == split]
        print(
            f"{split}: {len(chosen)} pieces, {sum(p.length for p in chosen):,} tokens, "
            f"{sum(p.notes for p in chosen):,} notes, "
            f"{sum(p.seconds for p in chosen) / 3600:.1f} hours"
        )
    print(f"skipped: {len(report.skipped)} files")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--midi", type=Path, required=True, help="folder of MIDI files")
    parser.add_argument("--out", type=Path, required=True, help="folder for the token files")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: all cores)")
    options = parser.parse_args(arguments)
    try:
        print_report(prepare(options.midi, options.out, options.workers))
    except PerformerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the shards that are done are kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
