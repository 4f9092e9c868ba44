"""Read tokens through the engine: write the logits after every one, or what the next one cost.

    python daemon/engine/replay.py MODEL TOKENS.npy LOGITS.npz --precision fp32 int8 --chunk 1 8
    python daemon/engine/replay.py MODEL PIECES.npz NATS.npz --nats --precision fp32 --chunk 64

This is how an exported model is checked, and how it is scored: by the engine that plays it, in a
process of its own. LOGITS.npz holds an array (T, V) for each precision and chunk, under names like
"fp32/8".

With --nats, PIECES.npz holds for each piece two arrays: "tokens/0" (T,), and "spans/0" (S, 2), the
ranges [start, stop) of its tokens that are scored, in order. NATS.npz then holds under "0" two
rows: the cost in nats of these tokens, one after another, each given all tokens before it, and the
part of that cost which went to tokens that the grammar forbids there. What lies between the spans
is read by table where that is shorter. Standard output counts the tokens passed.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
from numpy.typing import NDArray

from daemon.engine import Engine
from perceivers.errors import PerformerError
from perceivers.grammar import GrammarWalk
from perceivers.likelihood import token_nats

Tokens = NDArray[np.int64]
Floats = NDArray[np.float64]


def replay(engine: Engine, tokens: Tokens, chunk: int, fed_first: int = 0) -> NDArray[np.float32]:
    """Return the logits (T, V) after each token, read `chunk` at a time from a fresh start.

    The `fed_first` oldest tokens are fed at once, and have no logits in what is returned.
    """
    engine.reset()
    if fed_first:
        engine.feed(tokens[:fed_first].tolist())
    chunk = min(chunk, engine.most_at_once)
    starts = range(fed_first, len(tokens), chunk)
    return np.concatenate([engine.read(tokens[start : start + chunk]).copy() for start in starts])


def nats_of(engine: Engine, tokens: Tokens, spans: Tokens, chunk: int) -> Iterator[Floats]:
    """Yield costs and wasted parts (2, T) of the tokens in `spans`, from a fresh start."""
    engine.reset()
    walk = GrammarWalk(tokens.tolist())
    chunk = min(chunk, engine.most_at_once)
    for start, stop in spans.tolist():
        if engine.position < start - 1:
            engine.feed(tokens[engine.position : start - 1].tolist())
        for first in range(start, stop, chunk):
            last = min(first + chunk, stop)
            logits = engine.read(tokens[first - 1 : last - 1])
            yield token_nats(logits, tokens[first:last], walk.allowed(first, last))


def write_logits(options: argparse.Namespace) -> None:
    """Replay one sequence of tokens in every precision and chunk asked for."""
    tokens = np.load(options.tokens, allow_pickle=False).astype(np.int64)
    logits: dict[str, Any] = {}
    for precision in options.precision:
        engine = Engine.open(options.folder, precision=precision, rewind_tokens=0)
        for chunk in options.chunk:
            logits[f"{precision}/{chunk}"] = replay(engine, tokens, chunk, options.fed_first)
    np.savez(options.out, **logits)


def write_nats(options: argparse.Namespace) -> None:
    """Score pieces in the first precision and chunk, counting the tokens passed."""
    engine = Engine.open(options.folder, precision=options.precision[0], rewind_tokens=0)
    costs: dict[str, Any] = {}
    passed = 0
    with np.load(options.tokens, allow_pickle=False) as pieces:
        for name in (key.partition("/")[2] for key in pieces.files if key.startswith("tokens/")):
            tokens = pieces[f"tokens/{name}"].astype(np.int64)
            parts = []
            for part in nats_of(engine, tokens, pieces[f"spans/{name}"], options.chunk[0]):
                parts.append(part)
                tell(passed + engine.position)
            costs[name] = np.concatenate(parts, axis=1) if parts else np.zeros((2, 0))
            passed += len(tokens)
            tell(passed)
    np.savez(options.out, **costs)


def tell(count: int) -> None:
    """Say at once how many tokens were passed, to whoever shows the progress."""
    sys.stdout.write(f"{count}\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="model folder")
    parser.add_argument("tokens", type=Path, help=".npy file of token numbers, or .npz of pieces")
    parser.add_argument("out", type=Path, help=".npz file to write")
    parser.add_argument("--nats", action="store_true", help="write costs of tokens, not logits")
    parser.add_argument("--precision", nargs="+", default=["auto"], help="graphs to run")
    parser.add_argument("--chunk", nargs="+", type=int, default=[1], help="tokens per run")
    parser.add_argument("--fed-first", type=int, default=0, help="oldest tokens to feed at once")
    options = parser.parse_args(arguments)
    try:
        (write_nats if options.nats else write_logits)(options)
    except (PerformerError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
