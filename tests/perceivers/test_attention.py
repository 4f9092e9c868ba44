"""The ways of computing one attention agree, in value and in gradient."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from perceivers.attention import (
    attention_in_one_call,
    blockwise_attention,
    dense_attention,
    windowed_attention,
)
from perceivers.product_attention import Band, band_mask, product_attention


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


PADDING = (0, 10, 100)  # keys at the left of each sample that are nobody's


def by_products(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    return product_attention(q, k, v, Band(window, torch.tensor(PADDING)))


def by_blocks(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    return blockwise_attention(q, k, v, window, torch.tensor(PADDING))


def in_one_call(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    attended = attention_in_one_call(q, k, v, Band(window, torch.tensor(PADDING)))
    assert attended is not None
    return attended


def written_out(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Every query sees itself, and what lies in its window and is no padding."""
    queries, keys = q.shape[-2], k.shape[-2]
    is_real = torch.arange(keys) >= torch.tensor(PADDING)[:, None, None, None]
    seen = band_mask(queries, keys, window, q.device) & is_real
    seen = seen | band_mask(queries, keys, 1, q.device)
    scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5
    return scores.masked_fill(~seen, float("-inf")).softmax(-1) @ v


@pytest.mark.parametrize("attend", [by_products, by_blocks, in_one_call])
@pytest.mark.parametrize("window", [30, 64, 200, 256, 300])
@pytest.mark.parametrize(("queries", "keys"), [(256, 256), (256, 300), (128, 400), (150, 150)])
def test_keys_that_are_padding_are_seen_by_no_other(
    attend: Callable[..., Tensor], window: int, queries: int, keys: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = (queries, keys, keys)
    parts = [torch.randn((3, 2, length, 8), generator=generator) for length in lengths]
    q, k, v = (part.requires_grad_() for part in parts)
    padded_queries = [max(0, padding - (keys - queries)) for padding in PADDING]
    is_real = torch.arange(queries) >= torch.tensor(padded_queries)[:, None]
    upstream = torch.randn((3, 2, queries, 8), generator=generator) * is_real[:, None, :, None]

    found = attend(q, k, v, window)
    expected = written_out(q, k, v, window)

    assert ((found - expected).abs().amax((1, 3)) * is_real).max() < 1e-5
    of_found = torch.autograd.grad(found, (q, k, v), upstream)
    of_expected = torch.autograd.grad(expected, (q, k, v), upstream)
    for ours, theirs in zip(of_found, of_expected, strict=True):
        assert (ours - theirs).abs().max() < 1e-5


@pytest.mark.parametrize("window", [32, 64, 100, 256])
@pytest.mark.parametrize(("queries", "keys"), [(256, 256), (256, 300), (128, 511)])
def test_blocks_of_a_band_as_heads_attend_as_one(window: int, queries: int, keys: int) -> None:
    """What a GPU does is plain arithmetic, so a CPU can tell whether it is right."""
    generator = torch.Generator().manual_seed(0)
    lengths = (queries, keys, keys)
    parts = [torch.randn((2, 3, length, 8), generator=generator) for length in lengths]
    q, k, v = (part.requires_grad_() for part in parts)
    upstream = torch.randn((2, 3, queries, 8), generator=generator)

    found = attention_in_one_call(q, k, v, Band(window))
    expected = dense_attention(q, k, v, window)

    assert found is not None
    assert (found - expected).abs().max() < 1e-5
    of_found = torch.autograd.grad(found, (q, k, v), upstream)
    of_expected = torch.autograd.grad(expected, (q, k, v), upstream)
    for ours, theirs in zip(of_found, of_expected, strict=True):
        assert (ours - theirs).abs().max() < 1e-5
