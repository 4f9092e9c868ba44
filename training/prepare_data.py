"""Prepare token files from a folder of MIDI files, in parallel, restartable shard by shard.

    python training/prepare_data.py --midi FOLDER --out TOKENS
    python training/prepare_data.py --flavour sustain-388 --midi FOLDER --out OTHER_TOKENS

FOLDER may hold a MANIFEST.csv with the columns `path` and `split` (train, validation, test), and
optionally `dataset` and `capture`. Without one, the pieces are split 80/10/10 by the notes that
they begin with, so that two performances of one piece never part. A file that cannot be read, or
holds no notes, is named, counted and skipped. The flavour `sustain-388` says what sounds, for
figures that stand beside published ones (perceivers/sustain.py).
"""

import argparse
import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from perceivers.errors import PerformerError
from perceivers.vocabulary import Flavour
from training.data.preparation import prepare, print_report


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--midi", type=Path, required=True, help="folder of MIDI files")
    parser.add_argument("--out", type=Path, required=True, help="folder for the token files")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: all cores)")
    parser.add_argument(
        "--flavour",
        type=Flavour,
        choices=list(Flavour),
        default=Flavour.EVENTS,
        help="events (keys and pedal, the Performer's own; default) or sustain-388 (what sounds)",
    )
    options = parser.parse_args(arguments)
    try:
        report = prepare(options.midi, options.out, options.workers, flavour=options.flavour)
        print_report(report)
    except (PerformerError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the shards that are done are kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
