"""Token files of a folder of MIDI files, made in parallel and restartable shard by shard."""

import math
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from perceivers.errors import ModelMismatch, PerformerError
from perceivers.vocabulary import Flavour
from training.data.midi_folder import SPLITS, MidiFile, find_files
from training.data.shards import Report, Shard, Skipped
from training.data.token_store import Piece, flavour_in, write_index

FILES_PER_SHARD = 64


def prepare(
    root: Path,
    out: Path,
    workers: int = 0,
    quiet: bool = False,
    flavour: Flavour = Flavour.EVENTS,
    files: Sequence[MidiFile] | None = None,
) -> Report:
    """Encode the MIDI files under `root`, or these `files` of it alone, into shards in `out`.

    A shard that is already there, made from the same files, vocabulary and flavour, is kept.
    Raises ModelMismatch when `out` holds token files of another flavour.
    """
    there = flavour_in(out)
    if there not in (None, flavour):
        raise ModelMismatch(
            f"{out}: holds token files of flavour '{there}', not '{flavour}'; give another --out, "
            "or remove that folder"
        )
    files = find_files(root) if files is None else files
    out.mkdir(parents=True, exist_ok=True)
    shards = [
        Shard(root, out, number, tuple(files[start : start + FILES_PER_SHARD]), flavour)
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
    write_index(out, pieces, flavour)
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
