"""Measure the engine: time of a token and its floor, speed of reading, memory, start.

    python daemon/bench/engine.py MODEL_FOLDER

Times are the processor time of the one thread that computes, so that other programs on the
machine disturb them little; medians, and the least and greatest median of a round as spread. The
floor is the time in which one thread reads as many bytes as a step needs, weights and cache rows,
from a buffer of just this size; the memory's floor is the same at the speed of the memory itself.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from daemon.bench.measures.footprint import CONTEXTS, Footprint
from daemon.bench.measures.step_times import CHUNKS, Row, measure
from daemon.bench.pictures import Curve, Panel, draw_panels, machine
from daemon.bench.results import tell, write_json
from daemon.engine import Engine
from perceivers.errors import PerformerError

FOOTPRINT = Path(__file__).resolve().parent / "measures" / "footprint.py"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything measured."""

    machine: str
    provider: str
    rounds: int
    steps: int
    memory_gb_per_s: float
    rows: list[Row]
    footprints: list[Footprint]


def report(folder: Path, precisions: Sequence[str], rounds: int, steps: int, run: int) -> Report:
    """Measure a model folder: rounds of steps, and a long run of `run` steps."""
    engines = [Engine.open(folder, precision=precision, provider="cpu") for precision in precisions]
    largest = engines[0].manifest.architecture.context
    contexts = sorted({min(context, largest) for context in CONTEXTS})
    rows, bytes_per_s = measure(engines, contexts, rounds, steps)
    provider = engines[0].provider
    del engines
    footprints = [footprint(folder, precision, run) for precision in precisions]
    return Report(machine(), provider, rounds, steps, bytes_per_s / 1e9, rows, footprints)


def footprint(folder: Path, precision: str, run: int) -> Footprint:
    """Measure memory and start in a process of its own. Raises PerformerError if it fails."""
    command = [sys.executable, str(FOOTPRINT), str(folder)]
    command += ["--precision", precision, "--steps", str(run)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise PerformerError(f"{FOOTPRINT.name} ended with exit code {done.returncode}")
    found = json.loads(done.stdout)
    memory_mb = {int(context): mb for context, mb in found["memory_mb"].items()}
    return Footprint(**found | {"memory_mb": memory_mb})


def print_report(found: Report) -> None:
    """Print tables."""
    tell(
        f"{found.machine}; {found.provider}, one thread; {found.rounds} rounds of {found.steps} "
        f"steps; one thread reads memory at {found.memory_gb_per_s:.1f} GB/s"
    )
    for precision in dict.fromkeys(row.precision for row in found.rows):
        rows = [row for row in found.rows if row.precision == precision]
        _print_steps(precision, rows)
        tell("tokens per second by tokens in a run; last, all of the context at once, in s")
        tell(f"{'context':>8} " + " ".join(f"{chunk:>6}" for chunk in CHUNKS))
        for row in rows:
            rates = " ".join(f"{rate:6.0f}" for rate in row.tokens_per_s.values())
            tell(f"{row.context:>8} {rates} {row.fill_ms / 1000:6.2f}")
    for taken in found.footprints:
        memory = ", ".join(f"{context:,}: {mb:.0f}" for context, mb in taken.memory_mb.items())
        tell(f"{taken.precision}: opened in {taken.open_s:.2f} s; MB by context: {memory}")
        parts = " ".join(f"{ms:.2f}" for ms in taken.run_ms)
        tell(f"  {taken.run_steps:,} steps beyond a full context, ms in each tenth: {parts}")
        grown = taken.run_memory_mb[-1] - taken.run_memory_mb[0]
        tell(f"  memory grown since the first tenth: {grown:.1f} MB")


def _print_steps(precision: str, rows: Sequence[Row]) -> None:
    tell(precision)
    titles = ("p50 ms", "of rounds", "p95 ms", "p99 ms", "floor ms", "ratio", "memory's floor")
    widths = (8, 13, 8, 8, 9, 6, 15)
    cells = zip(titles, widths, strict=True)
    tell(f"{'context':>8} " + " ".join(f"{title:>{width}}" for title, width in cells))
    for row in rows:
        spread = f"{row.least_ms:.2f}–{row.greatest_ms:.2f}"
        tell(
            f"{row.context:>8} {row.p50_ms:8.2f} {spread:>13} {row.p95_ms:8.2f} {row.p99_ms:8.2f} "
            f"{row.floor_ms:9.2f} {row.ratio:6.2f} {row.memory_floor_ms:15.2f}"
        )


def draw(found: Report, path: Path) -> None:
    """Draw the time of a token, its floor, and the speed of reading."""
    steps: dict[str, Curve] = {}
    rates: dict[str, Curve] = {}
    for precision in dict.fromkeys(row.precision for row in found.rows):
        rows = [row for row in found.rows if row.precision == precision]
        contexts = [row.context for row in rows]
        steps[f"{precision}, p50"] = (contexts, [row.p50_ms for row in rows])
        steps[f"{precision}, floor"] = (contexts, [row.floor_ms for row in rows])
        rates[f"{precision}, {CHUNKS[-1]} at once"] = (
            contexts,
            [row.tokens_per_s[CHUNKS[-1]] for row in rows],
        )
    panels = [
        Panel("time of one token", "tokens of context", "ms", steps, is_x_logarithmic=True),
        Panel("reading", "tokens of context", "tokens/s", rates, is_x_logarithmic=True),
    ]
    draw_panels(path, panels)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="model folder")
    parser.add_argument("--precision", nargs="+", default=["int8", "fp32"], help="graphs to run")
    parser.add_argument("--rounds", type=int, default=9, help="that are counted")
    parser.add_argument("--steps", type=int, default=60, help="in a round, at each context")
    parser.add_argument("--run", type=int, default=5000, help="steps of the long run")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    parser.add_argument("--picture", type=Path, help="draw a PNG here")
    options = parser.parse_args(arguments)
    try:
        found = report(
            options.folder, options.precision, options.rounds, options.steps, options.run
        )
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    print_report(found)
    if options.json:
        write_json(options.json, asdict(found))
    if options.picture:
        draw(found, options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
