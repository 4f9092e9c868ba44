"""The command line of `training/train.py`, and what is assumed where it says nothing."""

import argparse
from pathlib import Path
from typing import Any

from training.data.segmentation import SEGMENTATIONS
from training.models.presets import PRESETS
from training.run.options import OPTIMIZERS, TrainingOptions
from training.run.precision import AUTO, CHOICES, CHOICES_HELP

STARTER_SET = Path(__file__).resolve().parents[1] / "starter"
DEFAULT_STEPS = 2000
FRESH: dict[str, Any] = {
    "run": Path("runs/default"),
    "rate": 1.0,
    "decay_share": 0.35,
    "validate_every": 100,
    "rehearsal": 0.0,
}
"""Defaults of a run that begins with random weights."""
TUNED: dict[str, Any] = {
    "run": Path("runs/tuned"),
    "rate": 0.03,
    "decay_share": 0.8,
    "validate_every": 50,
    "context": [2048],
    "rehearsal": 0.5,
}
"""Defaults of a run that begins with a trained model."""
TUNING_STEPS = 100


def parse(arguments: list[str] | None = None, description: str | None = None) -> TrainingOptions:
    """Read the command line and fill in the defaults."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _add_data(parser.add_argument_group("data"))
    _add_run(parser.add_argument_group("run"))
    _add_model(parser.add_argument_group("model and crops"))
    _add_recipe(parser.add_argument_group("recipe"))
    _add_augmentation(parser.add_argument_group("augmentation"))
    given = vars(parser.parse_args(arguments))
    return TrainingOptions(**_filled(given))


def _filled(given: dict[str, Any]) -> dict[str, Any]:
    """Fill in the defaults that depend on whether a trained model is tuned."""
    is_tuned = given["init"] is not None
    defaults = dict(TUNED if is_tuned else FRESH)
    if given["tokens"] is None and given["midi"] == STARTER_SET:
        defaults["rehearsal"] = 0.0  # nothing to rehearse beside itself
    if given["steps"] is None and given["minutes"] is None:
        defaults["steps"] = TUNING_STEPS if is_tuned else DEFAULT_STEPS
    return given | {name: value for name, value in defaults.items() if given[name] is None}


def _add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--midi", type=Path, default=STARTER_SET, help="folder of MIDI files")
    group.add_argument("--tokens", type=Path, help="folder made by prepare_data.py, instead")
    group.add_argument(
        "--weight",
        type=_dataset_weight,
        action="append",
        default=[],
        metavar="DATASET=FACTOR",
        help="draw the pieces of a data set so many times as often as their length says; "
        "may be repeated",
    )
    group.add_argument(
        "--rehearsal",
        type=float,
        metavar="SHARE",
        help="share of crops drawn from the starter set beside the data, so that it is not "
        f"forgotten (default: {TUNED['rehearsal']} with --init, else 0)",
    )


def _add_run(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--run",
        type=Path,
        help=f"folder of this run (default: {FRESH['run']}; {TUNED['run']} with --init)",
    )
    group.add_argument("--minutes", type=float, help="time budget of this invocation")
    group.add_argument(
        "--steps",
        type=int,
        help=f"steps in all (default: {DEFAULT_STEPS} without --minutes; {TUNING_STEPS} with "
        "--init)",
    )
    group.add_argument(
        "--init", type=Path, help="model folder, run or checkpoint whose weights to start from"
    )
    group.add_argument("--save-every-s", type=float, default=60.0, help="seconds between saves")
    group.add_argument(
        "--validate-every",
        type=int,
        help=f"in steps (default: {FRESH['validate_every']}; {TUNED['validate_every']} with "
        "--init)",
    )
    group.add_argument("--seed", type=int, default=0)
    group.add_argument("--device", choices=("auto", "cpu"), default="auto")
    group.add_argument("--precision", choices=CHOICES, default=AUTO, help=CHOICES_HELP)


def _add_model(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--preset", choices=sorted(PRESETS), help="size of a new model (default: small)"
    )
    group.add_argument(
        "--context",
        type=int,
        nargs="+",
        help="context of the crops; several are taken in turn (default: the model's; "
        f"{TUNED['context'][0]} with --init)",
    )
    group.add_argument(
        "--segmentation",
        choices=SEGMENTATIONS,
        default=SEGMENTATIONS[0],
        help="how a crop is chosen (default: effective; the others are there to be compared)",
    )
    group.add_argument(
        "--curriculum-steps",
        type=int,
        help="steps in which the context of a curriculum grows to its whole (default: half of "
        "--steps)",
    )
    group.add_argument(
        "--tell-keys",
        action="store_true",
        help="tell the model of --init which keys are down, if it was not told so far (new models "
        "are)",
    )
    group.add_argument(
        "--carry",
        type=int,
        metavar="LATENTS",
        help="latents before a crop that are computed without gradient, for the "
        "self-attentions of a new model to look back on (default: none)",
    )
    group.add_argument("--batch", type=int, default=4, help="crops per step, over all devices")
    group.add_argument("--micro-batch", type=int, default=4, help="crops at once on a device")
    group.add_argument(
        "--draw-processes",
        type=int,
        default=0,
        metavar="N",
        help="processes that draw the crops of the next steps, for a GPU that waits for them "
        "(default: 0, a thread)",
    )
    group.add_argument(
        "--fuse",
        action="store_true",
        help="compile what lies between the matrix products (torch.compile): on a GPU, a sixth "
        "faster once it is compiled",
    )


def _add_recipe(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--rate",
        type=float,
        help=f"factor on the learning rates (default: {FRESH['rate']:g}; {TUNED['rate']:g} with "
        "--init)",
    )
    group.add_argument(
        "--optimizer", choices=OPTIMIZERS, default=OPTIMIZERS[0], help="of the matrices inside"
    )
    group.add_argument(
        "--weight-decay", type=float, help="of the matrices inside (default: the optimiser's own)"
    )
    group.add_argument(
        "--decay-share",
        type=float,
        help=f"share of the budget in which the rate falls (default: {FRESH['decay_share']}; "
        f"{TUNED['decay_share']} with --init)",
    )
    group.add_argument(
        "--average",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="validate and play a moving average of the weights that keeps this share of itself "
        "at each step, 0.99 for one (default: 0, the weights themselves)",
    )
    group.add_argument("--dropout", type=float, default=0.1)
    group.add_argument(
        "--prefix-dropout",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the tokens before the latents that is hidden at each step (default: 0)",
    )
    group.add_argument(
        "--tag-dropout",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="share of openings whose kind of source is withheld from the model (default: 0.1)",
    )


def _add_augmentation(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--transpose",
        type=int,
        nargs=2,
        default=[-5, 6],
        metavar=("LOWEST", "HIGHEST"),
        help="semitones, both included (default: -5 6, every key signature once)",
    )
    group.add_argument(
        "--stretch",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="play crops up to this share faster or slower: 0.05 for 5%% (default: 0)",
    )
    group.add_argument(
        "--velocity-shift",
        type=int,
        default=0,
        metavar="BINS",
        help="play crops up to so many velocity bins louder or softer (default: 0)",
    )


def _dataset_weight(text: str) -> tuple[str, float]:
    """Read DATASET=FACTOR."""
    dataset, separator, factor = text.rpartition("=")
    try:
        if not separator:
            raise ValueError
        return dataset, float(factor)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not DATASET=FACTOR, as in supra_rolls=0.25"
        ) from None
