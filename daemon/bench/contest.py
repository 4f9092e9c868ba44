"""Time the engine beside torch with the same model, and beside other live models, in one run.

    python daemon/bench/contest.py MODEL_FOLDER --torch-python .venv-dev/bin/python

Every contestant is a process of its own with one thread. They are asked in turn, round by round,
so that whatever else the machine does meets all of them; the first round is not counted. Times are
processor time of the thread; medians, and the least and greatest median of a round as spread.
Before anything is timed, torch must give the engine's float32 logits: the folder must have been
exported from the checkpoint that torch reads.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tqdm import tqdm

from daemon.bench.contestants.process import ContestProcess
from daemon.bench.contestants.protocol import random_tokens
from daemon.bench.pictures import Bar, draw_bars, machine
from daemon.bench.results import tell, write_json
from daemon.brain.pace import TOKENS_PER_NOTE
from perceivers.errors import PerformerError
from perceivers.manifest import Manifest, read_manifest
from perceivers.parity import TOLERANCE

ROOT = Path(__file__).resolve().parents[2]
CONTESTANTS = Path(__file__).resolve().parent / "contestants"
ENGINE = CONTESTANTS / "this_engine.py"
TORCH = CONTESTANTS / "torch_model.py"
NOTOCHORD = CONTESTANTS / "notochord_model.py"
PERCEIVER_IO = CONTESTANTS / "perceiver_io_model.py"

CONTEXTS = (1024, 4096, 32_768)
FP32, INT8 = "engine-fp32", "engine-int8"
TORCH_FORMS: dict[str, tuple[str, ...]] = {
    "torch-eager": (),
    "torch-compiled": ("--compiled",),
    "torch-eager-turned": ("--turned",),
    "torch-compiled-turned": ("--turned", "--compiled"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one contestant at one length of context."""

    contestant: str
    context: int
    p50_ms: float
    """Median time of a step: a token, or what the contestant makes one after the other."""
    least_ms: float
    """Least median of a round."""
    greatest_ms: float
    """Greatest median of a round."""
    steps_per_note: float

    @property
    def note_ms(self) -> float:
        """Milliseconds of processor time for each note-on."""
        return self.p50_ms * self.steps_per_note


def parity(processes: dict[str, ContestProcess], manifest: Manifest) -> dict[str, float]:
    """Return the largest difference of a logit from the engine in float32, by contestant.

    Over a short stream, one beyond the self-attentions' windows, and one beyond the context.
    Raises PerformerError where a float32 contestant is not the same model.
    """
    architecture = manifest.architecture
    lengths = (100, architecture.latents + 500, architecture.context + 500)
    same = [name for name in processes if name in (FP32, INT8, *TORCH_FORMS)]
    worst = dict.fromkeys(same, 0.0)
    for length in tqdm(lengths, desc="comparing logits", unit="stream"):
        tokens = random_tokens(architecture.vocabulary_size, length)
        reference = processes[FP32].logits(tokens)
        for name in same:
            found = processes[name].logits(tokens)
            far = max(abs(a - b) for a, b in zip(reference, found, strict=True))
            worst[name] = max(worst[name], far)
    for name, far in worst.items():
        if name != INT8 and not far <= TOLERANCE:
            raise PerformerError(
                f"{name} differs from the engine by {far:.1e} in a logit, allowed is "
                f"{TOLERANCE:.0e}; export the folder anew from the checkpoint that torch reads"
            )
    return worst


def measure(
    processes: dict[str, ContestProcess], contexts: Sequence[int], rounds: int, steps: int
) -> list[Row]:
    """Ask all contestants in turn, round by round; one round more is run first and not counted."""
    times: dict[tuple[str, int], list[list[float]]] = {
        (name, context): []
        for name, process in processes.items()
        for context in process.about.get("contexts", contexts)
    }
    for turn in tqdm(range(1 + rounds), desc="contest", unit="round"):
        for (name, context), found in times.items():
            measured = processes[name].times_ms(context, steps)
            if turn:
                found.append(measured)
    return [
        row_of(name, context, found, processes[name].about.get("steps_per_note", TOKENS_PER_NOTE))
        for (name, context), found in times.items()
    ]


def row_of(
    name: str, context: int, rounds: Sequence[Sequence[float]], steps_per_note: float
) -> Row:
    """Sum up the times of a contestant's rounds."""
    medians = [median(times) for times in rounds]
    together = median(time for times in rounds for time in times)
    return Row(name, context, together, min(medians), max(medians), steps_per_note)


