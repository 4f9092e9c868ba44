"""What scores: a checkpoint by the block protocol in torch, or a model folder by its engine."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perceivers.errors import ModelMismatch, PerformerError
from perceivers.graphs import PRECISIONS
from perceivers.manifest import BEST_FILE, MANIFEST_FILE, WEIGHTS_FILE, describe_file, read_manifest
from perceivers.vocabulary import Flavour
from training.evaluation.likelihood import streamed
from training.evaluation.likelihood.figures import Ids, Scores

MOST_ENGINES = 8  # each holds a model and the caches of its whole context


@dataclass(frozen=True, slots=True)
class Scorer:
    """A model that is ready to score, and what it is."""

    identity: dict[str, Any]
    """As JSON values: where it comes from, by which protocol and in which precision it scores."""
    flavour: Flavour
    score: Callable[[Sequence[Ids], int], list[Scores]]
    """Score every k-th block of pieces of tokens."""


@dataclass(frozen=True, slots=True)
class How:
    """How to score, where the model leaves a choice."""

    protocol: str | None = None
    """"streamed", "blocks", or None: streamed for a model folder, blocks for a checkpoint."""
    precision: str = "fp32"
    device: str = "cpu"
    processes: int = 0
    """Engines that run side by side; 0 is one per core, up to MOST_ENGINES."""


def open_scorer(model: Path, how: How) -> Scorer:
    """Open a checkpoint, the folder of a run or a model folder. Raises PerformerError."""
    if not model.exists():
        raise PerformerError(f"{model}: no such checkpoint, run folder or model folder")
    if (model / MANIFEST_FILE).is_file():
        if how.protocol == "blocks":
            return _blocks(_within(model, WEIGHTS_FILE, "checkpoint to score by blocks"), how)
        return _streamed(model, how)
    if how.protocol == "streamed":
        raise PerformerError(
            f"{model}: --streamed needs a model folder; make one with: "
            f"python export/export_onnx.py {model / BEST_FILE if model.is_dir() else model} FOLDER"
        )
    if model.is_dir():
        return _blocks(
            _within(model, BEST_FILE, f"{BEST_FILE} of a run and no {MANIFEST_FILE}"), how
        )
    return _blocks(model, how)


def _within(folder: Path, name: str, missing: str) -> Path:
    if not (folder / name).is_file():
        raise PerformerError(
            f"{folder}: holds no {missing}; give a checkpoint, a run folder or a model folder"
        )
    return folder / name


def _streamed(folder: Path, how: How) -> Scorer:
    if how.precision == "bf16" or how.device != "cpu":
        raise PerformerError(
            f"{folder}: the engine runs in {', '.join(PRECISIONS)} on the CPU; for bf16 or another "
            "device score the checkpoint by blocks (--blocks)"
        )
    manifest = read_manifest(folder)
    graph = manifest.graphs.get(how.precision)
    if graph is None:
        raise ModelMismatch(
            f"{folder}: holds no {how.precision} graph; choose {', '.join(manifest.graphs)}"
        )
    identity = {
        "model": str(folder),
        "protocol": "streamed",
        "precision": how.precision,
        "checkpoint_sha256": manifest.checkpoint_sha256,
        "graph_sha256": graph.sha256,
        "parameters": manifest.parameters,
        "steps_trained": manifest.progress.get("step"),
    }
    processes = how.processes or min(os.cpu_count() or 1, MOST_ENGINES)

    def score(pieces: Sequence[Ids], every: int) -> list[Scores]:
        return streamed.score(
            folder, pieces, precision=how.precision, every=every, processes=processes
        )

    return Scorer(identity, Flavour.EVENTS, score)


def _blocks(path: Path, how: How) -> Scorer:
    if how.precision not in ("fp32", "bf16"):
        raise PerformerError(
            f"{path}: a checkpoint is scored in fp32 or bf16; {how.precision} needs a model folder"
        )
    try:
        from training.evaluation.likelihood import block_protocol as likelihood  # noqa: PLC0415 - the engine needs no torch
    except ModuleNotFoundError as error:
        raise PerformerError(
            f"{path}: a checkpoint needs the training stack, and {error.name} is missing; run this "
            "with .venv-dev/bin/python (`make .venv-dev/.installed`), or give a model folder"
        ) from error
    subject = likelihood.load(path, how.device, how.precision)
    identity = {
        "model": str(path),
        "protocol": "blocks",
        "precision": how.precision,
        "checkpoint_sha256": describe_file(path).sha256,
        "graph_sha256": None,
        "parameters": subject.parameters,
        "steps_trained": subject.steps_trained,
    }
    return Scorer(identity, subject.flavour, subject.score)
