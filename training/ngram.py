"""The n-gram baseline: what a model that counts gives, the least that a learned one must beat.

    python training/ngram.py --tokens TOKENS

Interpolated Witten-Bell smoothing: the estimate of each order is mixed with that of the order
below, the more so the more different tokens followed the context. The order is chosen on
validation; test is told for that order alone.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from perceivers.errors import PerformerError
from perceivers.vocabulary import VOCABULARY_SIZE, Flavour
from training.data.token_store import TokenStore

BITS_PER_TOKEN = (VOCABULARY_SIZE - 1).bit_length()
HIGHEST_ORDER = 63 // BITS_PER_TOKEN  # an n-gram is packed into one int64

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each n-gram and each of its contexts occurred; the n-grams are sorted."""

    grams: Ids
    gram_counts: Ids
    contexts: Ids
    context_counts: Ids
    context_followers: Ids
    """How many different tokens followed each context."""


def packed(tokens: Ids, order: int) -> Ids:
    """Return the n-grams of one piece as integers: entry i ends at token i + order - 1."""
    count = max(0, len(tokens) - order + 1)
    codes = np.zeros(count, dtype=np.int64)
    for offset in range(order):
        codes = (codes << BITS_PER_TOKEN) | tokens[offset : offset + count]
    return codes


def count(pieces: Sequence[Ids], order: int) -> Counts:
    """Count the n-grams of an order, none across the border of two pieces."""
    codes = np.concatenate([packed(piece, order) for piece in pieces])
    grams, gram_counts = np.unique(codes, return_counts=True)
    contexts, first = np.unique(grams >> BITS_PER_TOKEN, return_index=True)
    followers = np.diff(np.append(first, len(grams)))
    totals = np.add.reduceat(gram_counts, first)
    return Counts(grams, gram_counts, contexts, totals, followers)


def interpolated(lower: Floats, tokens: Ids, order: int, counts: Counts) -> Floats:
    """Mix the estimate of one order into that of the order below.

    lower: (T,) the probability that the order below gives to each token of a piece. A token
    without `order - 1` tokens before it, or after an unknown context, keeps it.
    """
    codes = packed(tokens, order)
    seen = _looked_up(codes, counts.grams, counts.gram_counts)
    context = codes >> BITS_PER_TOKEN
    total = _looked_up(context, counts.contexts, counts.context_counts)
    followers = _looked_up(context, counts.contexts, counts.context_followers)
    below = lower[order - 1 :]
    mixed = (seen + followers * below) / np.maximum(total + followers, 1)
    return np.concatenate((lower[: order - 1], np.where(total > 0, mixed, below)))


def _looked_up(keys: Ids, table: Ids, values: Ids) -> Ids:
    """Return the value of each key, 0 for an unknown one."""
    where = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return np.where(table[where] == keys, values[where], 0)


def nll_by_order(train: Sequence[Ids], pieces: Sequence[Ids], highest: int) -> Iterator[float]:
    """Yield the mean nats per token of orders 1, 2, … `highest` on pieces.

    The first token of a piece (BOS) is given, not predicted.
    """
    estimates = [np.full(len(piece), 1.0 / VOCABULARY_SIZE) for piece in pieces]
    for order in range(1, highest + 1):
        counts = count(train, order)
        estimates = [
            interpolated(lower, piece, order, counts)
            for lower, piece in zip(estimates, pieces, strict=True)
        ]
        yield -float(np.mean(np.log(np.concatenate([found[1:] for found in estimates]))))


def read_pieces(folder: Path, split: str, datasets: Sequence[str]) -> list[Ids]:
    """Return the tokens of every piece. Raises PerformerError when there is none."""
    store = TokenStore(folder, split, datasets, tuple(Flavour))
    if not len(store):
        raise PerformerError(f"{folder}: no piece in split '{split}' of {list(datasets) or 'all'}")
    return [store.tokens(index).astype(np.int64) for index in range(len(store))]


def report(folder: Path, datasets: Sequence[str], highest: int) -> None:
    """Print nats per token by order, and test for the order that is best on validation."""
    train = read_pieces(folder, "train", ())
    validation = read_pieces(folder, "validation", datasets)
    bar = tqdm(nll_by_order(train, validation, highest), total=highest, desc="counting")
    by_order = list(enumerate(bar, start=1))
    for order, nll in by_order:
        print(f"order {order}: validation {nll:.3f} nats/token")
    best, nll = min(by_order, key=lambda found: found[1])
    *_, test = nll_by_order(train, read_pieces(folder, "test", datasets), best)
    print(f"best: order {best}, validation {nll:.3f}, test {test:.3f} nats/token")
    print(f"      ({nll / math.log(2):.2f} and {test / math.log(2):.2f} bits/token)")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=Path, required=True, help="folder of prepare_data.py")
    parser.add_argument("--datasets", default="", help="evaluate on these only: asap,maestro_extra")
    parser.add_argument(
        "--highest", type=int, default=5, choices=range(1, HIGHEST_ORDER + 1), help="order to try"
    )
    options = parser.parse_args(arguments)
    try:
        report(options.tokens, [d for d in options.datasets.split(",") if d], options.highest)
    except PerformerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
