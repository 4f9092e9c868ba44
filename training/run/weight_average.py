"""A moving average of the weights, which may play better than the weights of the last step."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Keeps the share `keep` of itself at each step, and takes the rest from the model.

    While it is young it keeps less, so that the first weights do not linger.
    """

    def __init__(self, model: nn.Module, keep: float) -> None:
        self._keep = keep
        self._updates = 0
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take over the weights of one step."""
        self._updates += 1
        keep = min(self._keep, (1 + self._updates) / (10 + self._updates))
        for name, value in model.state_dict().items():
            self.weights[name].lerp_(value, 1.0 - keep)

    @contextmanager
    def inside(self, model: nn.Module) -> Iterator[None]:
        """Let the model have the average for a while."""
        own = {name: value.detach().clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.weights)
        try:
            yield
        finally:
            model.load_state_dict(own)

    def state(self) -> dict[str, object]:
        """Return the state for a checkpoint."""
        return {"weights": self.weights, "updates": self._updates}

    def restore(self, weights: Mapping[str, Tensor], updates: int) -> None:
        """Take over a state of a checkpoint."""
        for name, value in weights.items():
            self.weights[name].copy_(value)
        self._updates = updates
