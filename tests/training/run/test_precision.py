"""Products are in bf16 only where there are instructions for it, unless a user asks otherwise."""

import pytest
import torch
from torch import nn

from training.run.muon import orthogonalised
from training.run.precision import (
    AUTO,
    BF16,
    FP32,
    autocast,
    chosen_precision,
    multiplies_bf16,
    processor_multiplies_bf16,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"architecture": "x86_64", "avx2": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"architecture": "x86_64", "avx512_f": True, "avx512_bf16": False}, False),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, True),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": True}, True),
        ({"architecture": "arm64", "neon": True, "bf16": False}, False),
        ({"architecture": "arm64", "neon": True, "bf16": True}, True),
        ({"architecture": "of the future"}, False),
    ],
)
def test_a_processor_is_asked_for_its_instructions(
    capabilities: dict[str, object], expected: bool
) -> None:
    assert processor_multiplies_bf16(capabilities) is expected


def test_what_is_asked_for_is_taken() -> None:
    assert chosen_precision(BF16, CPU) == BF16
    assert chosen_precision(FP32, CPU) == FP32


@pytest.mark.parametrize(("has_bf16", "expected"), [(True, BF16), (False, FP32)])
def test_unasked_the_machine_is_looked_at(
    has_bf16: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: True)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": has_bf16})

    assert chosen_precision(AUTO, CPU) == expected


def test_a_device_that_is_not_known_computes_in_fp32() -> None:
    assert chosen_precision(AUTO, torch.device("mps")) == FP32


def test_instructions_that_torch_does_not_use_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"bf16": True})
    for has_onednn in (True, False):
        monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda has=has_onednn: has)
        assert multiplies_bf16(CPU) is has_onednn


@pytest.mark.parametrize(("precision", "dtype"), [(BF16, torch.bfloat16), (FP32, torch.float32)])
def test_products_are_of_the_precision(precision: str, dtype: torch.dtype) -> None:
    with autocast(CPU, precision):
        assert nn.Linear(4, 4)(torch.zeros(1, 4)).dtype == dtype


@pytest.mark.parametrize("has_bf16", [True, False])
def test_muon_makes_matrices_orthogonal_in_either(
    has_bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrices = torch.randn(2, 24, 16, generator=torch.Generator().manual_seed(0))
    group = {"ns_coefficients": (3.4445, -4.775, 2.0315), "eps": 1e-7, "ns_steps": 5}
    monkeypatch.setattr("training.run.muon.multiplies_bf16", lambda _: has_bf16)

    found = orthogonalised(matrices, group)

    assert found.dtype == (torch.bfloat16 if has_bf16 else torch.float32)
    # All singular values near 1: five iterations leave them between 0.7 and 1.2.
    sizes = torch.linalg.svdvals(found.float())
    assert ((sizes > 0.65) & (sizes < 1.25)).all()
