"""What of a run travels to another machine: the state that it goes on from, and its music."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perceivers.checkpoint import load_checkpoint, save_checkpoint
from perceivers.errors import PerformerError
from perceivers.vocabulary import Flavour
from training.data.token_store import INDEX, Piece, TokenStore, write_index
from training.run.learning_curve import CURVE_FILE
from training.run.state import BEST, FLAVOURS, LAST, STABLE

Files = list[tuple[str, Path]]
"""Names that files get at their destination, and where they are."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a run travels."""

    splits: Sequence[str] = ("train", "validation")
    datasets: Sequence[str] = ()  # none: all
    half: bool = False  # two bytes a number instead of four


@dataclass(frozen=True, slots=True)
class State:
    """The files of a run's state, and the step that it goes on from."""

    step: int
    files: Files
    best_stays: bool
    """Whether the best weights were left out for want of room."""


def state_of(run: Path, scratch: Path, half: bool, room: int) -> State:
    """Return what a run needs to go on, and what of the rest has room.

    A finished run goes on from the state before its decay. What the run needs comes last, so that
    a run that is half unpacked is none yet. Everything is copied first, as the run may be going on.
    """
    run = _copied(run, scratch / "run")
    progress = load_checkpoint(run / LAST, FLAVOURS).progress
    needed = [(LAST, run / LAST)]
    if progress["decay"] >= 1.0:
        needed = [(LAST, run / STABLE)]
        progress = load_checkpoint(run / STABLE, FLAVOURS).progress
    elif progress["decay"] > 0.0:
        needed.insert(0, (STABLE, run / STABLE))
    if half:
        needed = [(name, _halved(path, scratch)) for name, path in needed]
    curve = [(CURVE_FILE, run / CURVE_FILE)] if (run / CURVE_FILE).exists() else []
    best = [(BEST, run / BEST)] if (run / BEST).exists() else []
    size = sum(path.stat().st_size for _, path in best + curve + needed)
    best_stays = bool(best) and size > room
    return State(progress["step"], ([] if best_stays else best) + curve + needed, best_stays)


def music_of(folder: Path, scratch: Path, choice: Choice) -> Files:
    """Write the chosen pieces as one shard for each split, in their order; return the files."""
    scratch.mkdir()
    pieces: list[Piece] = []
    files: Files = []
    flavour = Flavour.EVENTS
    for split in choice.splits:
        store = TokenStore(folder, split, choice.datasets, flavours=FLAVOURS)
        flavour, name, offset = store.flavour, f"shard-{len(files):05d}.bin", 0
        with (scratch / name).open("wb") as shard:
            for index, piece in enumerate(store.pieces):
                shard.write(np.asarray(store.tokens(index), dtype="<u2").tobytes())
                pieces.append(replace(piece, shard=name, offset=offset))
                offset += piece.length
        files.append((name, scratch / name))
    if not pieces:
        raise PerformerError(f"{folder}: no piece is of the chosen splits and data sets")
    write_index(scratch, pieces, flavour)
    return [*files, (INDEX, scratch / INDEX)]


def _copied(run: Path, folder: Path) -> Path:
    """Copy the files of a run that may travel, the state before what it depends on."""
    folder.mkdir()
    for name in (LAST, STABLE, BEST, CURVE_FILE):
        if (run / name).exists():
            shutil.copyfile(run / name, folder / name)
    return folder


def _halved(path: Path, scratch: Path) -> Path:
    """Write a checkpoint with two bytes a number; a run goes on from it nearly, not exactly."""
    checkpoint = load_checkpoint(path, FLAVOURS).in_half_precision()
    narrowed = replace(checkpoint, resume=_narrowed(checkpoint.resume))
    save_checkpoint(scratch / path.name, narrowed)
    return scratch / path.name


def _narrowed(state: Any) -> Any:
    """Return the state of optimisers in bfloat16, which has the range of float32."""
    if isinstance(state, torch.Tensor):
        return state.bfloat16() if state.is_floating_point() and state.dim() else state
    if isinstance(state, dict):
        return {key: _narrowed(value) for key, value in state.items()}
    if isinstance(state, list):
        return [_narrowed(value) for value in state]
    return state
