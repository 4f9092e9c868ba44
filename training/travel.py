"""Pack a run for another machine in few small files, and unpack it there to go on exactly.

    python training/travel.py pack --run RUN --tokens TOKENS --out DIR
    python training/travel.py unpack DIR --run RUN --tokens TOKENS

What travels: the state that the run goes on from (weights and optimisers), its best weights if
there is room, its learning curve, and the token files of the chosen splits and data sets. Weights
take at most 8 parts of 16 MB, tokens at most 60 MB. Both commands may be given again: what is
already done is kept. Unpacking refuses, by name, what is missing or damaged.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from tqdm import tqdm

from perceivers.atomic import atomic_path
from perceivers.checkpoint import load_checkpoint
from perceivers.errors import PerformerError
from training.data.midi_folder import SPLITS
from training.data.token_store import INDEX
from training.luggage.bundles import Bundle, Part, check_parts, described, read_bundle, write_bundle
from training.luggage.contents import Choice, music_of, state_of
from training.run.state import BEST, FLAVOURS, LAST

FORMAT = 1
CONTENTS = "travel.json"
MEGABYTE = 1_000_000
TOKENS_MB = 60


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may travel."""

    part_mb: int = 16
    parts: int = 8

    @property
    def state_bytes(self) -> int:
        """Bytes that all parts of the run's state hold."""
        return self.part_mb * self.parts * MEGABYTE


def pack(run: Path, tokens: Path, out: Path, choice: Choice, limits: Limits) -> None:
    """Write the parts of a run into `out`, and what they are.

    Raises PerformerError when it is more than the limits allow.
    """
    if not (run / LAST).exists():
        raise PerformerError(f"{run}: holds no {LAST}; name the folder of a run that has saved")
    out.mkdir(parents=True, exist_ok=True)
    part_bytes = limits.part_mb * MEGABYTE
    with tempfile.TemporaryDirectory(dir=out, prefix=".packing.") as scratch:
        found = state_of(run, Path(scratch), choice.half, limits.state_bytes)
        if found.best_stays:
            print(f"{BEST} stays here for want of room; the first validation there makes another")
        state = write_bundle(out, "state", found.files, part_bytes)
        _check_state_fits(run, state, limits, choice.half)
        chosen = music_of(tokens, Path(scratch) / "tokens", choice)
        music = write_bundle(out, "tokens", chosen, part_bytes)
    _check_tokens_fit(tokens, music)
    content = {
        "format": FORMAT,
        "step": found.step,
        "state": asdict(state),
        "tokens": asdict(music),
    }
    with atomic_path(out / CONTENTS) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n")
    _remove_others(out, state, music)
    _tell_packed(out, found.step, state, music)


def unpack(folder: Path, run: Path, tokens: Path) -> None:
    """Put a packed run and its token files where they are asked for.

    Raises PerformerError for missing and damaged parts, and when the run there is further on.
    """
    step, state, music = _read_contents(folder)
    check_parts(folder, (state, music))
    _refuse_to_go_back(run, step, state)
    _refuse_other_tokens(tokens, music)
    files = len(state.files) + len(music.files)
    with tqdm(total=files, unit="file", desc="unpacking") as bar:
        for bundle, destination in ((music, tokens), (state, run)):
            for _ in read_bundle(folder, bundle, destination):
                bar.update()
    print(
        f"unpacked step {step} into {run} and {tokens}\n"
        f"go on:  python training/train.py --run {run} --tokens {tokens}, "
        "and the options of the run"
    )


# --- limits, and what is there already ---


def _check_state_fits(run: Path, state: Bundle, limits: Limits, half: bool) -> None:
    if len(state.parts) > limits.parts:
        size = sum(part.bytes for part in state.parts) / MEGABYTE
        advice = "" if half else "; --half takes half the room, and goes on nearly exactly"
        raise PerformerError(
            f"{run}: its state is {size:.0f} MB, {len(state.parts)} parts of "
            f"{limits.part_mb} MB; --parts {limits.parts} is less{advice}"
        )


