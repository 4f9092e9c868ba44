"""Measure how long the engine takes for a token, against the length of its context.

    python daemon/benchmark.py MODEL_FOLDER

Times are the processor time of the one thread that computes, so that other programs on the
machine disturb them little; medians. The floor is the time to read every byte that a step needs,
weights and cache rows, at the speed with which this machine reads memory.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from daemon.engine import Engine
from daemon.figures import Curve, Panel, draw_panels, machine
from perceivers.atomic import atomic_path
from perceivers.errors import PerformerError

CONTEXTS = (0, 1024, 4096, 16_384, 32_768)
CHUNKS = (1, 2, 4, 8, 16, 32, 64)
STEPS = 200
PREFILL_RUNS = 9


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured at one length of context."""

    context: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    floor_ms: float
    tokens_per_s: dict[int, float]  # by tokens in a run


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured of one precision."""

    precision: str
    provider: str
    memory_gb_per_s: float
    rows: list[Row]


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


def measure(folder: Path, precision: str) -> Report:
    """Measure one precision at every context that the model has."""
    engine = Engine.open(folder, precision=precision, rewind_tokens=0)
    largest = engine.manifest.architecture.context
    bandwidth = read_bandwidth()
    rows = []
    for context in sorted({min(context, largest) for context in CONTEXTS}):
        times = quantiles(step_times_ms(engine, context), n=100)
        floor_ms = 1000 * step_bytes(engine, context) / bandwidth
        rates = {chunk: prefill_rate(engine, context, chunk) for chunk in CHUNKS}
        rows.append(Row(context, times[49], times[94], times[98], floor_ms, rates))
    return Report(precision, engine.provider, bandwidth / 1e9, rows)


def print_report(report: Report) -> None:
    """Print two tables."""
    memory = f"memory {report.memory_gb_per_s:.1f} GB/s"
    _print(f"{report.precision} on {report.provider}, one thread; {memory}")
    _print(f"{'context':>8} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'floor ms':>9} {'ratio':>6}")
    for row in report.rows:
        cells = f"{row.p50_ms:8.2f} {row.p95_ms:8.2f} {row.p99_ms:8.2f} {row.floor_ms:9.2f}"
        _print(f"{row.context:>8} {cells} {row.p50_ms / row.floor_ms:6.2f}")
    _print("tokens per second by tokens in a run")
    _print(f"{'context':>8} " + " ".join(f"{chunk:>6}" for chunk in CHUNKS))
    for row in report.rows:
        rates = " ".join(f"{rate:6.0f}" for rate in row.tokens_per_s.values())
        _print(f"{row.context:>8} {rates}")


def draw(reports: Sequence[Report], path: Path) -> None:
    """Draw the time of a token, its floor, and the speed of reading."""
    steps: dict[str, Curve] = {}
    rates: dict[str, Curve] = {}
    for report in reports:
        contexts = [row.context for row in report.rows]
        steps[f"{report.precision}, p50"] = (contexts, [row.p50_ms for row in report.rows])
        steps[f"{report.precision}, floor"] = (contexts, [row.floor_ms for row in report.rows])
        rates[f"{report.precision}, {CHUNKS[-1]} at once"] = (
            contexts,
            [row.tokens_per_s[CHUNKS[-1]] for row in report.rows],
        )
    panels = [
        Panel("time of one token", "tokens of context", "ms", steps, is_x_logarithmic=True),
        Panel("reading", "tokens of context", "tokens/s", rates, is_x_logarithmic=True),
    ]
    draw_panels(path, panels)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="model folder")
    parser.add_argument("--precision", nargs="+", default=["int8", "fp32"], help="graphs to run")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    parser.add_argument("--picture", type=Path, help="draw a PNG here")
    options = parser.parse_args(arguments)
    reports = []
    try:
        for precision in options.precision:
            reports.append(measure(options.folder, precision))
            print_report(reports[-1])
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    if options.json:
        with atomic_path(options.json) as partial:
            content = {"machine": machine(), "reports": [asdict(report) for report in reports]}
            partial.write_text(json.dumps(content, indent=1) + "\n")
    if options.picture:
        draw(reports, options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
