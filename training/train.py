"""Train a PerceiverS model on a folder of MIDI files.

    python training/train.py                               the starter set, small model
    python training/train.py --midi my-recordings/         other music
    python training/train.py --minutes 30                  as good as it gets in half an hour

A run lives in a folder (--run): started again, it goes on where it stopped, also after a kill.
With --minutes it may be run again and again: each time it goes on from the state before the last
decay of the learning rate. On several devices or machines: `accelerate launch training/train.py`
or `torchrun --nproc-per-node 2 -- training/train.py`.
"""

import argparse
import os
import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from perceivers.errors import PerformerError
from training.options import TrainingOptions
from training.presets import PRESETS
from training.trainer import Trainer

STARTER_SET = Path(__file__).resolve().parent / "starter"
DEFAULT_STEPS = 2000


def parse(arguments: list[str] | None = None) -> TrainingOptions:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = parser.add_argument_group("data")
    data.add_argument("--midi", type=Path, default=STARTER_SET, help="folder of MIDI files")
    data.add_argument("--tokens", type=Path, help="folder made by prepare_data.py, instead")
    run = parser.add_argument_group("run")
    run.add_argument("--run", type=Path, default=Path("runs/default"), help="folder of this run")
    run.add_argument("--minutes", type=float, help="time budget of this invocation")
    run.add_argument(
        "--steps", type=int, help=f"steps in all (default: {DEFAULT_STEPS} without --minutes)"
    )
    run.add_argument("--init", type=Path, help="checkpoint to start from (best.pt of another run)")
    run.add_argument("--save-every-s", type=float, default=60.0, help="seconds between saves")
    run.add_argument("--validate-every", type=int, default=100, help="in steps")
    model = parser.add_argument_group("model and recipe")
    model.add_argument(
        "--preset", choices=sorted(PRESETS), help="size of a new model (default: small)"
    )
    model.add_argument(
        "--context",
        type=int,
        nargs="+",
        help="context of the crops; several are taken in turn (default: the model's)",
    )
    model.add_argument("--batch", type=int, default=4, help="crops per step, over all devices")
    model.add_argument("--micro-batch", type=int, default=4, help="crops at once on a device")
    model.add_argument("--rate", type=float, default=1.0, help="factor on the learning rates")
    model.add_argument("--dropout", type=float, default=0.1)
    model.add_argument("--decay-share", type=float, default=0.35, help="of the budget")
    model.add_argument("--seed", type=int, default=0)
    model.add_argument("--device", choices=("auto", "cpu"), default="auto")
    model.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    options = parser.parse_args(arguments)
    if options.steps is None and options.minutes is None:
        options.steps = DEFAULT_STEPS
    return TrainingOptions(**vars(options))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    options = parse(arguments)
    try:
        options.check(processes=int(os.environ.get("WORLD_SIZE", "1")))
        Trainer(options).train()
    except PerformerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped at once; the last saved checkpoint stays", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
