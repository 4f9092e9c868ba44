"""Train a PerceiverS model on a folder of MIDI files.

    python training/train.py                               the starter set, small model
    python training/train.py --midi my-recordings/         other music
    python training/train.py --minutes 30                  as good as it gets in half an hour
    python training/train.py --init models/medium --midi my-recordings/
                                                           the shipped model, tuned to other music

A run lives in a folder (--run): started again, it goes on where it stopped, also after a kill.
With --minutes it may be run again and again: each time it goes on from the state before the last
decay of the learning rate. On several devices or machines: `accelerate launch training/train.py`
or `torchrun --nproc-per-node 2 -- training/train.py`.
"""

import os
import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from perceivers.errors import PerformerError
from training.run.allocator import restart_with_settings
from training.run.command_line import parse
from training.run.trainer import Trainer


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    options = parse(arguments, __doc__)
    try:
        options.check(processes=int(os.environ.get("WORLD_SIZE", "1")))
        Trainer(options).train()
    except PerformerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}; the last saved checkpoint stays", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped at once; the last saved checkpoint stays", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    restart_with_settings()
    sys.exit(main())
