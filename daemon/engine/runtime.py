"""ONNX Runtime, as the engine uses it: sessions, and values that live on a device.

A binding copies what lies on another device once, when it is bound, and sees no change after: so
inputs of a device are values of that device, written anew before a run.
"""

import contextlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import DTypeLike, NDArray

from daemon.engine.nvidia import compute_capability
from daemon.engine.onnx_bytes import small_model
from perceivers.errors import ModelMismatch, PerformerError

OLDEST_RUNTIME = (1, 24)  # before it, an attention window counted one key more
OLDEST_GPU = (8, 0)  # before it, a GPU has no attention that keeps to a window
WARNINGS, ERRORS_ONLY, FATAL_ONLY = 2, 3, 4
SLOWER = ["MatmulTransposeFusion"]  # it merges a transposition into a product, off its fast path
INSTALL_CUDA = "pip install --constraint constraints.txt '.[cuda]'"

Session: TypeAlias = onnxruntime.InferenceSession
Binding: TypeAlias = onnxruntime.IOBinding
Value: TypeAlias = onnxruntime.OrtValue


@dataclass(frozen=True, slots=True)
class Device:
    """Where a graph runs: its name for memory, and its provider of operators."""

    name: str
    provider: str
    options: dict[str, str] = field(default_factory=dict)


CPU = Device("cpu", "CPUExecutionProvider")
CUDA = Device(
    "cuda",
    "CUDAExecutionProvider",
    # Products of float32, the head's, stay float32; memory grows by what is asked for.
    {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"},
)


def check_version() -> None:
    """Raise PerformerError for a runtime whose attention windows are others."""
    version = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2])
    if version < OLDEST_RUNTIME:
        oldest = _version(OLDEST_RUNTIME)
        raise PerformerError(
            f"onnxruntime {onnxruntime.__version__} is too old, {oldest} or newer is needed; "
            f"install it with: pip install 'onnxruntime>={oldest}'"
        )


def runtime_version() -> str:
    """Return name and version of the runtime that is installed."""
    return f"{onnxruntime.package_name} {onnxruntime.__version__}"


def has_gpu() -> bool:
    """Tell whether an NVIDIA driver answers with a GPU, whatever can be made of it."""
    return compute_capability() is not None


def require_cuda() -> None:
    """Make CUDA ready for sessions. Raises PerformerError, with the next step, if it cannot be."""
    if CUDA.provider not in onnxruntime.get_available_providers():
        raise PerformerError(
            "CUDA cannot be used: the onnxruntime that is installed is made for the CPU alone; "
            f"replace it: pip uninstall onnxruntime, then {INSTALL_CUDA}"
        )
    capability = compute_capability()
    if capability is None:
        raise PerformerError(
            "CUDA cannot be used: no NVIDIA driver answers with a GPU; install the driver until "
            "nvidia-smi lists the GPU, or choose provider cpu"
        )
    if capability < OLDEST_GPU:
        raise PerformerError(
            f"CUDA cannot be used: this GPU has compute capability {_version(capability)}, and "
            f"windows of attention need {_version(OLDEST_GPU)} or newer; choose provider cpu"
        )
    if not _starts_on_cuda():
        raise PerformerError(
            "CUDA cannot be used: its libraries are missing or do not fit the driver; install "
            f"them with: {INSTALL_CUDA}"
        )


def _starts_on_cuda() -> bool:
    """Load CUDA's libraries; tell whether a session then runs there. Says nothing elsewhere."""
    with contextlib.redirect_stdout(io.StringIO()):
        onnxruntime.preload_dlls()
    tensor = (np.float32, ["T"])
    probe = small_model([("Identity", ["x"], "y")], {"x": tensor}, {"y": tensor})
    onnxruntime.set_default_logger_severity(FATAL_ONLY)
    try:
        return bool(open_session(probe, CUDA).get_providers()[0] == CUDA.provider)
    except ModelMismatch:
        return False
    finally:
        onnxruntime.set_default_logger_severity(WARNINGS)


def _version(numbers: tuple[int, int]) -> str:
    return ".".join(map(str, numbers))


def open_session(
    model: Path | bytes, device: Device = CPU, threads: int = 1, profile: Path | None = None
) -> Session:
    """Open a graph on a device.

    profile: how the file begins that `Session.end_profiling` writes and names.
    Raises ModelMismatch for a graph that the runtime cannot load.
    """
    options = onnxruntime.SessionOptions()
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    # A thread that waits for the next token by spinning would burn a core between notes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[Any] = [(device.provider, device.options)]
    if device != CPU:
        providers.append(CPU.provider)
    try:
        return Session(model, options, providers=providers, disabled_optimizers=SLOWER)
    except Exception as error:  # the runtime's own exceptions have no common base of their own
        reason = str(error).splitlines()[0]
        name = model if isinstance(model, Path) else "a small graph"
        raise ModelMismatch(f"{name}: ONNX Runtime cannot load it: {reason}") from error


def share(array: NDArray[Any]) -> Value:
    """Return the array's own memory as the runtime's value; the array must outlive it."""
    return Value.ortvalue_from_numpy(array)


def allocate(shape: tuple[int, ...], dtype: DTypeLike, device: Device) -> Value:
    """Return a value of zeros on a device."""
    value = Value.ortvalue_from_shape_and_type(shape, dtype, device.name, 0)
    value.update_inplace(np.zeros(shape, dtype))
    return value
