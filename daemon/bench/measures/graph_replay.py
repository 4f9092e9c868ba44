"""A step as a recorded sequence of kernels (CUDA graph): is it faster, and is it the same step?

A recording repeats what the host decided when it was made, so the number of rows that the host is
told is the buffer's whole capacity, and only the device knows how many rows are filled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from daemon.bench.measures.agreement import Agreement, compare
from daemon.bench.measures.device_times import clock_of
from daemon.engine import Engine
from daemon.engine.bound_run import BoundRun
from daemon.engine.caches.set import device_caches
from daemon.engine.cross_rows import RotaryAngles
from daemon.engine.graph_opening import open_graph
from daemon.engine.runtime import CPU, Device, share
from perceivers.graphs import length_names

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Replay:
    """A recorded step beside the usual one, after the same context."""

    is_exact: bool
    """Whether every logit is the same to the last bit."""
    agreement: Agreement
    p50_ms: float
    usual_p50_ms: float


def try_replay(folder: Path, engine: Engine, device: Device, tokens: Sequence[int]) -> Replay:
    """Read tokens one by one through a recording and through the engine, from where it stands.

    engine: with its caches on the device. On the CPU nothing is recorded; all else is done alike.
    """
    options = {} if device == CPU else {"enable_cuda_graph": "1"}
    stepper = _Recorded(folder, engine, replace(device, options=device.options | options))
    clock = clock_of(engine.provider)
    times: list[tuple[float, float]] = []
    logits: list[tuple[Array, Array]] = []
    for token in tokens:
        start_s = clock()
        usual = engine.feed([token])
        middle_s = clock()
        found = stepper.step(token)
        times.append((middle_s - start_s, clock() - middle_s))
        logits.append((usual, found))
    usual_ms, replayed_ms = (1000 * median(column) for column in zip(*times, strict=True))
    usual, found = (np.stack(column) for column in zip(*logits, strict=True))
    agreement = compare(f"{len(tokens)} steps", usual, found)
    return Replay(bool(np.array_equal(usual, found)), agreement, replayed_ms, usual_ms)


class _Recorded:
    """Single steps through a session that records its first and repeats it from then on."""

    def __init__(self, folder: Path, engine: Engine, device: Device) -> None:
        manifest, snapshot = engine.manifest, engine.snapshot()
        graph = open_graph(folder, manifest, device, engine.precision)
        caches = device_caches(folder, manifest, graph, rewind_tokens=1024)
        self._rows, self._keys = caches.rows, caches.keys
        self._run = BoundRun(graph.session, manifest.architecture, caches, 1)
        sizes = [cache.values[0].shape()[2] for cache in self._rows]
        self._capacities = np.array(sizes, np.int32)[:, None]  # outlives the binding to its rows
        for one, saved in zip(caches.all, snapshot.caches, strict=True):
            one.restore(saved)
        for cache, rows in zip(self._rows, self._capacities, strict=True):
            self._run.binding.bind_ortvalue_input(length_names(cache.tensors[0])[1], share(rows))
        self._angles = RotaryAngles(manifest.architecture)
        self._position = snapshot.position

    def step(self, token: int) -> Array:
        """Read one token; return the logits (V,)."""
        self._run.tokens[0] = token
        self._angles.write(self._position, self._run.cos, self._run.sin)
        for cache in self._rows:
            cache.make_room(1)
        if self._keys is not None:
            self._keys.append(self._run.tokens, self._run.keys)
        logits = self._run()
        for cache in self._rows:
            cache.advance(1)
        self._position += 1
        last: Array = logits[0].copy()
        return last
