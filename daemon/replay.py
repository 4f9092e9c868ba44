"""Read a file of tokens through the engine and write the logits after every one.

    python daemon/replay.py MODEL_FOLDER TOKENS.npy LOGITS.npz --precision fp32 int8 --chunk 1 8

This is how an exported model is checked: by the engine that plays it, in a process of its own.
LOGITS.npz holds an array (T, V) for each precision and chunk, under names like "fp32/8".
"""

import argparse
import sys
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from numpy.typing import NDArray

from daemon.engine import Engine
from perceivers.errors import PerformerError


def replay(
    engine: Engine, tokens: NDArray[np.int64], chunk: int, fed_first: int = 0
) -> NDArray[np.float32]:
    """Return the logits (T, V) after each token, read `chunk` at a time from a fresh start.

    The `fed_first` oldest tokens are fed at once, and have no logits in what is returned.
    """
    engine.reset()
    if fed_first:
        engine.feed(tokens[:fed_first].tolist())
    chunk = min(chunk, engine.most_at_once)
    starts = range(fed_first, len(tokens), chunk)
    return np.concatenate([engine.read(tokens[start : start + chunk]).copy() for start in starts])


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="model folder")
    parser.add_argument("tokens", type=Path, help=".npy file of token numbers")
    parser.add_argument("logits", type=Path, help=".npz file to write")
    parser.add_argument("--precision", nargs="+", default=["auto"], help="graphs to run")
    parser.add_argument("--chunk", nargs="+", type=int, default=[1], help="tokens per run")
    parser.add_argument("--fed-first", type=int, default=0, help="oldest tokens to feed at once")
    options = parser.parse_args(arguments)
    try:
        tokens = np.load(options.tokens, allow_pickle=False).astype(np.int64)
        logits: dict[str, Any] = {}
        for precision in options.precision:
            engine = Engine.open(options.folder, precision=precision, rewind_tokens=0)
            for chunk in options.chunk:
                logits[f"{precision}/{chunk}"] = replay(engine, tokens, chunk, options.fed_first)
        np.savez(options.logits, **logits)
    except (PerformerError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
