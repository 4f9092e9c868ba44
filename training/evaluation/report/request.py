"""What a report is asked to hold, as the command line says it."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from perceivers.errors import PerformerError
from perceivers.manifest import MANIFEST_FILE
from training.data.midi_folder import MANIFEST
from training.evaluation.likelihood.pieces import ALL, DEFAULT_SPLIT

LIKELIHOOD = "likelihood"
COPYING = "copying"
SOUND = "sound"
OF_CONTINUATIONS = ("metrics", "mgeval", "handling", "two_sample", "repetition", COPYING, SOUND)
PARTS = (LIKELIHOOD, *OF_CONTINUATIONS)


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """Which parts are made, of which model and music, to where."""

    folder: Path
    model: Path
    midi: Path
    split: str | None
    datasets: tuple[str, ...]
    continuations: int
    notes: int
    seed: int
    parameters: tuple[str, ...]  # names and values, for the daemon
    training_tokens: Path | None
    """What the model has learnt from, to look for copies; None: the manifest's training split."""
    parts: tuple[str, ...]

    @property
    def continues(self) -> bool:
        """Tell whether continuations are needed."""
        return any(part in OF_CONTINUATIONS for part in self.parts)

    def check(self) -> None:
        """Raise PerformerError where the request cannot be met."""
        if not self.continues:
            return
        only = f"or ask for the likelihood alone (--only {LIKELIHOOD})"
        if not (self.model / MANIFEST_FILE).is_file():
            raise PerformerError(
                f"{self.model}: only a model folder can play; export one with "
                f"`python export/export_onnx.py CHECKPOINT FOLDER`, {only}"
            )
        if self.split == ALL and (self.midi / MANIFEST).exists():
            raise PerformerError(
                f"--split {ALL}: pieces that the model may have learnt say nothing as primers; "
                f"choose one split, {only}"
            )

    @property
    def split_to_continue(self) -> str:
        """Return the split that primers are from; a folder without manifest has none."""
        return DEFAULT_SPLIT if self.split in (None, ALL) else str(self.split)


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a report to a command line."""
    report = parser.add_argument_group("report", "everything that can be said, as JSON and a page")
    report.add_argument("--report", type=Path, metavar="FOLDER", help="make one here, or go on")
    report.add_argument(
        "--continuations", type=int, default=100, help="primers to continue (default: 100)"
    )
    report.add_argument(
        "--notes", type=int, default=256, help="notes of a continuation (default: 256)"
    )
    report.add_argument("--seed", type=int, default=0, help="of cuts, continuations and tests")
    report.add_argument(
        "--set",
        dest="parameters",
        nargs="+",
        default=[],
        metavar="NAME VALUE",
        help="parameters of the daemon, such as `temperature 0.9 top_p 0.95`",
    )
    report.add_argument(
        "--training-tokens",
        type=Path,
        help="token files that the model has learnt from, to look for copies (default: the "
        "training split of the manifest in --midi)",
    )
    chosen = report.add_mutually_exclusive_group()
    chosen.add_argument("--only", nargs="+", choices=PARTS, help="make these parts")
    chosen.add_argument("--without", nargs="+", choices=PARTS, help="leave these parts out")


def report_request(options: argparse.Namespace) -> ReportRequest:
    """Return the request that the command line makes. Raises PerformerError."""
    if options.midi is None:
        raise PerformerError("--report needs --midi: primers are cut out of MIDI files")
    if min(options.continuations, options.notes) < 1 or options.seed < 0:
        raise PerformerError("--continuations and --notes are at least 1, --seed at least 0")
    without = options.without or ()
    request = ReportRequest(
        folder=options.report,
        model=options.model,
        midi=options.midi,
        split=options.split,
        datasets=tuple(name for name in options.datasets.split(",") if name),
        continuations=options.continuations,
        notes=options.notes,
        seed=options.seed,
        parameters=tuple(options.parameters),
        training_tokens=options.training_tokens,
        parts=tuple(part for part in options.only or PARTS if part not in without),
    )
    request.check()
    return request
