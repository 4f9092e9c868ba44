"""ONNX Runtime, as the engine uses it: sessions, and values that live on a device.

A binding copies what lies on another device once, when it is bound, and sees no change after: so
inputs of a device are values of that device, written anew before a run.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import DTypeLike, NDArray

from perceivers.errors import ModelMismatch, PerformerError

OLDEST_RUNTIME = (1, 24)  # before it, an attention window counted one key more
ERRORS_ONLY = 3

Session = onnxruntime.InferenceSession
Binding = onnxruntime.IOBinding
Value = onnxruntime.OrtValue


@dataclass(frozen=True, slots=True)
class Device:
    """Where a graph runs: its name for memory, and its provider of operators."""

    name: str
    provider: str
    options: dict[str, str] = field(default_factory=dict)


CPU = Device("cpu", "CPUExecutionProvider")


def check_version() -> None:
    """Raise PerformerError for a runtime whose attention windows are others."""
    version = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])
    if version < OLDEST_RUNTIME:
        oldest = ".".join(map(str, OLDEST_RUNTIME))
        raise PerformerError(
            f"onnxruntime {onnxruntime.__version__} is too old, {oldest} or newer is needed; "
            f"install it with: pip install 'onnxruntime>={oldest}'"
        )


def open_session(model: Path, device: Device = CPU, threads: int = 1) -> Session:
    """Open a graph on a device. Raises ModelMismatch for one that the runtime cannot load."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    # A thread that waits for the next token by spinning would burn a core between notes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[Any] = [(device.provider, device.options)]
    if device != CPU:
        providers.append(CPU.provider)
    try:
        return Session(model, options, providers=providers)
    except Exception as error:  # the runtime's own exceptions have no common base of their own
        reason = str(error).splitlines()[0]
        raise ModelMismatch(f"{model}: ONNX Runtime cannot load it: {reason}") from error


def share(array: NDArray[Any]) -> Value:
    """Return the array's own memory as the runtime's value; the array must outlive it."""
    return Value.ortvalue_from_numpy(array)


def allocate(shape: tuple[int, ...], dtype: DTypeLike, device: Device) -> Value:
    """Return a value of zeros on a device."""
    value = Value.ortvalue_from_shape_and_type(shape, dtype, device.name, 0)
    value.update_inplace(np.zeros(shape, dtype))
    return value
