"""What choosing among candidates is worth: continuations with 1, 2, 4, 8, 16 beside the pianists'.

    python training/evaluation/candidates.py --model models/medium --midi MIDI --out FOLDER

Primers of the validation split are continued with each number of candidates, with the same seeds
(FOLDER/1, FOLDER/2 …; what is there is kept). Told are plain statistics of the model's
continuations and the pianists', how far the two lie apart after the same primer, what a classifier
by statistics makes of them, and the processor time for a second of music.
"""

import argparse
import json
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from perceivers.atomic import atomic_path
from perceivers.errors import PerformerError
from training.evaluation.continuations.folder import Continuation, load_continuations
from training.evaluation.continuations.making import Request, make_continuations
from training.evaluation.intervals import RESAMPLES
from training.evaluation.metrics.features import FEATURES
from training.evaluation.metrics.handling import HANDLING
from training.evaluation.metrics.notes import Notes, notes_of, on_grid
from training.evaluation.two_sample.judgement import Pair, two_sample_test

COUNTS = (1, 2, 4, 8, 16)
COST = "processor.json"
PRIMER_NOTES = 192  # at least, to judge by
JUDGED_BY = {"logistic": 5}  # the network needs more continuations than are made here


def _octaves(of: Callable[[Notes], float]) -> Callable[[Notes], float]:
    return lambda notes: float(np.log2(max(of(notes), 1e-3)))


STATISTICS: Mapping[str, Callable[[Notes], float]] = {
    "octaves_of_density": _octaves(HANDLING["notes_per_second"]),
    "octaves_of_length": lambda notes: float(
        np.log2(np.maximum(notes.offset_s - notes.onset_s, 0.01)).mean()
    ),
    "shorter_than_80_ms": HANDLING["shorter_than_80_ms"],
    "held_3_s": HANDLING["held_3_s"],
    "pitch": lambda notes: float(notes.pitch.mean()),
    "spread_of_pitch": lambda notes: float(notes.pitch.std()),
    "velocity": lambda notes: float(notes.velocity.mean()),
    "spread_of_velocity": lambda notes: float(notes.velocity.std()),
    "onset_interval_s": lambda notes: float(FEATURES["onset_interval_mean"](notes)[0]),
    "pedal": lambda notes: float(FEATURES["pedal_ratio"](notes)[0]),
}


def measure(folder: Path, seed: int = 0) -> dict[str, Any]:
    """Return the figures of a folder of continuations as JSON values."""
    found = load_continuations(folder)
    rng = np.random.default_rng(seed)
    told = {name: _compared(of, found, rng) for name, of in STATISTICS.items()}
    pairs = [
        Pair(each.item.group, notes_of(each.primer()), notes_of(each.model), notes_of(each.human))
        for each in found
    ]
    judged = two_sample_test(pairs, seed, quiet=True, repeats=JUDGED_BY)
    return {
        "continuations": len(found),
        "statistics": told,
        "auc": judged["model_against_human"]["logistic"]["auc"],
        "auc_of_pianists_alone": judged["human_against_human"]["logistic"]["auc"],
    }


def _compared(
    of: Callable[[Notes], float], found: Sequence[Continuation], rng: np.random.Generator
) -> dict[str, float]:
    """Return means of both, and how far they lie apart after the same primer, with an interval."""
    model = np.array([of(on_grid(notes_of(each.model))) for each in found])
    human = np.array([of(on_grid(notes_of(each.human))) for each in found])
    apart = np.abs(model - human)
    drawn = rng.integers(0, len(apart), (RESAMPLES, len(apart)))
    low, high = np.quantile(apart[drawn].mean(axis=1), (0.025, 0.975))
    return {
        "model": float(model.mean()),
        "human": float(human.mean()),
        "apart": float(apart.mean()),
        "low": float(low),
        "high": float(high),
    }


def continued(request: Request, folder: Path, quiet: bool) -> float | None:
    """Make the continuations; return the processor time, if all of them were made at once."""
    cost = folder / COST
    before = (folder / "index.json").exists()
    started_s = resource.getrusage(resource.RUSAGE_CHILDREN)
    make_continuations(request, folder, quiet)
    ended_s = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not before:
        took_s = ended_s.ru_utime - started_s.ru_utime + ended_s.ru_stime - started_s.ru_stime
        cost.write_text(json.dumps(took_s))
    return float(json.loads(cost.read_text())) if cost.exists() else None


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def print_table(figures: Mapping[str, Any]) -> None:
    """Print how far model and pianists lie apart, by number of candidates."""
    counts = list(figures["candidates"])
    _say(f"{'apart, after the same primer':>30} " + " ".join(f"{count:>8}" for count in counts))
    for name in STATISTICS:
        row = [figures["candidates"][count]["statistics"][name]["apart"] for count in counts]
        _say(f"{name:>30} " + " ".join(f"{value:8.3f}" for value in row))
    row = [figures["candidates"][count]["auc"]["value"] for count in counts]
    _say(f"{'AUC by statistics':>30} " + " ".join(f"{value:8.3f}" for value in row))
    row = [figures["candidates"][count]["processor_s"] or np.nan for count in counts]
    _say(f"{'processor time, s':>30} " + " ".join(f"{value:8.1f}" for value in row))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--midi", type=Path, required=True, help="folder of MIDI files")
    parser.add_argument("--out", type=Path, required=True, help="folder for the continuations")
    parser.add_argument("--datasets", nargs="+", default=["asap", "maestro_extra"])
    parser.add_argument("--split", default="validation", choices=("train", "validation"))
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="of candidates")
    parser.add_argument("--count", type=int, default=24, help="continuations (default 24)")
    parser.add_argument("--notes", type=int, default=96, help="length of each (default 96)")
    parser.add_argument("--seed", type=int, default=0, help="of cuts and continuations")
    parser.add_argument("--json", type=Path, help="write everything found here")
    options = parser.parse_args(arguments)
    figures: dict[str, Any] = {
        "model": str(options.model),
        "split": options.split,
        "notes": options.notes,
        "candidates": {},
    }
    try:
        for candidates in options.counts:
            request = Request(
                model=options.model,
                midi=options.midi,
                split=options.split,
                datasets=tuple(options.datasets),
                count=options.count,
                notes=options.notes,
                primer_notes=PRIMER_NOTES,
                seed=options.seed,
                parameters=("candidates", str(candidates)),
            )
            folder = options.out / str(candidates)
            processor_s = continued(request, folder, quiet=False)
            found = measure(folder, options.seed) | {"processor_s": processor_s}
            figures["candidates"][str(candidates)] = found
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    print_table(figures)
    if options.json:
        with atomic_path(options.json) as partial:
            partial.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
