"""Where a run stands, and what it starts or goes on from."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from perceivers.architecture import Architecture
from perceivers.checkpoint import Checkpoint, load_checkpoint
from perceivers.errors import ModelMismatch, PerformerError
from perceivers.keys_down import KEY_ROWS
from perceivers.manifest import BEST_FILE, MANIFEST_FILE, WEIGHTS_FILE, describe_file, read_manifest
from perceivers.model import PerceiverS
from perceivers.vocabulary import Flavour
from training.models.presets import PRESETS
from training.run.options import TrainingOptions

LAST, STABLE, BEST = "last.pt", "stable.pt", BEST_FILE
DEFAULT_PRESET = "small"
FLAVOURS = tuple(Flavour)


@dataclass(slots=True)
class Progress:
    """Where a run stands; saved with every checkpoint."""

    step: int = 0
    tokens: int = 0  # loss tokens seen
    seconds: float = 0.0  # spent in the loop, over all invocations
    decay: float = 0.0  # of the learning rate, 0 (stable) to 1 (finished)
    best_validation_nll: float = float("inf")
    validation_nll: float = float("inf")
    data: str = ""  # what the weights were trained on, in words
    licence: str = ""  # of the weights, in words; empty if it is not known
    init_sha256: str = ""  # of the checkpoint that the run began with; empty if with none


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """The model that a run starts with; without weights it is a random one."""

    architecture: Architecture
    weights: dict[str, Tensor] | None = None
    file: Path | None = None
    flavour: Flavour = Flavour.EVENTS
    data: str = ""  # what it was trained on, in words
    licence: str = ""


def begun_progress(start: StartingPoint, data: str, licence: str) -> Progress:
    """Return the progress of a run that begins, on data of some licence."""
    return Progress(
        data=f"{start.data}; then {data}" if start.data else data,
        licence=start.licence or licence,
        init_sha256="" if start.file is None else describe_file(start.file).sha256,
    )


def saved_state(run: Path, steps: int | None) -> Checkpoint | None:
    """Return where the run in a folder goes on; None if it begins here.

    A finished run goes on from the state before its decay. Raises PerformerError when a budget of
    `steps` in all leaves it nothing to do.
    """
    if not (run / LAST).exists():
        return None
    last = load_checkpoint(run / LAST, FLAVOURS)
    if last.progress["decay"] < 1.0:
        return last
    done = last.progress["step"]
    if steps is not None and steps <= done:
        raise PerformerError(
            f"{run}: finished at step {done}; nothing left to do with --steps {steps} "
            "(give more, or another --run)"
        )
    return load_checkpoint(run / STABLE, FLAVOURS)


def starting_point(
    options: TrainingOptions, resumed: Checkpoint | None, wanted: Architecture | None
) -> StartingPoint:
    """Choose the model: that of the saved state, of --init, or a new one.

    wanted: the architecture that the caller insists on; without one, --preset decides.
    Raises PerformerError when the saved state or --init is of another architecture, or when the
    run did not begin with --init.
    """
    if wanted is None and options.preset is not None:
        wanted = PRESETS[options.preset]
    if resumed is not None:
        start = _start_of(options.run / LAST, resumed)
        if options.init is not None:
            _check_begun_with(options.init, resumed, options.run)
    elif options.init is not None:
        start = _trained_model(options.init)
        if options.tell_keys:
            start = _told_of_keys(start)
    else:
        start = StartingPoint(wanted or PRESETS[DEFAULT_PRESET])
    start = replace(start, architecture=_carrying(start.architecture, options.carry))
    if wanted is not None:
        _check_same(start, _carrying(wanted, options.carry), options.preset)
    return start


def load_weights(model: PerceiverS, start: StartingPoint, flavour: Flavour) -> None:
    """Give the model the weights to start with, to train on tokens of a flavour.

    Raises ModelMismatch when they do not fit.
    """
    assert start.weights is not None
    if start.flavour is not flavour:
        raise ModelMismatch(
            f"{start.file}: trained on tokens of flavour '{start.flavour}', and the token files "
            f"are of '{flavour}'; prepare the others, or start without this model"
        )
    try:
        model.load_state_dict(start.weights)
    except RuntimeError as error:
        raise ModelMismatch(
            f"{start.file}: its weights are not those of its architecture "
            f"({str(error).splitlines()[-1].strip()}); use the version that made it"
        ) from error


def _told_of_keys(start: StartingPoint) -> StartingPoint:
    """Return the model as one that is told which keys are down; what that means it has to learn."""
    if start.architecture.knows_keys:
        return start
    assert start.weights is not None
    table = torch.zeros(KEY_ROWS, start.architecture.dim)
    weights = start.weights | {"key_embedding.weight": table}
    return replace(
        start, architecture=replace(start.architecture, knows_keys=True), weights=weights
    )


def _carrying(architecture: Architecture, carry: int | None) -> Architecture:
    """Return the architecture trained with other carried latents: its weights stay the same."""
    return architecture if carry is None else replace(architecture, carried=carry)


def _check_same(start: StartingPoint, wanted: Architecture, preset: str | None) -> None:
    if start.architecture == wanted:
        return
    asked = f"--preset {preset}" if preset else "the architecture asked for"
    ours, theirs = wanted.to_json(), start.architecture.to_json()
    names = [name for name in ours if ours[name] != theirs[name]]
    told = ", ".join(f"{name} {theirs[name]}, not {ours[name]}" for name in names)
    raise PerformerError(
        f"{asked} is not the model of {start.file} (it has {told}); leave --preset out to go on "
        "with that model, or start another --run"
    )


def _check_begun_with(init: Path, resumed: Checkpoint, run: Path) -> None:
    if resumed.progress.get("init_sha256", "") != describe_file(weights_file(init)).sha256:
        raise PerformerError(
            f"{run}: holds a run that did not begin with --init {init}; name another --run, or "
            "leave --init out to go on with that one"
        )


def weights_file(path: Path) -> Path:
    """Return the checkpoint that a model folder, a run or a file holds.

    Raises PerformerError when there is none, ModelMismatch when a model folder's is damaged.
    """
    if path.is_file():
        return path
    found = [path / name for name in (WEIGHTS_FILE, BEST) if (path / name).is_file()]
    if not found:
        raise PerformerError(
            f"{path}: holds neither {WEIGHTS_FILE} (a model folder) nor {BEST} (a run); "
            "name the checkpoint itself, or export the model again"
        )
    return found[0]


def _trained_model(path: Path) -> StartingPoint:
    """Return the model to start from, and what is known of its data and its licence."""
    file = weights_file(path)
    start = _start_of(file, load_checkpoint(file, FLAVOURS))
    if file.name != WEIGHTS_FILE or not (path / MANIFEST_FILE).is_file():
        return start
    manifest = read_manifest(path)
    return replace(start, data=manifest.data, licence=manifest.licence)


def _start_of(file: Path, checkpoint: Checkpoint) -> StartingPoint:
    known = checkpoint.progress
    return StartingPoint(
        checkpoint.architecture,
        checkpoint.weights,
        file,
        checkpoint.flavour,
        str(known.get("data", "")),
        str(known.get("licence", "")),
    )
