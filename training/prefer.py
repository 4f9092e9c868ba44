r"""Let a model learn from its own answers: to prefer what pianists played to what it plays itself.

    python training/evaluation/continuations/making.py --model RUN/model --midi MIDI \
        --split train --count 1000 --notes 128 --out ANSWERS
    python training/prefer.py --init RUN/best.pt --answers ANSWERS --tokens TOKENS --out RUN/own.pt
    python export/export_onnx.py RUN/own.pt RUN/model

A model that is trained on pianists alone never has to live with its own mistakes; this is where it
meets them. The answers are those of the exported model to pieces that it was trained on. How dear
unseen music becomes is watched, and bounded.
"""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from perceivers.errors import PerformerError
from training.preference.pairs import load_pairs
from training.preference.tuning import PreferenceOptions, prefer
from training.run.allocator import restart_with_settings
from training.run.precision import CHOICES, CHOICES_HELP


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    known = PreferenceOptions()
    found = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--init", type=Path, required=True, help="checkpoint to begin with")
    found.add_argument(
        "--answers", type=Path, required=True, help="folder made by continuations/making.py"
    )
    found.add_argument(
        "--tokens", type=Path, required=True, help="token files; their validation split is watched"
    )
    found.add_argument("--out", type=Path, required=True, help="checkpoint to write")
    for name, kind, told in (
        ("beta", float, "how soon a pair is learned well enough, per nat"),
        ("anchor", float, "how much the pianists' likelihood counts by itself"),
        ("rate", float, "factor on the learning rates"),
        ("epochs", int, "times that every pair is seen"),
        ("context", int, "tokens of primer and answer together"),
        ("answer", int, "the most tokens of an answer that count"),
        ("held-out", float, "share of compositions that are only watched"),
        ("most-loss", float, "nats per token that unseen music may become dearer by"),
        ("seed", int, "of the order and of what is held out"),
    ):
        default = getattr(known, name.replace("-", "_"))
        found.add_argument(
            f"--{name}", type=kind, default=default, help=f"{told} (default: {default})"
        )
    found.add_argument(
        "--pairs",
        dest="pairs_per_step",
        type=int,
        default=known.pairs_per_step,
        help=f"pairs in a step (default: {known.pairs_per_step})",
    )
    found.add_argument("--precision", choices=CHOICES, default=known.precision, help=CHOICES_HELP)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    asked = parser().parse_args(arguments)
    options = PreferenceOptions(
        **{f.name: getattr(asked, f.name) for f in fields(PreferenceOptions)}
    )
    try:
        pairs = load_pairs(asked.answers)
        prefer(asked.init, pairs, asked.tokens, asked.out, options)
    except (PerformerError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what was written last stays", file=sys.stderr)
        return 130
    if not asked.out.exists():
        print("error: nothing was written: try a lower --rate", file=sys.stderr)
        return 2
    print(f"written to {asked.out}")
    return 0


if __name__ == "__main__":
    restart_with_settings()
    sys.exit(main())
