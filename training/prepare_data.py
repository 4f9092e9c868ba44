"""Prepare token files from a folder of MIDI files, in parallel, restartable shard by shard.

    python training/prepare_data.py --midi FOLDER --out TOKENS

FOLDER may hold a MANIFEST.csv with the columns `path` and `split` (train, validation, test), and
optionally `dataset` and `capture`. Without one, the pieces are split 80/10/10 by the notes that
they begin with, so that two performances of one piece never part. A file that cannot be read, or
holds no notes, is named, counted and skipped.
"""

import argparse
import hashlib
import json
import math
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
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
from perceivers.vocabulary import fingerprint
from training.midi_folder import SPLITS, MidiFile, find_files
from training.token_store import Piece, Tokens, write_atomically, write_index

FILES_PER_SHARD = 64
OPENING_NOTES = 48


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


@dataclass(frozen=True, slots=True)
class Shard:
    """One token file and the MIDI files that it is made from."""

    root: Path
    out: Path
    number: int
    files: tuple[MidiFile, ...]

    @property
    def name(self) -> str:
        """Return the name of the token file."""
        return f"shard-{self.number:05d}.bin"

    def done(self) -> Report | None:
        """Return the report of an earlier run, if it made this shard from the same files."""
        described = (self.out / self.name).with_suffix(".json")
        if not described.exists() or not (self.out / self.name).exists():
            return None
        content = json.loads(described.read_text())
        if content["key"] != self._key():
            return None
        return Report(
            [Piece(**piece) for piece in content["pieces"]],
            [Skipped(**skip) for skip in content["skipped"]],
        )

    def make(self) -> Report:
        """Encode the files; write the tokens, then their description."""
        report, tokens = _encode_files(self.root, self.name, self.files)
        write_atomically(self.out / self.name, tokens.astype("<u2").tobytes())
        content = {"key": self._key()} | asdict(report)
        described = (self.out / self.name).with_suffix(".json")
        write_atomically(described, json.dumps(content).encode())
        return report

    def _key(self) -> str:
        """Return a hash of everything that the shard is made from."""
        state = []
        for file in self.files:
            path = self.root / file.path
            stat = path.stat() if path.exists() else None
            state.append([asdict(file), stat and (stat.st_size, stat.st_mtime_ns)])
        content = json.dumps([fingerprint(), str(self.root.resolve()), state])
        return hashlib.sha256(content.encode()).hexdigest()


def prepare(root: Path, out: Path, workers: int = 0, quiet: bool = False) -> Report:
    """Encode every MIDI file under `root` into shards in `out`.

    A shard that is already there, made from the same files and vocabulary, is kept.
    """
    files = find_files(root)
    out.mkdir(parents=True, exist_ok=True)
    shards = [
        Shard(root, out, number, tuple(files[start : start + FILES_PER_SHARD]))
        for number, start in enumerate(range(0, len(files), FILES_PER_SHARD))
    ]
    reports = {shard.number: report for shard in shards if (report := shard.done()) is not None}
    missing = [shard for shard in shards if shard.number not in reports]
    with tqdm(total=len(files), unit="file", desc="preparing", disable=quiet) as bar:
        bar.update(sum(len(shard.files) for shard in shards if shard.number in reports))
        for shard, report in _made(missing, workers):
            reports[shard.number] = report
            bar.update(len(shard.files))
    skipped = [skip for shard in shards for skip in reports[shard.number].skipped]
    pieces = _split_by_opening([p for shard in shards for p in reports[shard.number].pieces])
    if not pieces:
        raise PerformerError(f"{root}: none of {len(files)} files holds notes; {_why(skipped)}")
    write_index(out, pieces)
    return Report(pieces, skipped)


def _made(shards: list[Shard], workers: int) -> Iterator[tuple[Shard, Report]]:
    """Make shards in parallel and yield them as they are done."""
    processes = min(workers or os.cpu_count() or 1, len(shards))
    if processes <= 1:
        for shard in shards:
            yield shard, shard.make()
        return
    # Spawned, not forked: the training script holds threads of torch, which a fork would break.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        jobs = {pool.submit(shard.make): shard for shard in shards}
        for job in as_completed(jobs):
            yield jobs[job], job.result()


def _why(skipped: list[Skipped]) -> str:
    return "; ".join(f"{skip.path}: {skip.reason}" for skip in skipped[:3])


def _encode_files(root: Path, shard: str, files: Sequence[MidiFile]) -> tuple[Report, Tokens]:
    pieces: list[Piece] = []
    skipped: list[Skipped] = []
    parts: list[Tokens] = []
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
    split_of = dict.fromkeys(openings, "train")
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
