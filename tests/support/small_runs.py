"""Runs of the smallest model on the smallest music that show what training does."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from accelerate.state import AcceleratorState

from perceivers.events import NoteOff, NoteOn, TimedEvent
from perceivers.midi_files import Track, write_performance
from training.data.preparation import prepare
from training.run.learning_curve import LearningCurve

ROOT = Path(__file__).parents[2]
SCRIPT = str(ROOT / "training" / "train.py")


@contextmanager
def one_core() -> Iterator[None]:
    """Let a run in this process begin as in one of its own, on one core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        AcceleratorState._reset_state(reset_partial_state=True)


def write_chords(folder: Path) -> Path:
    """Write pieces that repeat a few chords: something to learn in few steps."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        root = int(rng.integers(48, 60))
        events = []
        for i in range(120):
            pitch = root + (0, 4, 7, 12)[i % 4] + int(rng.integers(0, 2)) * 12
            events.append(TimedEvent(i * 0.2, NoteOn(pitch, 64)))
            events.append(TimedEvent(i * 0.2 + 0.15, NoteOff(pitch)))
        write_performance(folder / f"{seed}.mid", [Track("piano", 0, tuple(events))])
    return folder


def prepare_chords(folder: Path) -> Path:
    """Return token files of such pieces."""
    prepare(write_chords(folder / "midi"), folder / "tokens", workers=1, quiet=True)
    return folder / "tokens"


def arguments(tokens: Path, run: Path, *more: str) -> list[str]:
    """Return the command line of a small run."""
    return [
        "--tokens", str(tokens), "--run", str(run), "--preset", "tiny", "--device", "cpu",
        "--precision", "fp32", "--batch", "2", "--micro-batch", "2", *more,
    ]  # fmt: skip


def losses(run: Path) -> dict[int, float]:
    """Return the training loss of each step."""
    points = LearningCurve(run).read()
    return {point.step: point.train_nll for point in points if point.train_nll is not None}


@contextmanager
def training(*command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a training script as a process of its own, in its own group."""
    with subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
