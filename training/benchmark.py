"""Measure how fast training is: tokens per second, share of the machine's peak, and memory.

    python training/benchmark.py                           every preset, contexts 2k, 8k and 32k
    python training/benchmark.py --presets base --contexts 32768 --json speed.json

A step is drawing nothing, forward, backward and optimisers on crops of random tokens with a full
context before them. Times on a CPU are processor time over the threads, so that other programs
disturb them little; medians. The peak is that of a large matrix product in the same precision and
process. Every row runs in a process of its own, whose largest memory is told. Beside the presets
stands torch's own nn.TransformerEncoder with as many blocks of the same width, causal over the
same latents, its steps taken in turn with ours.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from perceivers.atomic import atomic_path
from perceivers.model import PerceiverS
from training.ablation.compute import crop_flop
from training.data.segmentation import Crop
from training.models.plain_encoder import PlainEncoder
from training.models.presets import PRESETS
from training.run.optimizers import Optimizers
from training.run.precision import AUTO, BF16, CHOICES, CHOICES_HELP, autocast, chosen_precision

CONTEXTS = (2048, 8192, 32_768)
PEAK_SIZE = 2048  # rows and columns of the product that the peak is measured with
OURS, PLAIN = "PerceiverS", "encoder"  # the second is nn.TransformerEncoder


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement."""

    preset: str
    model: str
    parameters: int
    context: int
    batch: int
    tokens_per_s: float
    peak_share: float | None
    """Floating-point operations by formula over those of the peak; None where not counted."""
    peak_memory_gb: float
    relative: float | None = None
    """Parameters times tokens per second, over those of the contestant beside it."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A model to time, and what it reads in a step: tokens of the latents, and others before."""

    name: str
    model: nn.Module
    inputs: tuple[Tensor, ...]
    context: int
    flop_per_token: float | None
    """By formula, of a training step; None where not counted."""


