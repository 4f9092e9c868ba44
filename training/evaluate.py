"""Negative log-likelihood of a model on music that it was not trained on.

    python training/evaluate.py --model models/medium --midi FOLDER --json nll.json
    python training/evaluate.py --model runs/default --tokens TOKENS --split test --json nll.json
    python training/evaluate.py --model models/medium --midi FOLDER --split test --report REPORT

A model folder is scored by the engine that plays it: one stream per piece, every token given all
that the model can see before it. A checkpoint or the folder of a run is scored in torch by the
block protocol: in blocks of N/2 tokens, each with the whole context of the model before it and at
least N/2 latents of history. Every token but the first of a piece is scored exactly once. Without
a manifest in FOLDER and without --split, every piece is scored.

Nats per token compare models of one vocabulary and one encoder; bits per note and bits per second
also compare vocabularies. Intervals are 95 % bootstrap intervals over pieces.

With --report the model also continues primers of the same music, and what it plays is compared with
what the pianists played there: distributions of features, a two-sample test, repetition, copying.
REPORT gets report.json and index.html; the same command goes on where it was stopped.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from perceivers import vocabulary as v
from perceivers.atomic import atomic_path
from perceivers.errors import PerformerError
from perceivers.manifest import MANIFEST_FILE
from training.evaluation.command_line import parse
from training.evaluation.likelihood.figures import Figure, piece_figures, summary
from training.evaluation.likelihood.manifest_scores import check_notable, note
from training.evaluation.likelihood.pieces import (
    Choice,
    Selection,
    encoder_fingerprint,
    select,
    select_midi,
)
from training.evaluation.likelihood.scorers import How, open_scorer
from training.evaluation.report.request import ReportRequest, report_request

MOST_SKIPPED_TOLD = 20


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Load what the options name, score it and return the figures as JSON values."""
    how = How(options.protocol, options.precision, options.device, options.processes)
    scorer = open_scorer(options.model, how)
    datasets = [name for name in options.datasets.split(",") if name]
    source = options.source and v.Source(options.source)
    choice = Choice(options.split, datasets, source, options.limit_tokens, scorer.flavour)
    selection = (
        select_midi(options.midi, choice)
        if options.tokens is None
        else select(options.tokens, choice)
    )
    tell_skipped(selection)
    scores = scorer.score([piece.tokens for piece in selection.pieces], options.every)
    if not scores:
        raise PerformerError(
            f"--every {options.every} leaves no block to score of {len(selection.pieces)} pieces; "
            "give a smaller number"
        )
    asked = {
        **scorer.identity,
        "vocabulary": v.fingerprint(scorer.flavour),
        "encoder": encoder_fingerprint(scorer.flavour),
        "midi": options.midi and str(options.midi),
        "token_files": options.tokens and str(options.tokens),
        "split": selection.split,
        "datasets": datasets or "all",
        "source": options.source or "own",
        "limit_tokens": options.limit_tokens,
        "every_block": options.every,
        "tokens_sha256": selection.fingerprint,
    }
    per_piece = [
        {
            "path": selection.pieces[found.piece].path,
            "dataset": selection.pieces[found.piece].dataset,
            **piece_figures(found),
        }
        for found in scores
    ]
    skipped = [{"path": skip.path, "reason": skip.reason} for skip in selection.skipped]
    return asked | summary(scores) | {"per_piece": per_piece, "skipped": skipped}


def tell_skipped(selection: Selection) -> None:
    """Name the files that are not scored, and why."""
    for skip in selection.skipped[:MOST_SKIPPED_TOLD]:
        print(f"skipped {skip.path}: {skip.reason}", file=sys.stderr)
    untold = len(selection.skipped) - MOST_SKIPPED_TOLD
    if untold > 0:
        print(f"skipped {untold} more files; --json lists them all", file=sys.stderr)


def print_figures(figures: dict[str, Any]) -> None:
    """Tell the figures in words."""
    skipped = f", {len(figures['skipped'])} files skipped" if figures["skipped"] else ""
    print(
        f"{figures['pieces']} pieces, {figures['tokens']:,} tokens, {figures['notes']:,} notes, "
        f"{figures['seconds'] / 60:,.0f} minutes{skipped}"
    )
    for name in ("nats_per_token", "bits_per_note", "bits_per_second"):
        print(f"{name.replace('_', ' '):>16}: {told(figures[name])}")
    if figures["under_grammar"] is not None:
        print("as it plays, never what the grammar forbids")
        for name, figure in figures["under_grammar"].items():
            print(f"{name.replace('_', ' '):>16}: {told(figure)}")
    print("nats per token by the number of tokens before the predicted one")
    for name, found in figures["nats_per_token_by_context"].items():
        print(f"{name:>16}: {told(found):26} {found['tokens']:>11,} tokens")
    print("nats per token by kind of token")
    for name, found in figures["nats_per_token_by_kind"].items():
        shares = f"{found['share_of_tokens']:6.1%} of tokens {found['share_of_nats']:6.1%} of nats"
        print(f"{name.replace('_', ' '):>16}: {told(found):26} {shares}")


def told(figure: Figure) -> str:
    """Return a figure with its interval, as far as there is one."""
    if figure["value"] is None:
        return "—"
    interval = "" if figure["low"] is None else f"  ({figure['low']:.3f} … {figure['high']:.3f})"
    return f"{figure['value']:.3f}{interval}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    options = parse(arguments, __doc__)
    try:
        if options.json is not None:
            check_writable(options.json)
        if options.note:
            check_notable(options.model, options.protocol)
        if options.report is None:
            figures = evaluate(options)
            print_figures(figures)
        else:
            figures = report(report_request(options), options)
        if options.json is not None:
            with atomic_path(options.json) as partial:
                partial.write_text(json.dumps(figures, indent=2, allow_nan=False) + "\n")
        if options.note:
            note(options.model, figures)
            print(f"noted for {figures['precision']} in {options.model / MANIFEST_FILE}")
    except PerformerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        kept = "" if options.report is None else "; the same command goes on"
        print(f"stopped; no figures are written{kept}", file=sys.stderr)
        return 130
    return 0


def report(request: ReportRequest, options: argparse.Namespace) -> dict[str, Any]:
    """Make a report, tell where it is, and return its figures as JSON values."""
    # Only here: to score with the engine needs no torch.
    from training.evaluation.report.making import PAGE_FILE, make_report  # noqa: PLC0415

    names = ("source", "limit_tokens", "every", "protocol", "precision", "device")
    asked = {name: getattr(options, name) for name in names}
    figures = make_report(request, lambda: evaluate(options), asked)
    if "likelihood" in figures:
        print_figures(figures["likelihood"])
    print(f"{request.folder / PAGE_FILE}: open it in a browser")
    return figures


def check_writable(path: Path) -> None:
    """Raise PerformerError, before hours of work, where no file can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PerformerError(f"--json {path}: {error.strerror}; choose another file") from error
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise PerformerError(f"--json {path}: no file can be written there; choose another file")


if __name__ == "__main__":
    sys.exit(main())
