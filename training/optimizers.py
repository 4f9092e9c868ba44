"""The optimisers: Muon for the matrices inside the model, AdamW for everything else."""

from typing import Any

import torch
from torch import nn

MUON_RATE = 0.02
ADAMW_RATE = 3e-3
CLIP_NORM = 1.0


class Optimizers:
    """Both optimisers, stepped as one."""

    def __init__(self, model: nn.Module, rate: float = 1.0) -> None:
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            inside = parameter.dim() == 2 and not name.endswith(("embedding.weight", "head.weight"))
            (matrices if inside else others).append(parameter)
        self._parts: list[tuple[torch.optim.Optimizer, float]] = [
            (torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=0.01), MUON_RATE * rate),
            (
                torch.optim.AdamW(others, lr=ADAMW_RATE, betas=(0.9, 0.95), weight_decay=0.0),
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
        return {str(i): optimizer.state_dict() for i, (optimizer, _) in enumerate(self._parts)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state of a checkpoint."""
        for i, (optimizer, _) in enumerate(self._parts):
            optimizer.load_state_dict(state[str(i)])
