"""All caches of an engine: on the host, or on the device that its graph runs on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daemon.cache import Cache
from daemon.device_cache import DeviceCache
from daemon.graphs import OpenGraph
from daemon.row_mover import RowMover
from daemon.runtime import Device
from daemon.short_way import ShortWay
from daemon.window_cache import WindowCache
from perceivers.manifest import CacheTensor, Manifest


@dataclass(frozen=True, slots=True)
class CacheSet:
    """Where an engine keeps what it has read."""

    caches: Sequence[Cache]
    rewind_tokens: int
    device: Device | None = None
    """None: the host's own memory."""
    short_way: ShortWay | None = None
    """None: a device reads faster than a host looks up."""


def host_caches(folder: Path, manifest: Manifest, graph: OpenGraph, rewind_tokens: int) -> CacheSet:
    """Return empty caches in the host's memory."""
    caches = [
        WindowCache(tensors, rewind_tokens, graph.float_type) for tensors in _windows(manifest)
    ]
    tables = np.load(folder / manifest.tables.name, allow_pickle=False)
    return CacheSet(caches, rewind_tokens, None, ShortWay(manifest, tables, caches, rewind_tokens))


def device_caches(manifest: Manifest, graph: OpenGraph, rewind_tokens: int) -> CacheSet:
    """Return empty caches on the graph's device. Raises ModelMismatch where they do not fit it."""
    graph.check_rows_are_open()
    mover = RowMover(graph.device, graph.float_type)
    caches = [DeviceCache(tensors, rewind_tokens, mover) for tensors in _windows(manifest)]
    return CacheSet(caches, rewind_tokens, graph.device)


def _windows(manifest: Manifest) -> list[list[CacheTensor]]:
    """Return the cache tensors by kind and window."""
    windows: dict[tuple[str, int], list[CacheTensor]] = {}
    for cache in manifest.caches:
        windows.setdefault((cache.kind, cache.window), []).append(cache)
    return list(windows.values())
