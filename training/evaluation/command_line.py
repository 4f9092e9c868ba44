"""The command line of `training/evaluate.py`."""

import argparse
from pathlib import Path

from perceivers import vocabulary as v
from perceivers.graphs import PRECISIONS
from training.data.midi_folder import SPLITS
from training.evaluation.likelihood.pieces import ALL
from training.evaluation.report.request import add_report_options


def parse(arguments: list[str] | None, description: str | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", type=Path, required=True, help="model folder, run folder or checkpoint"
    )
    _add_data(parser)
    _add_how(parser)
    add_report_options(parser)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument(
        "--note",
        action="store_true",
        help="keep nats per token of this precision in the manifest of the model folder",
    )
    options = parser.parse_args(arguments)
    if options.limit_tokens is not None and options.limit_tokens < 2:
        parser.error(f"--limit-tokens {options.limit_tokens} must be at least 2")
    if options.every < 1:
        parser.error(f"--every {options.every} must be at least 1")
    if options.note and options.report:
        parser.error("--note goes without --report: give it to a command of its own")
    if options.processes < 0:
        parser.error(f"--processes {options.processes} must be at least 0 (0 chooses)")
    return options


def _add_data(parser: argparse.ArgumentParser) -> None:
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--midi", type=Path, help="folder of MIDI files")
    data.add_argument("--tokens", type=Path, help="folder made by prepare_data.py")
    parser.add_argument(
        "--split",
        choices=(*SPLITS, ALL),
        help="default: validation; all of a folder of MIDI files that has no manifest",
    )
    parser.add_argument("--datasets", default="", help="only these: asap,maestro_extra")
    parser.add_argument(
        "--source",
        choices=[source.value for source in v.Source],
        help="tell the model that this is how the music was captured (default: what a manifest "
        "says, else disklavier)",
    )
    parser.add_argument("--limit-tokens", type=int, help="score about so many tokens, not all")
    parser.add_argument(
        "--every", type=int, default=1, help="score every k-th block of each piece only"
    )


def _add_how(parser: argparse.ArgumentParser) -> None:
    protocol = parser.add_mutually_exclusive_group()
    protocol.add_argument(
        "--streamed",
        dest="protocol",
        action="store_const",
        const="streamed",
        help="by the engine that plays (default for a model folder)",
    )
    protocol.add_argument(
        "--blocks",
        dest="protocol",
        action="store_const",
        const="blocks",
        help="by the block protocol in torch (default for a checkpoint; of a model folder, its "
        "checkpoint.pt)",
    )
    parser.add_argument(
        "--precision",
        choices=(*PRECISIONS, "bf16"),
        default="fp32",
        help="int8 and fp16 are for --streamed, bf16 for --blocks (default: fp32)",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="for --blocks")
    parser.add_argument(
        "--processes",
        type=int,
        default=0,
        help="for --streamed: engines side by side (default: one per core, at most 8)",
    )
