"""Which graph of a model folder runs on which device, opened and checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daemon.engine.runtime import CPU, Device, Session, open_session, require_cuda
from daemon.settings import PRECISION_CHOICES, Provider
from perceivers.errors import ModelMismatch, PerformerError
from perceivers.graphs import PRECISIONS, CacheTensor
from perceivers.manifest import EXPORT_AGAIN, Manifest

PROVIDERS = tuple(Provider)
GPU_PRECISION = "fp16"  # CUDA has this attention in no other


@dataclass(frozen=True, slots=True)
class OpenGraph:
    """A graph, ready to run."""

    path: Path
    session: Session
    device: Device
    precision: str
    caches: Sequence[CacheTensor]

    @property
    def provider(self) -> str:
        """What really runs it, whatever was asked for."""
        return str(self.session.get_providers()[0])

    @property
    def float_type(self) -> type[np.floating]:
        """Type of its caches and angles."""
        return np.float16 if self.precision == "fp16" else np.float32

    def check_rows_are_open(self) -> None:
        """Raise ModelMismatch for a graph whose caches have a number of rows of their own."""
        found = {tensor.name: tensor.shape for tensor in self.session.get_inputs()}
        for cache in self.caches:
            if cache.layout != "rows" or not isinstance(found[cache.name][2], str):
                raise ModelMismatch(
                    f"{self.path}: cache {cache.name} is made for a CPU alone; choose precision "
                    f"{GPU_PRECISION}, or {EXPORT_AGAIN}"
                )


def check_choice(provider: str, precision: str) -> None:
    """Raise PerformerError for a choice that does not exist."""
    if provider not in PROVIDERS:
        raise PerformerError(f"provider must be one of {', '.join(PROVIDERS)}, not {provider!r}")
    if precision not in PRECISION_CHOICES:
        choices = ", ".join(PRECISION_CHOICES)
        raise PerformerError(f"precision must be one of {choices}, not {precision!r}")


def open_graph(
    folder: Path,
    manifest: Manifest,
    device: Device,
    precision: str,
    threads: int = 1,
    profile: Path | None = None,
) -> OpenGraph:
    """Open the graph of a folder for a device; `profile` as `open_session` takes it.

    Raises PerformerError where the device or the precision cannot be had, ModelMismatch for a
    graph that is not what the manifest promises.
    """
    choose = _cpu_precision if device == CPU else _gpu_precision
    chosen = choose(folder, manifest, precision)
    if device != CPU:
        require_cuda()
    path = folder / manifest.graphs[chosen].name
    session = open_session(path, device, threads, profile)
    caches = manifest.caches[chosen]
    _check_caches(path, session, caches)
    graph = OpenGraph(path, session, device, chosen, caches)
    if graph.provider != device.provider:
        raise PerformerError(f"{path}: asked for {device.provider}, runs on {graph.provider}")
    return graph


def _cpu_precision(folder: Path, manifest: Manifest, precision: str) -> str:
    if precision == "auto":
        return next(name for name in PRECISIONS if name in manifest.graphs)
    if precision not in manifest.graphs:
        raise PerformerError(
            f"{folder}: holds no {precision} graph; choose {', '.join(manifest.graphs)} or auto"
        )
    return precision


def _gpu_precision(folder: Path, manifest: Manifest, precision: str) -> str:
    if precision not in ("auto", GPU_PRECISION):
        raise PerformerError(
            f"precision {precision!r} does not run on CUDA, which has this attention in "
            f"{GPU_PRECISION} only; choose precision {GPU_PRECISION} or auto, or provider cpu"
        )
    if GPU_PRECISION not in manifest.graphs:
        raise PerformerError(
            f"{folder}: holds no {GPU_PRECISION} graph, which CUDA needs; {EXPORT_AGAIN}"
        )
    return GPU_PRECISION


def _check_caches(path: Path, session: Session, caches: Sequence[CacheTensor]) -> None:
    found = {tensor.name: list(tensor.shape) for tensor in session.get_inputs()}
    for cache in caches:
        shape = found.get(cache.name)
        if shape is None or _filled_in(shape, cache.shape) != cache.shape:
            raise ModelMismatch(
                f"{path}: cache {cache.name} is {shape or 'missing'}, the manifest "
                f"promises {list(cache.shape)}; {EXPORT_AGAIN}"
            )


def _filled_in(shape: Sequence[int | str], promised: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of a graph's cache; the sizes that it leaves open are the promised ones."""
    return tuple(
        there if isinstance(size, str) else size
        for size, there in zip(shape, promised, strict=True)
    )
