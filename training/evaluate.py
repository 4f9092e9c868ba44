"""Negative log-likelihood of a model on held-out music, by the block protocol.

    python training/evaluate.py --model runs/default --tokens TOKENS --split test --json nll.json

Every token but the first of a piece is scored exactly once, in blocks of N/2 tokens, each with the
whole context of the model before it and at least N/2 latents of history (N latents in a forward
pass; at the beginning of a piece all there is). Nats per token compare models of one vocabulary;
bits per note and bits per second also compare vocabularies. Intervals are 95 % bootstrap intervals
over pieces.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from perceivers import vocabulary as v
from perceivers.atomic import atomic_path
from perceivers.checkpoint import load_checkpoint
from perceivers.errors import PerformerError
from perceivers.model import PerceiverS
from training.batches import IGNORED, Ids, collate, sample_of
from training.midi_folder import SPLITS
from training.prepare_data import prepare
from training.run_state import BEST
from training.segmentation import crop_ending_at
from training.token_store import TokenStore

Floats = npt.NDArray[np.float64]
BUCKETS = ((0, 512), (512, 1024), (1024, 4096), (4096, 16_384), (16_384, None))
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Scores:
    """What the tokens of one piece cost: entry t is the token at position t + 1."""

    nats: Floats  # NaN where a token was not scored
    notes: int  # among the scored tokens
    seconds: float


def block_ends(length: int, latents: int) -> list[int]:
    """Return where the latents of each block end; the last latent of a piece predicts its end.

    The first block may score all of its latents, every further one its last half.
    """
    last = length - 1
    if last <= latents:
        return [last]
    return [*range(latents, last, latents // 2), last]


@dataclass(frozen=True, slots=True)
class BlockSampling:
    """Which blocks of a piece are scored: every k-th, beginning somewhere else in each piece."""

    every: int = 1
    offset: int = 0

    def takes(self, block: int) -> bool:
        """Tell whether a block is scored."""
        return (block + self.offset) % self.every == 0


@torch.no_grad()
def piece_scores(
    model: PerceiverS, tokens: Ids, device: torch.device, sampling: BlockSampling
) -> Iterator[Floats]:
    """Yield the nats of the tokens of a piece in order; NaN in a block that is left out."""
    latents, context = model.architecture.latents, model.architecture.context
    scored = 0
    for number, end in enumerate(block_ends(len(tokens), latents)):
        if not sampling.takes(number):
            yield np.full(end - scored, np.nan)
            scored = end
            continue
        batch = collate([sample_of(tokens, crop_ending_at(end, context, latents))], latents)
        logits = model(*(part.to(device) for part in (batch.latents, batch.prefix)))
        nats = cross_entropy(
            logits[0].float(), batch.targets[0].to(device), ignore_index=IGNORED, reduction="none"
        )
        known = int((batch.targets != IGNORED).sum())
        yield nats[known - (end - scored) : known].double().cpu().numpy()
        scored = end


def chosen_pieces(store: TokenStore, limit: int | None) -> list[Ids]:
    """Return the pieces to score: all, or in a fixed shuffled order until `limit` tokens."""
    if limit is None:
        return [store.tokens(i).astype(np.int64) for i in range(len(store))]
    pieces: list[Ids] = []
    for index in np.random.default_rng(0).permutation(len(store)):
        if limit < 2:
            break
        pieces.append(store.tokens(int(index))[:limit].astype(np.int64))
        limit -= len(pieces[-1])
    return pieces


def score(
    model: PerceiverS, pieces: Sequence[Ids], device: torch.device, every: int = 1
) -> list[Scores]:
    """Score every k-th block of each piece, with a progress bar.

    Pieces of which no block is chosen are left out.
    """
    total = sum(len(piece) - 1 for piece in pieces)
    scores = []
    with tqdm(total=total, unit="token", desc="scoring", unit_scale=True, mininterval=1) as bar:
        for number, piece in enumerate(pieces):
            blocks = []
            for block in piece_scores(model, piece, device, BlockSampling(every, number % every)):
                blocks.append(block)
                bar.update(len(block))
            nats = np.concatenate(blocks)
            scored = piece[1:][~np.isnan(nats)]
            if len(scored):
                scores.append(Scores(nats, notes_in(scored), seconds_in(scored)))
    return scores


def notes_in(tokens: Ids) -> int:
    """Count the notes."""
    return int(((tokens >= v.NOTE_ON) & (tokens < v.NOTE_ON + v.PITCHES)).sum())


def seconds_in(tokens: Ids) -> float:
    """Sum the time-shifts."""
    shifts = tokens[(tokens >= v.TIME_SHIFT) & (tokens < v.TIME_SHIFT + v.MAX_SHIFT_STEPS)]
    return float((shifts - v.TIME_SHIFT + 1).sum()) / v.STEPS_PER_SECOND


def summary(scores: Sequence[Scores]) -> dict[str, Any]:
    """Return the figures as JSON values."""
    nats = np.array([np.nansum(found.nats) for found in scores])
    tokens = np.array([np.count_nonzero(~np.isnan(found.nats)) for found in scores])
    notes = np.array([found.notes for found in scores])
    seconds = np.array([found.seconds for found in scores])
    return {
        "pieces": len(scores),
        "tokens": int(tokens.sum()),
        "notes": int(notes.sum()),
        "seconds": float(seconds.sum()),
        "nats_per_token": _ratio(nats, tokens),
        "bits_per_note": _ratio(nats / math.log(2), notes),
        "bits_per_second": _ratio(nats / math.log(2), seconds),
        "nats_per_token_by_context": by_context(scores),
    }


def _ratio(over: Floats, under: npt.NDArray[Any]) -> dict[str, float]:
    """Return the ratio of the sums with its bootstrap interval over pieces."""
    draws = np.random.default_rng(0).integers(len(over), size=(RESAMPLES, len(over)))
    resampled = over[draws].sum(axis=1) / np.maximum(under[draws].sum(axis=1), 1e-9)
    low, high = np.quantile(resampled, [0.025, 0.975])
    value = over.sum() / max(under.sum(), 1e-9)
    return {"value": float(value), "low": float(low), "high": float(high)}


def by_context(scores: Iterable[Scores]) -> dict[str, dict[str, float | int | None]]:
    """Return nats per token by how many tokens of its piece lie before the predicted one."""
    all_nats = [found.nats for found in scores]
    result: dict[str, dict[str, float | int | None]] = {}
    for low, high in BUCKETS:
        # entry t has t + 1 tokens before it
        parts = [nats[max(low - 1, 0) : None if high is None else high - 1] for nats in all_nats]
        together = np.concatenate(parts)
        bucket = together[~np.isnan(together)]
        name = f"{low}+" if high is None else f"{low}-{high}"
        mean = float(bucket.mean()) if len(bucket) else None
        result[name] = {"nats_per_token": mean, "tokens": len(bucket)}
    return result


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Load what the options name, score it and return the figures."""
    path: Path = options.model / BEST if options.model.is_dir() else options.model
    checkpoint = load_checkpoint(path)
    device = torch.device(options.device)
    model = checkpoint.build_model().to(device).eval()
    datasets = [name for name in options.datasets.split(",") if name]
    with tempfile.TemporaryDirectory() as scratch:
        tokens: Path | None = options.tokens
        if tokens is None:
            tokens = Path(scratch)
            prepare(options.midi, tokens)
        store = TokenStore(tokens, options.split, datasets)
        if not len(store):
            chosen = f" of data sets {', '.join(datasets)}" if datasets else ""
            raise PerformerError(f"no piece in split '{options.split}'{chosen}")
        pieces = chosen_pieces(store, options.limit_tokens)
    with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16"):
        figures = summary(score(model, pieces, device, options.every))
    asked = {
        "model": str(path),
        "steps_trained": checkpoint.progress.get("step"),
        "split": options.split,
        "datasets": datasets or "all",
        "limit_tokens": options.limit_tokens,
        "every_block": options.every,
        "precision": options.precision,
        "vocabulary": v.fingerprint(),
    }
    return asked | figures


