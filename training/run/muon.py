"""Muon for many matrices: those of one shape go through the iteration together.

torch.optim.Muon takes one matrix after the other, and small ones leave a processor waiting. The
formulas, the defaults and the saved state are its own, so that either goes on where the other was.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from training.run.precision import multiplies_bf16


class StackedMuon(torch.optim.Muon):
    """torch.optim.Muon, computed for all matrices of one shape at once."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Apply the gradients. Takes no closure."""
        assert closure is None
        for group in self.param_groups:
            for matrices in _of_one_shape(group["params"]):
                self._step_together(matrices, group)

    def _step_together(self, matrices: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        momenta = [self._momentum(matrix) for matrix in matrices]
        momentum = group["momentum"]
        for average, gradient in zip(momenta, gradients, strict=True):
            average.lerp_(gradient, 1.0 - momentum)
        ahead = torch.stack(momenta)
        if group["nesterov"]:
            ahead = torch.stack(gradients).lerp_(ahead, momentum)
        turned = orthogonalised(ahead, group)
        rows, columns = matrices[0].shape
        torch._foreach_mul_(matrices, 1.0 - group["lr"] * group["weight_decay"])
        rate = group["lr"] * max(1.0, rows / columns) ** 0.5
        torch._foreach_add_(matrices, turned.float().unbind(), alpha=-rate)

    def _momentum(self, matrix: Tensor) -> Tensor:
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        momentum: Tensor = state["momentum_buffer"]
        return momentum


def orthogonalised(matrices: Tensor, group: dict[str, Any]) -> Tensor:
    """Return the nearest (semi-)orthogonal matrices, roughly, of a stack (n, rows, columns).

    The quintic Newton-Schulz iteration of Muon (K. Jordan, 2024), in bf16 where that is fast.
    """
    a, b, c = group["ns_coefficients"]
    x = matrices.to(torch.bfloat16 if multiplies_bf16(matrices.device) else torch.float32)
    is_tall = x.shape[1] > x.shape[2]
    if is_tall:
        x = x.transpose(1, 2).contiguous()
    x = x / x.flatten(1).norm(dim=1).clamp(min=group["eps"])[:, None, None]
    for _ in range(group["ns_steps"]):
        gram = torch.bmm(x, x.transpose(1, 2))
        change = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, change, x, beta=a)
    return x.transpose(1, 2) if is_tall else x


def _of_one_shape(matrices: list[Tensor]) -> list[list[Tensor]]:
    found: dict[torch.Size, list[Tensor]] = defaultdict(list)
    for matrix in matrices:
        if matrix.grad is not None:
            found[matrix.shape].append(matrix)
    return list(found.values())
