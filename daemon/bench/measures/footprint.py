"""Measure what an engine takes: time until it is ready, memory by context, and a long run.

    python daemon/bench/measures/footprint.py MODEL_FOLDER --precision int8

Prints one JSON object. Run it in a process of its own: the memory is that of the process.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[3])

from daemon.bench.contestants.protocol import random_tokens, timed_ms
from daemon.engine import Engine
from perceivers.errors import PerformerError

CONTEXTS = (0, 1024, 4096, 16_384, 32_768)
OPENED = 5  # times
PARTS = 10  # of the long run
STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Footprint:
    """What an engine takes."""

    precision: str
    open_s: float
    """From a model folder to an engine that has been warmed up; median."""
    memory_mb: dict[int, float]
    """Resident memory of the whole process, by tokens of context."""
    run_steps: int
    run_ms: list[float]
    """Median time of a token in each tenth of a long run beyond a full context."""
    run_memory_mb: list[float]
    """Resident memory at the end of each tenth."""


def resident_mb() -> float:
    """Return the memory that this process holds; where the system does not say, its most so far."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    import resource  # noqa: PLC0415 - Windows has none

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024) / 1e6


def measure(folder: Path, precision: str, steps: int) -> Footprint:
    """Measure all of it with a long run of `steps` tokens."""
    opened_s = []
    for _ in range(OPENED):
        start_s = time.perf_counter()
        engine = Engine.open(folder, precision=precision, provider="cpu")
        opened_s.append(time.perf_counter() - start_s)
    architecture = engine.manifest.architecture
    size = architecture.vocabulary_size
    memory_mb = {}
    for context in sorted({min(context, architecture.context) for context in CONTEXTS}):
        engine.reset()
        if context:
            engine.feed(random_tokens(size, context))
        engine.feed([0])
        memory_mb[context] = resident_mb()
    run_ms, run_memory_mb = [], []
    tokens = random_tokens(size, steps // PARTS)
    for _ in range(PARTS):
        run_ms.append(median(timed_ms(partial(engine.feed, [token])) for token in tokens))
        run_memory_mb.append(resident_mb())
    return Footprint(precision, median(opened_s), memory_mb, steps, run_ms, run_memory_mb)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="model folder")
    parser.add_argument("--precision", default="int8", help="graph to run")
    parser.add_argument("--steps", type=int, default=5000, help="of the long run")
    options = parser.parse_args(arguments)
    try:
        found = measure(options.folder, options.precision, options.steps)
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(json.dumps(asdict(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