def _check_tokens_fit(tokens: Path, music: Bundle) -> None:
    size = sum(part.bytes for part in music.parts) / MEGABYTE
    if size > TOKENS_MB:
        raise PerformerError(
            f"{tokens}: {size:.0f} MB of tokens, at most {TOKENS_MB} MB travel; choose fewer with "
            "--split and --datasets"
        )


def _remove_others(out: Path, *bundles: Bundle) -> None:
    """Remove parts of an earlier packing that do not belong to this one."""
    ours = {part.name for bundle in bundles for part in bundle.parts}
    for path in out.glob("*.part"):
        if path.name not in ours:
            path.unlink()


def _refuse_to_go_back(run: Path, step: int, state: Bundle) -> None:
    last = run / LAST
    if not last.exists() or described(last, LAST) in state.files:
        return
    there = load_checkpoint(last, FLAVOURS).progress["step"]
    if there > step:
        raise PerformerError(
            f"{run}: is at step {there}, further than the packed one at step {step}; "
            "name another --run"
        )


def _refuse_other_tokens(tokens: Path, music: Bundle) -> None:
    if (tokens / INDEX).exists() and described(tokens / INDEX, INDEX) not in music.files:
        raise PerformerError(f"{tokens}: holds other token files; name another folder")


def _read_contents(folder: Path) -> tuple[int, Bundle, Bundle]:
    """Return the packed step, the bundle of the state and that of the tokens."""
    path = folder / CONTENTS
    if not path.is_file():
        raise PerformerError(f"{folder}: holds no {CONTENTS}; bring it over with the parts")
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise ValueError
        return int(content["step"]), _bundle(content["state"]), _bundle(content["tokens"])
    except (ValueError, KeyError, TypeError) as error:
        raise PerformerError(
            f"{path}: is damaged, or not of format {FORMAT}; bring it over again"
        ) from error


def _bundle(content: dict[str, Any]) -> Bundle:
    files, parts = (tuple(Part(**part) for part in content[of]) for of in ("files", "parts"))
    if any(Path(part.name).name != part.name for part in files + parts):
        raise ValueError
    return Bundle(files, parts)


def _tell_packed(out: Path, step: int, *bundles: Bundle) -> None:
    print(f"packed step {step} into {out}:")
    for bundle in bundles:
        for part in bundle.parts:
            print(f"  {part.name}  {part.bytes / MEGABYTE:.1f} MB")
    print(f"bring all of {out} over, then:")
    print("  python training/travel.py unpack FOLDER --run RUN --tokens TOKENS")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="write a run into few small files")
    packing.add_argument("--out", type=Path, required=True, help="folder for the parts")
    packing.add_argument(
        "--split", nargs="+", choices=SPLITS, default=["train", "validation"],
        help="of the tokens (default: train validation)",
    )  # fmt: skip
    packing.add_argument("--datasets", nargs="+", default=[], help="of the tokens (default: all)")
    packing.add_argument(
        "--half", action="store_true", help="two bytes a number: the run goes on nearly exactly"
    )
    packing.add_argument("--parts", type=int, default=8, help="at most, of the run's state")
    packing.add_argument("--part-mb", type=int, default=16, help="size of a part (default: 16)")
    unpacking = commands.add_parser("unpack", help="put a packed run in its place")
    unpacking.add_argument("folder", type=Path, help="folder with the parts")
    for command in (packing, unpacking):
        command.add_argument("--run", type=Path, required=True, help="folder of the run")
        command.add_argument(
            "--tokens", type=Path, help="folder of token files (default: those inside the run)"
        )
    options = parser.parse_args(arguments)
    if options.command == "pack" and min(options.parts, options.part_mb) < 1:
        parser.error("--parts and --part-mb must be at least 1")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    options = parse(arguments)
    tokens = options.run / "tokens" if options.tokens is None else options.tokens
    try:
        if options.command == "pack":
            choice = Choice(options.split, options.datasets, options.half)
            limits = Limits(options.part_mb, options.parts)
            pack(options.run, tokens, options.out, choice, limits)
        else:
            unpack(options.folder, options.run, tokens)
    except PerformerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}; what is done is kept", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what is done is kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
