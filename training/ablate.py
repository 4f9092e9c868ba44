"""The paper's experiments: what is each idea worth, at equal parameters, tokens and data?

    python training/ablate.py --quick                     the whole path on tiny settings
    python training/ablate.py --tokens TOKENS             proxies on the CPU, base size on a GPU
    python training/ablate.py --only segmentation,scales --seeds 2
    python training/ablate.py --list                      questions and arms; nothing is run
    python training/ablate.py --results FOLDER --table results.md     tables of what is there

It tells before it starts how long it will take. Started again, it goes on where it stopped, also
after a kill: every finished run leaves a small JSON in OUT/results, and a run that was interrupted
goes on from its checkpoint. Results of other settings are kept apart. At its end it writes the
tables to OUT/results.md. Several invocations with the same --out share the work.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch

from perceivers.atomic import atomic_path
from perceivers.errors import PerformerError
from training.ablation.budget import Pace, clock
from training.ablation.comparison import Comparison
from training.ablation.experiments import experiments
from training.ablation.plan import Plan, Wish, make_plan, prepare_data, split_words, unknown_words
from training.ablation.results import Result, read_results
from training.ablation.runner import Stopped, carry_out, is_done, locked
from training.ablation.settings import Run
from training.ablation.sizes import SIZES
from training.ablation.tables import document
from training.models.presets import parameters_of
from training.run.command_line import STARTER_SET
from training.run.precision import AUTO, CHOICES, CHOICES_HELP

EXPERIMENTS = tuple(found.key for found in experiments(SIZES["proxy"].reference))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="as --preset quick")
    size.add_argument(
        "--preset", choices=sorted(SIZES), help="size of everything (default: base on a GPU, "
        "else proxy)"
    )  # fmt: skip
    parser.add_argument("--only", type=split_words, default=(), help=",".join(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, help="runs of each arm (default: the size's)")
    parser.add_argument("--tokens-per-run", type=int, help="to train on (default: the size's)")
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--midi", type=Path, default=STARTER_SET, help="folder of MIDI files")
    data.add_argument("--tokens", type=Path, help="folder made by prepare_data.py, instead")
    parser.add_argument(
        "--datasets", type=split_words, default=(), help="to score, of the validation split "
        "(default: asap,maestro_extra where the data has them, else all)"
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="folder (default: runs/ablations)")
    parser.add_argument("--results", type=Path, help="folder of the results (default: OUT/results)")
    parser.add_argument("--table", type=Path, help="only write the tables of --results here")
    parser.add_argument("--list", action="store_true", help="only list the experiments")
    parser.add_argument("--processes", type=int, help="that share the work (default: CPU cores)")
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto")
    parser.add_argument("--precision", choices=CHOICES, default=AUTO, help=CHOICES_HELP)
    parser.add_argument("--keep-runs", action="store_true", help="keep checkpoints after scoring")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)  # of another invocation
    options = parser.parse_args(arguments)
    unknown = unknown_words(options.only, EXPERIMENTS)
    if unknown:
        parser.error(f"--only {','.join(unknown)}: not among {', '.join(EXPERIMENTS)}")
    for name in ("seeds", "tokens_per_run", "processes"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} {value} must be at least 1")
    _fill_in(options)
    return options


def _fill_in(options: argparse.Namespace) -> None:
    """Settle what depends on the machine or on other options."""
    on_gpu = options.device == "auto" and torch.cuda.is_available()
    if options.preset is None:
        options.preset = "quick" if options.quick else "base" if on_gpu else "proxy"
    options.out = options.out or Path("runs/ablations")
    options.results = options.results or options.out / "results"
    if options.processes is None:
        options.processes = 1 if on_gpu else os.cpu_count() or 1


def wish_of(options: argparse.Namespace) -> Wish:
    """Return what the command line asks for."""
    return Wish(
        preset=options.preset,
        only=options.only,
        seeds=options.seeds,
        tokens_per_run=options.tokens_per_run,
        tokens=options.tokens,
        midi=options.midi,
        datasets=options.datasets,
        out=options.out,
        results=options.results,
        device=options.device,
        precision=options.precision,
        keep_runs=options.keep_runs,
    )


def list_experiments(preset: str) -> None:
    """Print every question and its arms."""
    for experiment in experiments(SIZES[preset].reference, SIZES[preset].arms):
        print(f"{experiment.key}: {experiment.question}")
        for arm in experiment.arms:
            told = " ".join(f"--{name} {value}" for name, value in arm.training.items())
            print(f"    {arm.name:40} {parameters_of(arm.architecture):>12,} parameters  {told}")


def run_all(options: argparse.Namespace, words: list[str]) -> int:
    """Run what is left of the plan, with other processes if asked for; then write the tables."""
    wish, is_worker = wish_of(options), options.worker is not None
    if not is_worker:
        prepare_data(wish)
    if options.processes > 1 or is_worker:
        torch.set_num_threads(1)
    plan = make_plan(wish)
    log = wish.out / f"training-{options.worker or 1}.log"
    if is_worker:
        return 2 if work(plan, log, options.processes) else 0
    processes = max(1, min(options.processes, len(plan.left)))
    print(
        f"--preset {wish.preset}: {len(plan.runs)} runs, {len(plan.left)} of them left, about "
        f"{clock(plan.seconds_left(processes))} in {processes} process(es); results in "
        f"{wish.results}, details in {log}",
        flush=True,
    )
    with workers(words, range(2, processes + 1)) as others:
        failed = work(plan, log, processes)
        codes = [other.wait() for other in others]
    write_tables(wish.results, wish.out / "results.md")
    return 2 if failed or any(codes) else 0


@contextmanager
def workers(words: list[str], numbers: range) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start processes that share the work; on leaving, those that still run save and end.

    Each has a session of its own: Ctrl-C reaches them through this process alone, and once.
    """
    script = str(Path(__file__).resolve())
    started = [
        subprocess.Popen(  # noqa: S603 - this program
            [sys.executable, script, *words, "--worker", str(number)], start_new_session=True
        )
        for number in numbers
    ]
    try:
        yield started
    finally:
        for process in started:
            if process.poll() is None:
                process.terminate()
        for process in started:
            process.wait()


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """While open, SIGTERM does what Ctrl-C does."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def work(plan: Plan, log: Path, processes: int) -> int:
    """Do every run that no other process is doing; return how many failed."""
    failed, pace = 0, Pace()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as told:
        for run in plan.runs:
            with locked(plan.place, run) as is_ours:
                if not is_ours or is_done(plan.place, run):
                    continue
                print(f"{_shown(run)} …", flush=True)
                started_s = time.monotonic()
                try:
                    with redirect_stdout(told):
                        result = carry_out(plan.place, run)
                except PerformerError as error:
                    failed += 1
                    print(f"error: {_shown(run)}: {error}", file=sys.stderr, flush=True)
                    continue
            pace.add(plan.expected_s[run.name], time.monotonic() - started_s)
            _tell_done(result, plan, pace.corrected(plan.seconds_left(processes)))
    return failed


def _shown(run: Run) -> str:
    return f"{run.arm.name}, seed {run.seed}"


def _tell_done(result: Result, plan: Plan, left_s: float) -> None:
    nll = Comparison([result]).mean([result]).overall.value
    seconds = result.cost.train_s + result.cost.score_s
    print(
        f"{_shown(result.run)}: {nll:.3f} nats/token in {clock(seconds)}; runs left: "
        f"{len(plan.left)}, about {clock(left_s)}",
        flush=True,
    )


def write_tables(results: Path, out: Path) -> None:
    """Write the tables of all results in a folder."""
    found = read_results(results)
    if not found:
        raise PerformerError(f"{results}: no results; run training/ablate.py first")
    with atomic_path(out) as partial:
        partial.write_text(document(found))
    print(f"tables of {len(found)} runs: {out}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    words = sys.argv[1:] if arguments is None else arguments
    options = parse(words)
    try:
        if options.list:
            list_experiments(options.preset)
        elif options.table is not None:
            write_tables(options.results, options.table)
        else:
            with sigterm_as_interrupt():
                return run_all(options, words)
    except PerformerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, Stopped):
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
