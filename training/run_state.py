"""Where a run stands, and what it starts or goes on from."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from perceivers.architecture import Architecture
from perceivers.checkpoint import Checkpoint, load_checkpoint
from perceivers.errors import PerformerError
from training.options import TrainingOptions
from training.presets import PRESETS

LAST, STABLE, BEST = "last.pt", "stable.pt", "best.pt"
DEFAULT_PRESET = "small"


@dataclass(slots=True)
class Progress:
    """Where a run stands; saved with every checkpoint."""

    step: int = 0
    tokens: int = 0  # loss tokens seen
    seconds: float = 0.0  # spent in the loop, over all invocations
    decay: float = 0.0  # of the learning rate, 0 (stable) to 1 (finished)
    best_validation_nll: float = float("inf")
    validation_nll: float = float("inf")


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """The model that a run starts with; without weights it is a random one."""

    architecture: Architecture
    weights: dict[str, Tensor] | None


def saved_state(run: Path, steps: int | None) -> Checkpoint | None:
    """Return where the run in a folder goes on; None if it begins here.

    A finished run goes on from the state before its decay. Raises PerformerError when a budget of
    `steps` in all leaves it nothing to do.
    """
    if not (run / LAST).exists():
        return None
    last = load_checkpoint(run / LAST)
    if last.progress["decay"] < 1.0:
        return last
    done = last.progress["step"]
    if steps is not None and steps <= done:
        raise PerformerError(
            f"{run}: finished at step {done}; nothing left to do with --steps {steps} "
            "(give more, or another --run)"
        )
    return load_checkpoint(run / STABLE)


def starting_point(options: TrainingOptions, resumed: Checkpoint | None) -> StartingPoint:
    """Choose the model: that of the saved state, of --init, or a new one of the preset's size."""
    start = resumed
    if start is None and options.init is not None:
        start = load_checkpoint(options.init)
    if start is None:
        return StartingPoint(PRESETS[options.preset or DEFAULT_PRESET], None)
    if options.preset is not None and start.architecture != PRESETS[options.preset]:
        found = options.init if resumed is None else options.run / LAST
        raise PerformerError(
            f"--preset {options.preset} is not the model of {found}; leave --preset out to go on "
            "with that model, or start another --run"
        )
    return StartingPoint(start.architecture, start.weights)
