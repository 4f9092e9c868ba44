"""Measure how long the engine takes for a token, against the length of its context.

    python daemon/benchmark.py MODEL_FOLDER

Times are the processor time of the one thread that computes, so that other programs on the
machine disturb them little; medians. The floor is the time to read every byte that a step needs,
weights and cache rows, at the speed with which this machine reads memory.
"""

import argparse
import sys
import time
from pathlib import Path
from statistics import median, quantiles

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from daemon.engine import Engine
from perceivers.errors import PerformerError

CONTEXTS = (0, 1024, 4096, 16_384, 32_768)
CHUNKS = (1, 2, 4, 8, 16, 32, 64)
STEPS = 200
PREFILL_RUNS = 9


def step_times_ms(engine: Engine, context: int, steps: int = STEPS) -> list[float]:
    """Return the times of single tokens after `context` tokens."""
    _fill(engine, context)
    return [_timed_ms(engine, 1) for _ in range(steps)]


def prefill_rate(engine: Engine, context: int, chunk: int) -> float:
    """Return tokens per second, read `chunk` at a time after `context` tokens."""
    _fill(engine, context)
    return 1000 * chunk / median(_timed_ms(engine, chunk) for _ in range(PREFILL_RUNS))


def step_bytes(engine: Engine, context: int) -> int:
    """Return the bytes that one step reads: the matrices once, and every visible cache row."""
    manifest = engine.manifest
    tables = 2 * manifest.tables.bytes  # in the graph as well, where a step reads one row of them
    weights = manifest.graphs[engine.precision].bytes - tables
    row = manifest.architecture.dim * np.dtype(np.float32).itemsize
    return weights + sum(min(context, cache.window) * row for cache in manifest.caches)


def read_bandwidth() -> float:
    """Return the bytes per second that one thread reads from memory."""
    array = np.ones(2**25, np.float32)
    seconds = []
    for _ in range(9):
        start = time.thread_time()
        array.sum()
        seconds.append(time.thread_time() - start)
    return array.nbytes / median(seconds)


def _fill(engine: Engine, context: int) -> None:
    engine.reset()
    if context:
        engine.feed(_random_tokens(engine, context))


def _timed_ms(engine: Engine, count: int) -> float:
    tokens = _random_tokens(engine, count)
    start = time.thread_time()
    engine.read(tokens)
    return 1000 * (time.thread_time() - start)


def _random_tokens(engine: Engine, count: int) -> list[int]:
    size = engine.manifest.architecture.vocabulary_size
    tokens: list[int] = np.random.default_rng(engine.position).integers(0, size, count).tolist()
    return tokens


def print_report(folder: Path, precision: str) -> None:
    """Measure one precision and print two tables."""
    engine = Engine.open(folder, precision=precision, rewind_tokens=0)
    largest = engine.manifest.architecture.context
    contexts = sorted({min(context, largest) for context in CONTEXTS})
    bandwidth = read_bandwidth()
    _print(f"{precision} on {engine.provider}, one thread; memory {bandwidth / 1e9:.1f} GB/s")
    _print(f"{'context':>8} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'floor ms':>9} {'ratio':>6}")
    for context in contexts:
        times = quantiles(step_times_ms(engine, context), n=100)
        floor = 1000 * step_bytes(engine, context) / bandwidth
        cells = f"{times[49]:8.2f} {times[94]:8.2f} {times[98]:8.2f} {floor:9.2f}"
        _print(f"{context:>8} {cells} {times[49] / floor:6.2f}")
    _print("tokens per second by tokens in a run")
    _print(f"{'context':>8} " + " ".join(f"{chunk:>6}" for chunk in CHUNKS))
    for context in contexts:
        rates = (prefill_rate(engine, context, chunk) for chunk in CHUNKS)
        _print(f"{context:>8} " + " ".join(f"{rate:6.0f}" for rate in rates))


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="model folder")
    parser.add_argument("--precision", nargs="+", default=["int8", "fp32"], help="graphs to run")
    options = parser.parse_args(arguments)
    try:
        for precision in options.precision:
            print_report(options.folder, precision)
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