def print_figures(figures: dict[str, Any]) -> None:
    """Tell the figures in words."""
    print(f"{figures['pieces']} pieces, {figures['tokens']:,} tokens, {figures['notes']:,} notes")
    for name in ("nats_per_token", "bits_per_note", "bits_per_second"):
        found = figures[name]
        words = name.replace("_", " ")
        print(f"{words:>16}: {found['value']:.3f}  ({found['low']:.3f} … {found['high']:.3f})")
    for name, found in figures["nats_per_token_by_context"].items():
        mean = found["nats_per_token"]
        shown = "—" if mean is None else f"{mean:.3f}"
        print(
            f"{name:>16}: {shown}  nats per token of {found['tokens']:,} tokens with that context"
        )


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="checkpoint, or folder of a run")
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--tokens", type=Path, help="folder made by prepare_data.py")
    data.add_argument("--midi", type=Path, help="folder of MIDI files")
    parser.add_argument("--split", choices=SPLITS, default="validation")
    parser.add_argument("--datasets", default="", help="only these: asap,maestro_extra")
    parser.add_argument("--limit-tokens", type=int, help="score about so many tokens, not all")
    parser.add_argument(
        "--every", type=int, default=1, help="score every k-th block of each piece only"
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    options = parser.parse_args(arguments)
    if options.limit_tokens is not None and options.limit_tokens < 2:
        parser.error(f"--limit-tokens {options.limit_tokens} must be at least 2")
    if options.every < 1:
        parser.error(f"--every {options.every} must be at least 1")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    options = parse(arguments)
    try:
        figures = evaluate(options)
    except PerformerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print_figures(figures)
    if options.json is not None:
        with atomic_path(options.json) as partial:
            partial.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
