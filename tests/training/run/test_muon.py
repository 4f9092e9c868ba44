"""Muon for stacks of matrices is torch's own, matrix by matrix."""

import pytest
import torch
from torch import nn

from training.run.muon import StackedMuon

SHAPES = ((32, 32), (64, 32), (32, 64), (32, 32), (64, 32))


def stepped(kind: type[torch.optim.Muon], steps: int, *, nesterov: bool) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    matrices = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
    optimizer = kind(matrices, lr=0.02, weight_decay=0.01, nesterov=nesterov)
    for _ in range(steps):
        for matrix in matrices:
            matrix.grad = torch.randn(matrix.shape, generator=generator)
        optimizer.step()
    return [matrix.detach() for matrix in matrices]


@pytest.mark.parametrize("nesterov", [True, False])
def test_stacked_steps_are_those_of_torch(nesterov: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # torch iterates in bf16 on every machine, we only where that is fast.
    monkeypatch.setattr("training.run.muon.multiplies_bf16", lambda _: True)
    found = stepped(StackedMuon, 3, nesterov=nesterov)
    expected = stepped(torch.optim.Muon, 3, nesterov=nesterov)

    for ours, theirs in zip(found, expected, strict=True):
        # The iteration runs in bf16: 0.02 of a step of size 1 and three of them, to a percent.
        assert (ours - theirs).norm() < 0.01 * 0.06 * theirs.shape[0] ** 0.5


def test_a_run_that_torch_began_goes_on_in_stacks() -> None:
    matrix = nn.Parameter(torch.eye(8))
    before, after = torch.optim.Muon([matrix]), StackedMuon([matrix])
    matrix.grad = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    before.step()

    after.load_state_dict(before.state_dict())

    momentum = after.state[matrix]["momentum_buffer"]
    assert torch.equal(momentum, before.state[matrix]["momentum_buffer"])


def test_a_matrix_without_a_gradient_stays_as_it_is() -> None:
    moved, still = nn.Parameter(torch.eye(8)), nn.Parameter(torch.eye(8))
    moved.grad = torch.ones(8, 8)

    StackedMuon([moved, still]).step()

    assert torch.equal(still, torch.eye(8))
    assert not torch.equal(moved, torch.eye(8))
