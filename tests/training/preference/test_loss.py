"""The loss of pairs: what it asks for, and when it is content."""

import pytest
import torch

from training.preference.loss import preference

BEFORE = torch.tensor([100.0, 120.0, 90.0, 110.0])  # two pianists', then two of the model's own


def test_a_model_that_has_not_moved_prefers_nobody() -> None:
    found = preference(BEFORE, BEFORE, tokens=50, beta=0.1, anchor=0.0)

    assert found.margin.tolist() == [0.0, 0.0]
    assert float(found.loss) == pytest.approx(2 * torch.log(torch.tensor(2.0)) / 0.1 / 50)


def test_it_asks_for_the_pianist_and_against_its_own_answer_alike() -> None:
    nats = BEFORE.clone().requires_grad_()

    preference(nats, BEFORE, tokens=50, beta=0.1, anchor=0.0).loss.backward()

    assert nats.grad is not None
    assert (50 * nats.grad).tolist() == pytest.approx([0.5, 0.5, -0.5, -0.5])


def test_a_pair_that_is_learned_is_left_alone() -> None:
    nats = (BEFORE - torch.tensor([100.0, 0.0, -100.0, 0.0])).requires_grad_()

    found = preference(nats, BEFORE, tokens=50, beta=0.1, anchor=0.0)
    found.loss.backward()

    assert found.margin.tolist() == [200.0, 0.0]
    assert nats.grad is not None
    assert abs(float(nats.grad[0])) < 1e-6 < abs(float(nats.grad[1]))


def test_the_anchor_is_the_pianists_likelihood() -> None:
    without, anchored = (
        preference(BEFORE, BEFORE, tokens=50, beta=0.1, anchor=anchor).loss for anchor in (0.0, 1.0)
    )

    assert float(anchored - without) == pytest.approx((100 + 120) / 50)