def best_torch(rows: Sequence[Row], context: int) -> Row | None:
    """Return the fastest form of torch at a context."""
    forms = [row for row in rows if row.context == context and row.contestant in TORCH_FORMS]
    return min(forms, key=lambda row: row.p50_ms, default=None)


def print_rows(rows: Sequence[Row]) -> None:
    """Print the table."""
    width = max(len(row.contestant) for row in rows)
    tell(f"{'':<{width}} {'context':>8} {'ms/step':>8} {'of rounds':>13} {'ms/note-on':>11}")
    for row in sorted(rows, key=lambda row: row.context):
        spread = f"{row.least_ms:.2f}–{row.greatest_ms:.2f}"
        tell(
            f"{row.contestant:<{width}} {row.context:>8} {row.p50_ms:8.2f} {spread:>13} "
            f"{row.note_ms:11.1f}   ({row.steps_per_note:.2g} steps a note)"
        )
    for row in rows:
        best = best_torch(rows, row.context)
        if best and row.contestant in (FP32, INT8):
            factor = best.p50_ms / row.p50_ms
            tell(f"{row.contestant} at {row.context}: {factor:.2f} x faster than {best.contestant}")


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the milliseconds for a note-on of every contestant."""
    bars = [
        Bar(
            f"{row.contestant}, {row.context:,}",
            row.note_ms,
            row.least_ms * row.steps_per_note,
            row.greatest_ms * row.steps_per_note,
            row.contestant in (FP32, INT8),
        )
        for row in sorted(rows, key=lambda row: -row.note_ms)
    ]
    draw_bars(
        path, "processor time for a note, by contestant and context", "ms for a note-on", bars
    )


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """Return the command line of every contestant that was asked for."""
    folder = str(options.folder)
    found = {
        FP32: [sys.executable, str(ENGINE), folder, "--precision", "fp32"],
        INT8: [sys.executable, str(ENGINE), folder, "--precision", "int8"],
    }
    checkpoint = str(options.checkpoint or options.folder / "checkpoint.pt")
    if options.torch_python:
        for name in options.torch_forms:
            found[name] = [str(options.torch_python), str(TORCH), checkpoint, *TORCH_FORMS[name]]
    if options.notochord_python:
        found["Notochord"] = [str(options.notochord_python), str(NOTOCHORD)]
    if options.perceiver_io_python:
        found["perceiver-io"] = [str(options.perceiver_io_python), str(PERCEIVER_IO)]
    return found


def run(options: argparse.Namespace) -> None:
    """Hold the contest; print, write and draw what it gave."""
    manifest = read_manifest(options.folder)
    processes: dict[str, ContestProcess] = {}
    try:
        for name, command in commands(options).items():
            processes[name] = ContestProcess(name, command)
        differences = parity(processes, manifest)
        contexts = sorted({min(context, manifest.architecture.context) for context in CONTEXTS})
        rows = measure(processes, contexts, options.rounds, options.steps)
    finally:
        for process in processes.values():
            process.close()
    print_rows(rows)
    if options.json:
        content = {
            "machine": machine(),
            "rounds": options.rounds,
            "steps": options.steps,
            "contestants": {name: process.about for name, process in processes.items()},
            "largest_logit_difference": differences,
            "rows": [asdict(row) | {"note_ms": row.note_ms} for row in rows],
        }
        write_json(options.json, content)
    if options.picture:
        draw(rows, options.picture)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="model folder")
    parser.add_argument("--checkpoint", type=Path, help="weights for torch (default: the folder's)")
    parser.add_argument(
        "--torch-python", type=Path, help="Python that has torch; without, no torch"
    )
    forms = list(TORCH_FORMS)
    parser.add_argument("--torch-forms", nargs="+", choices=forms, default=forms)
    parser.add_argument("--notochord-python", type=Path, help="Python that has notochord")
    parser.add_argument("--perceiver-io-python", type=Path, help="Python that has perceiver-io")
    parser.add_argument("--rounds", type=int, default=9, help="that are counted")
    parser.add_argument("--steps", type=int, default=40, help="in a round, at each context")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    parser.add_argument("--picture", type=Path, help="draw a PNG here")
    options = parser.parse_args(arguments)
    try:
        run(options)
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
