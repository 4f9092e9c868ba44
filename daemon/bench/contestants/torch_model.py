"""The contestant that runs the trained model in torch.

    python daemon/bench/contestants/torch_model.py CHECKPOINT [--compiled] [--turned]

It is started by `daemon/bench/contest.py`, which asks it by lines of JSON.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[3])

import torch
from torch import Tensor

from daemon.bench.contestants.in_place import InPlaceModel, StepModel
from daemon.bench.contestants.protocol import StreamContestant, answer
from perceivers.checkpoint import load_checkpoint
from perceivers.errors import PerformerError


def compiled(step: StepModel) -> Callable[..., Tensor]:
    """Compile a step with its weights as constants, which was measured to be the fastest way."""
    torch._inductor.config.freezing = True  # noqa: SLF001 - where torch keeps this setting
    run: Callable[..., Tensor] = torch.compile(step)
    return run


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("checkpoint", type=Path, help="checkpoint with the weights")
    parser.add_argument("--compiled", action="store_true", help="by torch.compile, not eager")
    parser.add_argument(
        "--turned", action="store_true", help="matrices and caches as torch's BLAS reads them best"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        model = load_checkpoint(options.checkpoint).build_model()
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    how = compiled if options.compiled else None
    stream = InPlaceModel(model, is_turned=options.turned, compiled=how)
    about = {"library": f"torch {torch.__version__}"}
    answer(StreamContestant(stream, model.architecture.vocabulary_size, about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
