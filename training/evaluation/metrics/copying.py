"""Copying: the longest run of notes shared with any training piece, at any pitch.

    python training/evaluation/metrics/copying.py CONTINUATIONS --tokens TOKENS

Compared are pitches in playing order, as intervals, so that a transposed copy counts; time and
touch do not. The notes of a chord stand from low to high. Trills, scales and repeated chords are
shared without being copied: what pianists share with the same training pieces says how much.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[3])

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from perceivers import vocabulary as v
from perceivers.errors import PerformerError
from training.data.token_store import Tokens, TokenStore, write_atomically
from training.evaluation.continuations.folder import load_continuations
from training.evaluation.metrics.corpus_index import CorpusIndex, Shared
from training.evaluation.metrics.notes import Notes, TooFewNotes, notes_of
from training.evaluation.metrics.playing_order import in_playing_order, onset_steps
from training.evaluation.metrics.repetition import NGRAMS, paired_difference

Ints = npt.NDArray[np.int64]

FORMAT = "1"
CACHE = "copying-index.npz"
SIDES = ("model", "human")


def index_of_store(
    folder: Path, cache: Path | None = None, datasets: Collection[str] = ()
) -> CorpusIndex:
    """Index the training split of token files; `cache` is a file that keeps the index."""
    store = TokenStore(folder, "train", datasets)
    described = json.dumps([FORMAT, v.fingerprint(), [asdict(piece) for piece in store.pieces]])
    key = hashlib.sha256(described.encode()).hexdigest()
    found = CorpusIndex.load(cache, key) if cache else None
    if found is None:
        found = CorpusIndex.build(
            (piece.path, pitches_of_tokens(store.tokens(number)))
            for number, piece in enumerate(store.pieces)
        )
        if cache:
            try:
                found.save(cache, key)
            except OSError as error:
                raise PerformerError(
                    f"{cache}: cannot be written ({error.strerror}); keep the index elsewhere with "
                    "--cache FILE"
                ) from error
    return found


def pitches_of_tokens(tokens: Tokens) -> Ints:
    """Return the pitches of a piece in playing order, from its tokens."""
    numbers = tokens.astype(np.int64)
    steps = np.cumsum(v.steps_passed(numbers))
    is_note = v.is_kind(numbers, v.Kind.NOTE_ON)
    return in_playing_order(steps[is_note], numbers[is_note] - v.NOTE_ON)


def pitches_of_notes(notes: Notes) -> Ints:
    """Return the pitches of a performance in playing order."""
    return in_playing_order(onset_steps(notes.onset_s), notes.pitch)


def copying_report(folder: Path, index: CorpusIndex, quiet: bool = False) -> dict[str, Any]:
    """Return the longest shared run of each continuation of a folder, model's and pianist's.

    Beside them stand, as of `paired_difference`, the lengths of these runs and the shares of the
    n-grams that the corpus has.
    """
    found = load_continuations(folder)
    items: list[dict[str, Any]] = []
    paired: dict[str, list[tuple[float, float]]] = {}
    for each in tqdm(found, desc="comparing", unit="pair", disable=quiet):
        model, human = (_shared_by(index, notes_of(side)) for side in (each.model, each.human))
        sides = {"model": asdict(model.longest), "human": asdict(human.longest)}
        items.append({"number": each.item.number, "source": each.item.source} | sides)
        paired.setdefault("longest_run", []).append((model.longest.notes, human.longest.notes))
        for length in model.shares.keys() & human.shares.keys():
            pair = (model.shares[length], human.shares[length])
            paired.setdefault(f"shared_{length}", []).append(pair)
    groups = [each.item.group for each in found]
    runs = {side: [item[side]["notes"] for item in items] for side in SIDES}
    return (
        {
            side: {"median": float(np.median(runs[side])), "longest": max(runs[side])}
            for side in SIDES
        }
        | {name: _compared(pairs, groups) for name, pairs in sorted(paired.items())}
        | {"items": items}
    )


def _compared(pairs: Sequence[tuple[float, float]], groups: Sequence[str]) -> dict[str, float]:
    return paired_difference([pair[0] for pair in pairs], [pair[1] for pair in pairs], groups)


@dataclass(frozen=True, slots=True)
class _SharedBy:
    """What a performance shares with the corpus."""

    longest: Shared
    shares: dict[int, float]  # of its n-grams, by their length


def _shared_by(index: CorpusIndex, notes: Notes) -> _SharedBy:
    pitches = pitches_of_notes(notes)
    lengths = index.shared_lengths(pitches)
    shares = {n: shared_share(lengths, n) for n in NGRAMS if n <= len(pitches)}
    return _SharedBy(index.longest_shared(pitches, lengths), shares)


def shared_share(lengths: Ints, notes: int) -> float:
    """Return the share of n-grams of notes that the corpus has, from what `shared_lengths` gives.

    Raises TooFewNotes when there is no such n-gram.
    """
    asked = lengths[: max(0, len(lengths) - notes + 2)]
    if not len(asked):
        raise TooFewNotes(f"{len(lengths) + 1} notes hold no n-gram of {notes}")
    return float((asked >= notes - 1).mean())


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("continuations", type=Path, help="folder of continuations")
    parser.add_argument("--tokens", type=Path, required=True, help="folder of token files")
    parser.add_argument("--datasets", nargs="+", default=[], help="trained on these alone")
    parser.add_argument("--cache", type=Path, help=f"index file (default: {CACHE} beside tokens)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    try:
        cache = options.cache or options.tokens / CACHE
        index = index_of_store(options.tokens, cache, options.datasets)
        report = copying_report(options.continuations, index)
        if options.json:
            write_atomically(options.json, json.dumps(report, indent=1).encode())
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    for side in SIDES:
        sys.stdout.write(
            f"{side}: longest shared run: median {report[side]['median']:g} notes, longest "
            f"{report[side]['longest']}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
