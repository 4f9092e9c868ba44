"""The ways of computing one attention agree, in value and in gradient."""

import pytest
import torch
from torch import Tensor

from perceivers.attention import dense_attention, windowed_attention


def attended_and_gradients(
    dtype: torch.dtype, window: int, *, dense: bool
) -> tuple[Tensor, list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 2, 150, 32), (2, 2, 400, 32), (2, 2, 400, 32))
    q, k, v = (torch.randn(shape, generator=generator).to(dtype) for shape in shapes)
    parts = [x.requires_grad_() for x in (q, k, v)]
    attend = dense_attention if dense else windowed_attention
    out = attend(*parts, window)
    out.backward(torch.randn(out.shape, generator=generator).to(dtype))
    return out.detach().float(), [x.grad.float() for x in parts if x.grad is not None]


@pytest.mark.parametrize("window", [40, 128, 300, 400, 5000])
def test_in_half_precision_attention_is_that_of_float32_to_rounding(window: int) -> None:
    """On a CPU the two take different ways: plain products and the fused kernel."""
    out, gradients = attended_and_gradients(torch.bfloat16, window, dense=False)
    expected, expected_gradients = attended_and_gradients(torch.float32, window, dense=True)

    for found, wanted in zip([out, *gradients], [expected, *expected_gradients], strict=True):
        assert (found - wanted).norm() < 0.01 * wanted.norm()  # bf16 keeps 8 bits: 0.4 %


@pytest.mark.parametrize("window", [40, 128, 300, 400, 5000])
def test_in_float32_attention_is_dense_attention(window: int) -> None:
    out, gradients = attended_and_gradients(torch.float32, window, dense=False)
    expected, expected_gradients = attended_and_gradients(torch.float32, window, dense=True)

    for found, wanted in zip([out, *gradients], [expected, *expected_gradients], strict=True):
        assert (found - wanted).abs().max() < 1e-4