def step_of(model: nn.Module, inputs: tuple[Tensor, ...], precision: str) -> Callable[[], None]:
    """Return one training step of a model as a function."""
    optimizers = Optimizers(model)
    targets = inputs[0].flatten()
    device = inputs[0].device

    def step() -> None:
        with autocast(device, precision):
            loss = cross_entropy(model(*inputs).float().flatten(0, 1), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizers.step(1.0)

    return step


def seconds_of(step: Callable[[], object], device: torch.device, threads: int) -> float:
    """Time one step: processor time over the threads on a CPU, the clock elsewhere."""
    if device.type == "cpu":
        started_s = time.process_time()
        step()
        return (time.process_time() - started_s) / threads
    torch.cuda.synchronize()
    started_s = time.perf_counter()
    step()
    torch.cuda.synchronize()
    return time.perf_counter() - started_s


def peak_flop_per_s(device: torch.device, precision: str, threads: int) -> float:
    """Measure the operations per second of a large matrix product."""
    kind = torch.bfloat16 if precision == BF16 else torch.float32
    a = torch.randn(PEAK_SIZE, PEAK_SIZE, device=device).to(kind)
    times = [seconds_of(lambda: a @ a, device, threads) for _ in range(8)]
    return 2.0 * PEAK_SIZE**3 / median(times[2:])


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure one preset at one context, and the contestant where it is asked for."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    peak = peak_flop_per_s(device, options.precision, options.threads)
    contestants = _contestants(options, device)
    speeds = _tokens_per_s(contestants, options, device)
    rows = [
        Row(
            options.presets[0],
            contestant.name,
            sum(parameter.numel() for parameter in contestant.model.parameters()),
            contestant.context,
            options.batch,
            speed,
            contestant.flop_per_token and contestant.flop_per_token * speed / peak,
            _peak_memory_gb(device),
        )
        for contestant, speed in zip(contestants, speeds, strict=True)
    ]
    return _compared(rows)


def _contestants(options: argparse.Namespace, device: torch.device) -> list[Contestant]:
    """Return our model at its context, and the other one where it is asked for."""
    base = PRESETS[options.presets[0]]
    context = min(options.contexts[0], base.context)
    before = context - base.latents
    latents = torch.randint(base.vocabulary_size, (options.batch, base.latents), device=device)
    prefix = torch.randint(base.vocabulary_size, (options.batch, before), device=device)
    flop_per_token = crop_flop(base, Crop(0, before, context)) / base.latents
    model = PerceiverS(base).to(device)
    found = [Contestant(OURS, model, (latents, prefix), context, flop_per_token)]
    if options.against_encoder:
        plain = PlainEncoder(base).to(device)
        found.append(Contestant(PLAIN, plain, (latents,), base.latents, None))
    return found


def _tokens_per_s(
    contestants: list[Contestant], options: argparse.Namespace, device: torch.device
) -> list[float]:
    """Time the steps of all contestants in turn; the first of each only warms up."""
    steps = [step_of(each.model, each.inputs, options.precision) for each in contestants]
    rounds = [
        [seconds_of(step, device, options.threads) for step in steps]
        for _ in range(1 + options.repeats)
    ]
    of_each = zip(contestants, zip(*rounds[1:], strict=True), strict=True)
    return [each.inputs[0].numel() / median(times) for each, times in of_each]


def _compared(rows: list[Row]) -> list[Row]:
    """Set the first row beside the second, if there is one."""
    if len(rows) == 1:
        return rows
    ours, other = (row.parameters * row.tokens_per_s for row in rows)
    return [replace(rows[0], relative=ours / other), rows[1]]


def _peak_memory_gb(device: torch.device) -> float:
    """Return the largest memory of this process so far, on the device that computes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * (1024 if sys.platform != "darwin" else 1) / 1e9


def measure_apart(preset: str, context: int, against: bool, options: argparse.Namespace) -> str:
    """Measure in a process of its own; return its rows as JSON."""
    command = [sys.executable, str(Path(__file__).resolve()), "--one"]
    command += ["--presets", preset, "--contexts", str(context)]
    for name in ("batch", "repeats", "threads", "device", "precision"):
        command += [f"--{name}", str(getattr(options, name))]
    command += ["--against-encoder"] if against else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    return done.stdout


def report(options: argparse.Namespace) -> list[Row]:
    """Measure everything that was asked for, one process after the other."""
    wanted = [
        (preset, context, False)
        for preset in options.presets
        for context in options.contexts
        if context <= PRESETS[preset].context
    ]
    wanted += [(preset, PRESETS[preset].latents, True) for preset in options.presets]
    rows = []
    for preset, context, against in tqdm(wanted, desc="measuring", unit="row"):
        found = json.loads(measure_apart(preset, context, against, options))
        rows += [Row(**fields) for fields in found]
    return rows


def print_rows(rows: list[Row]) -> None:
    """Tell the figures as a table."""
    print(f"{'preset':>8} {'model':>11} {'parameters':>11} {'context':>8} {'tokens/s':>9} ", end="")
    print(f"{'of peak':>8} {'memory':>8} {'against':>8}")
    for row in rows:
        share = "" if row.peak_share is None else f"{100 * row.peak_share:.0f} %"
        against = "" if row.relative is None else f"{row.relative:.2f} x"
        print(
            f"{row.preset:>8} {row.model:>11} {row.parameters:>11,} {row.context:>8,} "
            f"{row.tokens_per_s:>9,.0f} {share:>8} {row.peak_memory_gb:>5.1f} GB {against:>8}"
        )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presets", nargs="+", choices=sorted(PRESETS), default=["small", "base"])
    parser.add_argument("--contexts", nargs="+", type=int, default=list(CONTEXTS))
    parser.add_argument("--batch", type=int, default=4, help="crops in a step")
    parser.add_argument("--repeats", type=int, default=5, help="steps that are timed")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--precision", choices=CHOICES, default=AUTO, help=CHOICES_HELP)
    parser.add_argument("--json", type=Path, help="file for the figures")
    found = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=found)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--against-encoder", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.precision = chosen_precision(options.precision, torch.device(options.device))
    if options.one:
        print(json.dumps([asdict(row) for row in measure(options)]))
        return 0
    rows = report(options)
    print_rows(rows)
    if options.json is not None:
        figures = {
            "machine": platform.processor() or platform.machine(),
            "device": options.device,
            "threads": options.threads,
            "precision": options.precision,
            "rows": [asdict(row) for row in rows],
        }
        with atomic_path(options.json) as partial:
            partial.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
