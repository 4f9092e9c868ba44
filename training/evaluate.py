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
import sys
import tempfile
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import torch

from perceivers import vocabulary as v
from perceivers.atomic import atomic_path
from perceivers.checkpoint import load_checkpoint
from perceivers.errors import PerformerError
from training.evaluation.figures import Figure, Ids, summary
from training.evaluation.likelihood import score
from training.midi_folder import SPLITS
from training.prepare_data import prepare
from training.run_state import BEST
from training.token_store import TokenStore


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
        print(f"{name.replace('_', ' '):>16}: {told(figures[name])}")
    for name, found in figures["nats_per_token_by_context"].items():
        of = f"{found['tokens']:,} tokens with that context"
        print(f"{name:>16}: {told(found)}  nats per token of {of}")
    for name, found in figures["nats_per_token_by_kind"].items():
        share = f"{found['share_of_tokens']:.1%} of tokens, {found['share_of_nats']:.1%} of nats"
        print(f"{name.replace('_', ' '):>16}: {told(found)}  nats per token; {share}")


def told(figure: Figure) -> str:
    """Return a figure with its interval, as far as there is one."""
    if figure["value"] is None:
        return "—"
    interval = "" if figure["low"] is None else f"  ({figure['low']:.3f} … {figure['high']:.3f})"
    return f"{figure['value']:.3f}{interval}"


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
