"""Run the engine for an hour at full rate, and see whether memory grows or tokens take longer.

    python -m daemon.bench.live.soak [--minutes 60] [--daemon]

The engine reads real music token by token, as fast as it can, in a full context, and marks every
place as the daemon does. With --daemon the whole daemon performs instead, twenty notes a second
through real ports, a turn a minute (this needs a MIDI system). Ctrl-C ends it with the report so
far. Exit code 1: something grew.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[3])

from daemon.bench.live.drift import FEWEST, Drift, drift_of
from daemon.bench.live.measured_daemon import ANSWER_WITHIN_S, measured_daemon
from daemon.bench.live.music import passage, past_of, performances_in
from daemon.bench.live.prepared_daemon import Preparation
from daemon.bench.live.processor_time import resident_mb, resident_mb_of_all
from daemon.bench.pictures import Panel, draw_panels, machine
from daemon.bench.results import tell, write_json
from daemon.engine import Engine
from daemon.settings import EngineSettings
from perceivers.encoder import encode
from perceivers.errors import PerformerError

ROOT = Path(__file__).resolve().parents[3]
NOTES_PER_S = 20.0
SAMPLES_AT_LEAST = 2 * FEWEST
WARM_UP_TOKENS = 2560  # until every buffer has been full and every allocator has settled
GROWN_BY = 0.01  # less is not called growth, however steady
SLOWED_BY = 0.03


@dataclass(frozen=True, slots=True)
class Sample:
    """What a stretch of the run was like."""

    minute: float  # of its end, since the start
    step_ms: float  # median of a token
    resident_mb: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Report:
    """The whole run."""

    machine: str
    model: str
    what: str  # "engine" or "daemon"
    samples: list[Sample]
    memory: Drift | None  # MB, MB per minute; None: too short to tell
    step: Drift | None  # ms, ms per minute


def engine_samples(model: Path, minutes: float) -> Iterator[Sample]:
    """Run the engine; yield a sample a minute, or more where the run is short.

    A step's time is the processor time of the thread that computes it.
    """
    engine = Engine.open(model)
    context = engine.manifest.architecture.context
    engine.feed(encode(past_of(performances_in(), context)))
    music = itertools.cycle(encode(next(performances_in())))
    for _ in range(WARM_UP_TOKENS):
        _step_ms(engine, next(music))
    sample_s = min(60.0, 60 * minutes / SAMPLES_AT_LEAST)
    started_s = time.monotonic()
    for number in itertools.count(1):
        steps_ms: list[float] = []
        while not steps_ms or time.monotonic() < started_s + number * sample_s:
            steps_ms.append(_step_ms(engine, next(music)))
        minute = (time.monotonic() - started_s) / 60
        yield Sample(minute, median(steps_ms), resident_mb(), len(steps_ms))
        if minute >= minutes:
            return


def _step_ms(engine: Engine, token: int) -> float:
    started_s = time.thread_time()
    engine.feed([token])
    engine.mark()
    return 1000 * (time.thread_time() - started_s)


def daemon_samples(model: Path, minutes: float) -> Iterator[Sample]:
    """Let a daemon perform, turn after turn; yield a sample for each turn.

    A step's time is what the daemon itself publishes.
    """
    turn_s = min(60.0, 60 * minutes / SAMPLES_AT_LEAST)
    played = passage(list(performances_in()), NOTES_PER_S, turn_s)
    piece = tuple(played.tokens())
    turns = round(60 * minutes / turn_s)
    context = Engine.open(model).manifest.architecture.context
    started_s = time.monotonic()
    with measured_daemon(model, Preparation(context, (piece,) * (turns + 1))) as daemon:
        for turn in range(turns + 1):
            daemon.ask("perform", length=turn_s)
            daemon.next_event("turn", 2 * turn_s + ANSWER_WITHIN_S)
            if turn == 0:  # buffers and allocators settle in it
                continue
            metrics = daemon.fresh_metrics()
            minute = (time.monotonic() - started_s) / 60
            yield Sample(minute, metrics["step_ms"], resident_mb_of_all(daemon.pid), len(piece))


def gather(samples: Iterable[Sample]) -> list[Sample]:
    """Print samples as they come and return them; Ctrl-C ends them."""
    gathered: list[Sample] = []
    tell(f"{'minute':>8} {'ms/token':>9} {'MB':>8} {'tokens':>8}")
    try:
        for sample in samples:
            tell(
                f"{sample.minute:8.2f} {sample.step_ms:9.3f} {sample.resident_mb:8.1f} "
                f"{sample.tokens:8}"
            )
            gathered.append(sample)
    except KeyboardInterrupt:
        tell("ended early")
    return gathered


def report_of(model: Path, what: str, samples: list[Sample]) -> Report:
    """Return what the samples say."""
    minutes = [sample.minute for sample in samples]
    is_enough = len(samples) >= FEWEST
    memory = drift_of(minutes, [each.resident_mb for each in samples]) if is_enough else None
    step = drift_of(minutes, [each.step_ms for each in samples]) if is_enough else None
    return Report(machine(), str(model), what, samples, memory, step)


def grew(drift: Drift, by: float) -> bool:
    """Tell whether a quantity rose steadily, and by more than this share."""
    return drift.is_rising and drift.last > (1 + by) * drift.first


def print_report(report: Report) -> None:
    """Print what is concluded."""
    tokens = sum(sample.tokens for sample in report.samples)
    tell(f"{report.machine}; {report.model}, {report.what}; {tokens:,} tokens")
    if report.memory is None or report.step is None:
        tell("too short to tell growth from chance")
        return
    for name, unit, drift, by in (
        ("memory", "MB", report.memory, GROWN_BY),
        ("time of a token", "ms", report.step, SLOWED_BY),
    ):
        slopes = [60 * slope for slope in (drift.slope, drift.slope_low, drift.slope_high)]
        tell(
            f"{name}: {drift.first:.4g} {unit} in the first tenth, {drift.last:.4g} in the last; "
            f"slope {slopes[0]:+.3g} {unit} per hour (95 %: {slopes[1]:+.3g} to {slopes[2]:+.3g}): "
            + ("it GREW" if grew(drift, by) else "no growth")
        )


def draw(report: Report, path: Path) -> None:
    """Draw memory and time of a token over the run."""
    minutes = [sample.minute for sample in report.samples]
    step_ms = [sample.step_ms for sample in report.samples]
    memory_mb = [sample.resident_mb for sample in report.samples]
    panels = [
        Panel("time of one token", "minutes", "ms", {f"{report.what}, p50": (minutes, step_ms)}),
        Panel("resident memory", "minutes", "MB", {report.what: (minutes, memory_mb)}),
    ]
    draw_panels(path, panels)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m daemon.bench.live.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, default=ROOT / EngineSettings().model)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--daemon", action="store_true", help="the whole daemon, through ports")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    parser.add_argument("--picture", type=Path, help="draw a PNG here")
    options = parser.parse_args(arguments)
    if not options.minutes > 0:
        parser.error("--minutes must be more than 0")
    source = daemon_samples if options.daemon else engine_samples
    what = "daemon" if options.daemon else "engine"
    try:
        samples = gather(source(options.model, options.minutes))
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    report = report_of(options.model, what, samples)
    print_report(report)
    if options.json:
        write_json(options.json, asdict(report))
    if options.picture and samples:
        draw(report, options.picture)
    if report.memory is None or report.step is None:
        return 0
    return int(grew(report.memory, GROWN_BY) or grew(report.step, SLOWED_BY))


if __name__ == "__main__":
    sys.exit(main())
