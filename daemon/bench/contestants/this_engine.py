"""The contestant that is this engine.

    python daemon/bench/contestants/this_engine.py MODEL_FOLDER --precision int8

It is started by `daemon/bench/contest.py`, which asks it by lines of JSON.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[3])

from daemon.bench.contestants.protocol import StreamContestant, answer
from daemon.engine import Engine
from perceivers.errors import PerformerError


class EngineStream:
    """An engine as the stream of a contestant."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def fill(self, tokens: Sequence[int]) -> None:
        """Forget everything, then read the first tokens of a stream."""
        self._engine.reset()
        if tokens:
            self._engine.feed(tokens)

    def step(self, token: int) -> Iterable[float]:
        """Read the next token; return the logits of the one after it."""
        return self._engine.feed([token])


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="model folder")
    parser.add_argument("--precision", default="int8", help="graph to run")
    options = parser.parse_args(arguments)
    try:
        engine = Engine.open(options.folder, precision=options.precision, provider="cpu")
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    about = {"library": f"this engine, {engine.precision} on {engine.provider}"}
    size = engine.manifest.architecture.vocabulary_size
    answer(StreamContestant(EngineStream(engine), size, about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
