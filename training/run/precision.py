"""In which precision a device multiplies matrices fastest.

Without instructions for bf16, as on most processors that people have at home, torch multiplies it
by plain loops, fifty times slower than fp32.
"""

from collections.abc import Mapping
from typing import Any

import torch

AUTO, BF16, FP32 = "auto", "bf16", "fp32"
CHOICES = (AUTO, BF16, FP32)
CHOICES_HELP = "of matrix products (default: bf16 where the device has instructions for it)"


def chosen_precision(asked: str, device: torch.device) -> str:
    """Return bf16 or fp32: what is asked for, and for `auto` what is fastest on a device."""
    if asked != AUTO:
        return asked
    return BF16 if multiplies_bf16(device) else FP32


def multiplies_bf16(device: torch.device) -> bool:
    """Tell whether a device has instructions for products in bf16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Of what torch is built with, oneDNN alone uses a processor's.
    has_onednn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return (
        device.type == "cpu"
        and has_onednn
        and processor_multiplies_bf16(torch.cpu.get_capabilities())
    )


def processor_multiplies_bf16(capabilities: Mapping[str, Any]) -> bool:
    """Tell it of a processor, from what `torch.cpu.get_capabilities` says of it."""
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which products on a device are in bf16, or stay in fp32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == BF16)
