"""The optimisers: Muon or AdamW for the matrices inside the model, AdamW for everything else."""

from typing import Any

import torch
from torch import nn

from perceivers.errors import PerformerError
from training.run.muon import StackedMuon

MUON_RATE = 0.02
MUON_WEIGHT_DECAY = 0.01
ADAMW_MATRIX_RATE = 1e-3
ADAMW_MATRIX_WEIGHT_DECAY = 0.1
ADAMW_RATE = 3e-3
BETAS = (0.9, 0.95)
CLIP_NORM = 1.0


class Optimizers:
    """Both optimisers, stepped as one.

    kind: `muon` or `adamw`, of the matrices inside. weight_decay is theirs too; None is the usual
    one of that kind. Rates are given as a factor on the usual ones.
    """

    def __init__(
        self,
        model: nn.Module,
        rate: float = 1.0,
        kind: str = "muon",
        weight_decay: float | None = None,
    ) -> None:
        self._kind = kind
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            inside = parameter.dim() == 2 and not name.endswith(("embedding.weight", "head.weight"))
            (matrices if inside else others).append(parameter)
        self._parts: list[tuple[torch.optim.Optimizer, float]] = [
            _of_matrices(matrices, rate, kind, weight_decay),
            (
                torch.optim.AdamW(others, lr=ADAMW_RATE, betas=BETAS, weight_decay=0.0),
                ADAMW_RATE * rate,
            ),
        ]

    def step(self, factor: float) -> None:
        """Apply the gradients at `factor` of the peak rates, then clear them."""
        for optimizer, rate in self._parts:
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        states = {str(i): optimizer.state_dict() for i, (optimizer, _) in enumerate(self._parts)}
        return {"optimizer": self._kind, **states}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state of a checkpoint; the weight decay stays that of this run's options.

        Raises PerformerError when it is the state of the other kind.
        """
        kind = state.get("optimizer", "muon")
        if kind != self._kind:
            raise PerformerError(
                f"--optimizer {self._kind} cannot go on with a run that {kind} began; "
                f"give --optimizer {kind}, or another --run"
            )
        for i, (optimizer, _) in enumerate(self._parts):
            decays = [group["weight_decay"] for group in optimizer.param_groups]
            optimizer.load_state_dict(state[str(i)])
            for group, decay in zip(optimizer.param_groups, decays, strict=True):
                group["weight_decay"] = decay


def _of_matrices(
    matrices: list[nn.Parameter], rate: float, kind: str, weight_decay: float | None
) -> tuple[torch.optim.Optimizer, float]:
    """Return the optimiser of the matrices inside, and its peak rate."""
    if kind == "muon":
        decay = MUON_WEIGHT_DECAY if weight_decay is None else weight_decay
        return StackedMuon(matrices, lr=MUON_RATE, weight_decay=decay), MUON_RATE * rate
    decay = ADAMW_MATRIX_WEIGHT_DECAY if weight_decay is None else weight_decay
    return (
        torch.optim.AdamW(matrices, lr=ADAMW_MATRIX_RATE, betas=BETAS, weight_decay=decay),
        ADAMW_MATRIX_RATE * rate,
    )
