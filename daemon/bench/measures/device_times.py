"""How long a device takes for a token, against the time to move the bytes that it needs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

import numpy as np

from daemon.engine import Engine, Snapshot
from daemon.engine.onnx_bytes import small_model
from daemon.engine.runtime import CPU, Device, allocate, open_session
from daemon.engine.step_bytes import step_bytes

ROUNDS = 9
STEPS = 40  # in a round, at each context
LONG_RUNS = 3  # in all, of each length and at each context
REPEATS = 9
COPIED_FLOATS = {"cpu": 2**23, "cuda": 2**26}  # far more than the device's caches hold


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """What was measured after one length of context."""

    context: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    step_bytes: int
    floor_ms: float
    """Time to move as many bytes at the speed of the device's memory."""
    ratio: float
    tokens_per_s: dict[int, float]
    """Speed of reading, by tokens in a run."""


def measure(
    engine: Engine, contexts: Sequence[int], tokens: Sequence[int], bytes_per_s: float
) -> list[DeviceRow]:
    """Measure an engine at several lengths of context, in turn, round by round.

    tokens: what is read, more than the longest context.
    """
    clock = clock_of(engine.provider)
    starts = _snapshots(engine, contexts, tokens)
    steps: dict[int, list[float]] = {context: [] for context in contexts}
    for turn in range(ROUNDS + 1):
        for context, start in starts.items():
            engine.restore(start)
            times = [
                _timed_ms(clock, lambda token=token: engine.feed([token]))  # type: ignore[misc]
                for token in tokens[:STEPS]
            ]
            steps[context] += times if turn else []  # the first round warms up
    lengths = sorted({min(64, engine.most_at_once), engine.most_at_once})
    rows = []
    for context, start in starts.items():
        rates = {length: _rate(engine, start, tokens[:length], clock) for length in lengths}
        cuts = quantiles(steps[context], n=100)
        size = step_bytes(engine.manifest, engine.precision, context)
        floor_ms = 1000 * size / bytes_per_s
        row = DeviceRow(
            context, cuts[49], cuts[94], cuts[98], size, floor_ms, cuts[49] / floor_ms, rates
        )
        rows.append(row)
    return rows


def clock_of(provider: str) -> Callable[[], float]:
    """Return the clock, in s: of the computing thread on a CPU, of the world elsewhere."""
    return time.thread_time if provider == CPU.provider else time.perf_counter


def memory_bytes_per_s(device: Device) -> float:
    """Return how fast a device moves memory: the median of sums of two large arrays."""
    count = COPIED_FLOATS[device.name]
    tensor = (np.float32, ["N"])
    graph = small_model([("Add", ["x", "y"], "z")], {"x": tensor, "y": tensor}, {"z": tensor})
    session = open_session(graph, device)
    binding = session.io_binding()
    values = {name: allocate((count,), np.float32, device) for name in "xyz"}
    for name in "xy":
        binding.bind_ortvalue_input(name, values[name])
    binding.bind_ortvalue_output("z", values["z"])
    clock = clock_of(device.provider)
    times = [_timed_ms(clock, lambda: session.run_with_iobinding(binding)) for _ in range(REPEATS)]
    return 1000 * len(values) * count * np.dtype(np.float32).itemsize / median(times)


def _snapshots(
    engine: Engine, contexts: Sequence[int], tokens: Sequence[int]
) -> dict[int, Snapshot]:
    """Return the engine after each length of context."""
    engine.reset()
    found = {}
    for context in sorted(contexts):
        if context > engine.position:
            engine.feed(tokens[engine.position : context])
        found[context] = engine.snapshot()
    return found


def _rate(
    engine: Engine, start: Snapshot, tokens: Sequence[int], clock: Callable[[], float]
) -> float:
    """Return tokens per second, read in one run."""
    times = []
    for _ in range(1 + LONG_RUNS):
        engine.restore(start)
        times.append(_timed_ms(clock, lambda: engine.read(tokens)))
    return 1000 * len(tokens) / median(times[1:])


def _timed_ms(clock: Callable[[], float], action: Callable[[], object]) -> float:
    start_s = clock()
    action()
    return 1000 * (clock() - start_s)
