"""Scores by the engine that plays: every token given the whole of its past, one stream per piece.

The engine runs in a process of its own, so that this needs no torch.
"""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from perceivers.errors import PerformerError
from perceivers.manifest import read_manifest
from training.evaluation.likelihood.blocks import BlockSampling, block_ends
from training.evaluation.likelihood.figures import Floats, Ids, Scores, checked

REPLAY = Path(__file__).resolve().parents[3] / "daemon" / "engine" / "replay.py"
CHUNK = 64  # tokens per run of the engine: the most that it reads at once


def score(
    folder: Path,
    pieces: Sequence[Ids],
    *,
    precision: str = "fp32",
    every: int = 1,
    processes: int = 1,
) -> list[Scores]:
    """Score pieces with a model folder, with a progress bar.

    The blocks are those of the block protocol, so that every k-th of them can be chosen here too;
    within a block as everywhere the engine has seen all that came before. Pieces of which no block
    is chosen are left out. Raises PerformerError when the engine fails.
    """
    latents = read_manifest(folder).architecture.latents
    spans = [
        chosen_spans(len(piece), latents, BlockSampling.of(number, every))
        for number, piece in enumerate(pieces)
    ]
    total = sum(map(len, pieces))
    with (
        tempfile.TemporaryDirectory() as scratch,
        tqdm(total=total, unit="token", desc="scoring", unit_scale=True, mininterval=1) as bar,
    ):
        engines = [
            _Engine(folder, precision, Path(scratch, str(number)), share)
            for number, share in enumerate(shares([len(piece) for piece in pieces], processes))
        ]
        for engine in engines:
            engine.save(pieces, spans)
        _run_all(engines, bar)
        found = {number: nats for engine in engines for number, nats in engine.costs().items()}
    return [
        _scores(piece, chosen, found[number], number)
        for number, (piece, chosen) in enumerate(zip(pieces, spans, strict=True))
        if len(chosen)
    ]


def chosen_spans(length: int, latents: int, sampling: BlockSampling) -> Ids:
    """Return the ranges (S, 2) of a piece's tokens, [start, stop), that the chosen blocks score."""
    ends = block_ends(length, latents)
    starts = [0, *ends[:-1]]
    blocks = enumerate(zip(starts, ends, strict=True))
    spans = [(start + 1, end + 1) for number, (start, end) in blocks if sampling.takes(number)]
    return np.array(spans, dtype=np.int64).reshape(-1, 2)


def shares(lengths: Sequence[int], processes: int) -> list[list[int]]:
    """Deal out pieces by their number, the longest first, to whoever has least to do."""
    dealt: list[list[int]] = [[] for _ in range(min(processes, len(lengths)))]
    loads = [0] * len(dealt)
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        least = loads.index(min(loads))
        dealt[least].append(number)
        loads[least] += lengths[number]
    return dealt


def _scores(piece: Ids, spans: Ids, nats: Floats, number: int) -> Scores:
    whole = np.full((2, len(piece)), np.nan)
    whole[:, np.concatenate([np.arange(start, stop) for start, stop in spans])] = checked(nats)
    return Scores(whole[0, 1:], piece[1:], number, whole[1, 1:])


class _Engine:
    """One run of the engine over its share of the pieces, and the files that go in and out."""

    def __init__(self, folder: Path, precision: str, scratch: Path, share: list[int]) -> None:
        scratch.mkdir()
        self._given, self._costs = scratch / "pieces.npz", scratch / "nats.npz"
        self._errors = scratch / "errors.txt"
        self._share = share
        self._command = [sys.executable, str(REPLAY), str(folder), str(self._given)]
        self._command += [str(self._costs), "--nats", "--precision", precision]
        self._command += ["--chunk", str(CHUNK)]

    def save(self, pieces: Sequence[Ids], spans: Sequence[Ids]) -> None:
        """Write what the engine reads."""
        arrays: dict[str, Any] = {f"tokens/{number}": pieces[number] for number in self._share}
        arrays |= {f"spans/{number}": spans[number] for number in self._share}
        np.savez(self._given, **arrays)

    def start(self) -> "subprocess.Popen[str]":
        """Start it; its output counts the tokens that it has passed."""
        with self._errors.open("w", encoding="utf-8") as errors:
            return subprocess.Popen(  # noqa: S603
                self._command, stdout=subprocess.PIPE, stderr=errors, text=True
            )

    def costs(self) -> dict[int, Floats]:
        """Return the costs by the number of their piece."""
        with np.load(self._costs) as arrays:
            return {number: arrays[str(number)] for number in self._share}

    def failure(self, code: int) -> PerformerError:
        """Return what it said at its end."""
        told = self._errors.read_text(encoding="utf-8").strip().splitlines()
        reason = told[-1].removeprefix("error: ") if told else f"exit code {code}"
        return PerformerError(f"the engine failed: {reason}")


def _run_all(engines: Sequence[_Engine], bar: tqdm) -> None:
    """Run all engines to their end; when one fails or a Ctrl-C comes, none is left behind."""
    lock = threading.Lock()

    def watch(process: "subprocess.Popen[str]") -> int:
        passed = 0
        with process:  # closes the pipe and waits
            assert process.stdout is not None
            for line in process.stdout:
                with lock:
                    bar.update(int(line) - passed)
                passed = int(line)
        return process.returncode

    with ThreadPoolExecutor(len(engines)) as pool:
        processes: list[subprocess.Popen[str]] = []
        try:
            watched: dict[Future[int], _Engine] = {}
            for engine in engines:
                processes.append(engine.start())
                watched[pool.submit(watch, processes[-1])] = engine
            for ended in as_completed(watched):
                if ended.result():
                    raise watched[ended].failure(ended.result())
        except BaseException:
            for process in processes:
                process.kill()
            raise
