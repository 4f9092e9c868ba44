"""What a run keeps on the disk: the weights that play, and all that it goes on from."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perceivers.architecture import Architecture
from perceivers.checkpoint import Checkpoint, save_checkpoint
from perceivers.errors import PerformerError
from perceivers.model import PerceiverS
from perceivers.vocabulary import Flavour
from training.run.optimizers import Optimizers
from training.run.state import BEST, Progress
from training.run.weight_average import WeightAverage


@dataclass(frozen=True, slots=True)
class Keeper:
    """Saves checkpoints of one run. A file takes the place of the old one only when it is whole."""

    run: Path
    architecture: Architecture
    flavour: Flavour
    model: PerceiverS  # without the wrapper that several devices need
    optimizers: Optimizers
    average: WeightAverage | None

    @contextmanager
    def weights_to_play(self) -> Iterator[PerceiverS]:
        """Yield the model with the weights that are validated and played."""
        if self.average is None:
            yield self.model
            return
        with self.average.inside(self.model):
            yield self.model

    def save(self, name: str, progress: Progress) -> None:
        """Write a checkpoint; the best one holds what plays, every other all of the state.

        Raises PerformerError, with what to do next, when the disk does not take it.
        """
        checkpoint = self._played(progress) if name == BEST else self._whole(progress)
        try:
            save_checkpoint(self.run / name, checkpoint)
        except (OSError, RuntimeError) as error:  # torch's writer raises either
            raise PerformerError(
                f"{self.run / name}: cannot be saved ({_first_line(error)}); is the disk full? "
                "The checkpoints saved before stay, and the same command goes on from there"
            ) from error

    def _played(self, progress: Progress) -> Checkpoint:
        with self.weights_to_play():
            return self._checkpoint(progress, resume={})

    def _whole(self, progress: Progress) -> Checkpoint:
        average = {} if self.average is None else {"average": self.average.state()}
        return self._checkpoint(progress, self.optimizers.state() | average)

    def _checkpoint(self, progress: Progress, resume: dict[str, Any]) -> Checkpoint:
        weights = {name: value.detach().cpu() for name, value in self.model.state_dict().items()}
        if self.average is not None:  # the average leaves the model again before this is saved
            weights = {name: value.clone() for name, value in weights.items()}
        return Checkpoint(self.architecture, weights, asdict(progress), resume, self.flavour)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
