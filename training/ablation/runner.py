"""One run of an arm: train, score, leave a result; taken up where a killed one stopped.

A run is locked while it is worked on, and the lock falls with the process that holds it, so that
several processes may share the work.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout

from perceivers.checkpoint import load_checkpoint
from perceivers.errors import PerformerError
from training.ablation.compute import flop_of
from training.ablation.results import Cost, Result, result_path, write_result
from training.ablation.scoring import PieceScore, ScoringPlan, bucket_tokens, score_pieces
from training.ablation.settings import Campaign, Run
from training.data.token_store import TokenStore
from training.evaluation.likelihood.figures import Ids
from training.models.presets import parameters_of
from training.run.command_line import parse
from training.run.precision import autocast
from training.run.state import LAST
from training.run.trainer import Trainer

CPU_SECONDS = "cpu_seconds.txt"


class Stopped(Exception):
    """A signal ended a run, which is saved."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where runs and results lie, and what they are made with."""

    runs: Path
    results: Path
    tokens: Path
    device: str  # auto or cpu, as training/train.py takes it
    keeps_runs: bool = False

    @property
    def torch_device(self) -> torch.device:
        """Return the device that the training takes."""
        uses_gpu = self.device == "auto" and torch.cuda.is_available()
        return torch.device("cuda" if uses_gpu else "cpu")


@contextmanager
def locked(place: Place, run: Run) -> Iterator[bool]:
    """Hold the lock of a run while open; yield False where another process has it."""
    place.runs.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place.runs / f"{run.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def is_done(place: Place, run: Run) -> bool:
    """Tell whether a run has left its result."""
    return result_path(place.results, run).exists()


def carry_out(place: Place, run: Run) -> Result:
    """Do a run from where it stands; write its result, then remove its checkpoints.

    Raises Stopped when a signal ended the training, which the next call takes up.
    """
    folder = place.runs / run.name
    if not _is_trained(folder, run):
        _train(place, run)
    started_s = time.monotonic()
    lengths, pieces = _score(place, run)
    progress = load_checkpoint(folder / LAST).progress
    train_lengths = TokenStore(place.tokens, "train").lengths
    cost = Cost(
        parameters=parameters_of(run.arm.architecture),
        tokens=progress["tokens"],
        flop=flop_of(run, train_lengths),
        train_s=round(progress["seconds"], 1),
        train_cpu_s=round(_cpu_seconds(folder), 1),
        score_s=round(time.monotonic() - started_s, 1),
        device=_device_name(place.torch_device),
        threads=torch.get_num_threads(),
    )
    result = Result(run, cost, bucket_tokens(lengths), tuple(pieces))
    write_result(place.results, result)
    if not place.keeps_runs:
        shutil.rmtree(folder)
    return result


def _is_trained(folder: Path, run: Run) -> bool:
    last = folder / LAST
    return last.exists() and load_checkpoint(last).progress["step"] >= run.campaign.steps


def _train(place: Place, run: Run) -> None:
    trainer = Trainer(parse(training_arguments(place, run)), run.arm.architecture)
    before_s = time.process_time()
    try:
        trainer.train()
    finally:
        with (place.runs / run.name / CPU_SECONDS).open("a") as file:
            file.write(f"{time.process_time() - before_s:.1f}\n")
    if trainer.progress.step < run.campaign.steps:
        raise Stopped


def _cpu_seconds(folder: Path) -> float:
    """Return the processor time of all invocations, but for what was killed."""
    return sum(float(line) for line in (folder / CPU_SECONDS).read_text().split())


def training_arguments(place: Place, run: Run) -> list[str]:
    """Return the command line of training/train.py that the run is, its architecture aside."""
    steps = str(run.campaign.steps)
    words = {
        "tokens": str(place.tokens),
        "run": str(place.runs / run.name),
        "steps": steps,
        "validate-every": steps,  # scored otherwise
        "batch": str(run.batch),
        "micro-batch": str(run.micro_batch),
        "seed": str(run.seed),
        "device": place.device,
        "precision": run.campaign.precision,
        **run.campaign.recipe,
        **run.arm.training,
    }
    return [part for name, value in words.items() for part in (f"--{name}", value)]


def _score(place: Place, run: Run) -> tuple[list[int], list[PieceScore]]:
    """Return the lengths of the pieces, and their scores."""
    pieces = scored_pieces(place.tokens, run.campaign)
    device = place.torch_device
    model = load_checkpoint(place.runs / run.name / LAST).build_model().to(device).eval()
    lengths = [len(piece) for piece in pieces]
    plan = ScoringPlan.of(lengths, run.campaign.reference.latents, run.campaign.scored_tokens)
    with autocast(device, run.campaign.precision):
        return lengths, score_pieces(model, pieces, plan, device)


def scored_pieces(tokens: Path, campaign: Campaign) -> list[Ids]:
    """Return the validation pieces of the campaign's data sets.

    Raises PerformerError when there are none.
    """
    store = TokenStore(tokens, "validation", campaign.scored_datasets)
    if not len(store):
        named = ", ".join(campaign.scored_datasets) or "any data set"
        raise PerformerError(f"{tokens}: no piece of {named} in the split 'validation' to score")
    return [store.tokens(i).astype(np.int64) for i in range(len(store))]


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
