"""All caches of an engine: on the host, or on the device that its graph runs on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.engine.caches.block import BlockCache, most_at_once
from daemon.engine.caches.device import DeviceCache
from daemon.engine.caches.keys import KeyInputs, key_inputs
from daemon.engine.caches.protocol import Cache, RowCache
from daemon.engine.caches.row_mover import RowMover
from daemon.engine.caches.table_prefill import TablePrefill
from daemon.engine.caches.window import WindowCache
from daemon.engine.graph_opening import OpenGraph
from daemon.engine.runtime import Device
from daemon.engine.stored_weights import StoredWeights
from perceivers.graphs import CacheTensor
from perceivers.manifest import Manifest
from perceivers.token_tables import keys_values


@dataclass(frozen=True, slots=True)
class CacheSet:
    """Where an engine keeps what it has read."""

    rows: Sequence[RowCache]
    rewind_tokens: int
    blocks: Sequence[BlockCache] = ()
    """Of a graph for the CPU."""
    device: Device | None = None
    """None: the host's own memory."""
    keys: KeyInputs | None = None
    """None: the model is not told which keys are down."""
    table_prefill: TablePrefill | None = None
    """None: a device reads faster than a host looks up."""

    @property
    def all(self) -> list[Cache]:
        """Return every cache."""
        return [*self.rows, *self.blocks, *filter(None, [self.keys])]

    @property
    def most_at_once(self) -> int:
        """Tokens that can be read in one run."""
        return min(
            *(cache.most_at_once for cache in self.rows),
            *(most_at_once(cache.tensor) for cache in self.blocks),
        )


def host_caches(
    folder: Path, manifest: Manifest, graph: OpenGraph, rewind_tokens: int, run_tokens: int
) -> CacheSet:
    """Return empty caches in the host's memory, for runs of up to `run_tokens`."""
    stored = StoredWeights(folder, manifest)
    tables = keys_values(manifest.architecture, stored)
    rows = [
        WindowCache(tensors, rewind_tokens, graph.float_type) for tensors in _windows(graph.caches)
    ]
    architecture = manifest.architecture
    by_head = (-1, architecture.heads, architecture.head_dim)
    tensors = [cache for cache in graph.caches if cache.layout == "blocks"]
    blocks = [
        BlockCache(
            tensor,
            tables[scale, 0].reshape(by_head),
            rewind_tokens,
            min(run_tokens, most_at_once(tensor)),
        )
        for scale, tensor in enumerate(tensors)
    ]
    table_prefill = TablePrefill(architecture, tables, rows, blocks, rewind_tokens)
    keys = key_inputs(manifest, stored, rewind_tokens)
    return CacheSet(rows, rewind_tokens, blocks, None, keys, table_prefill)


def device_caches(
    folder: Path, manifest: Manifest, graph: OpenGraph, rewind_tokens: int
) -> CacheSet:
    """Return empty caches on the graph's device. Raises ModelMismatch where they do not fit it."""
    graph.check_rows_are_open()
    mover = RowMover(graph.device, graph.float_type)
    rows = [DeviceCache(tensors, rewind_tokens, mover) for tensors in _windows(graph.caches)]
    keys = key_inputs(manifest, StoredWeights(folder, manifest), rewind_tokens)
    return CacheSet(rows, rewind_tokens, (), graph.device, keys)


def _windows(caches: Iterable[CacheTensor]) -> list[list[CacheTensor]]:
    """Return the rows by kind and window."""
    windows: dict[tuple[str, int], list[CacheTensor]] = {}
    for cache in caches:
        if cache.layout == "rows":
            windows.setdefault((cache.kind, cache.window), []).append(cache)
    return list(windows.values())
