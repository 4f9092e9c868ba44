"""Print how far an exported model folder lies from its checkpoint, logit by logit.

    python export/verify.py MODEL_FOLDER CHECKPOINT

The reference is one forward pass in torch, with the checkpoint's weights in half precision as the
folder stores them, in which every position is a latent. Against it stand torch's own streaming form
and the engine that plays, each reading the same tokens in chunks. What the rounding itself does to
a checkpoint in float32 is told beside.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import torch
from numpy.typing import NDArray

from perceivers.architecture import Architecture
from perceivers.cache import empty_cache
from perceivers.checkpoint import Checkpoint, load_checkpoint
from perceivers.encoder import encode
from perceivers.errors import ModelMismatch, PerformerError
from perceivers.manifest import Parity, describe_file, read_manifest
from perceivers.midi_files import read_performance
from perceivers.model import PerceiverS
from perceivers.parity import TOLERANCE, compare

Array = NDArray[np.float32]
Tokens = NDArray[np.int64]

CHUNKS = (1, 3, 8, 64)
EXACT = ("torch step", "fp32")  # the columns that the tolerance holds for
LONGEST_FULL_PASS = 4096  # positions that are all latents; more than that takes minutes
REPLAY = Path(__file__).resolve().parents[1] / "daemon" / "engine" / "replay.py"


@dataclass(frozen=True, slots=True)
class Case:
    """Tokens, and the reference logits of the last of them; what comes before is fed at once."""

    name: str
    tokens: Tokens
    reference: Array

    @property
    def fed_first(self) -> int:
        """Tokens without reference logits."""
        return len(self.tokens) - len(self.reference)


def cases(model: PerceiverS, music: Tokens | None = None) -> list[Case]:
    """Return what a model is checked on: from an empty context to beyond a full one.

    `music` replaces the random tokens of the first case, as far as it goes.
    """
    architecture = model.architecture
    beyond = architecture.context + architecture.latents
    length = beyond if beyond <= LONGEST_FULL_PASS else 2 * architecture.latents
    tokens = random_tokens(architecture, length) if music is None else music[:length]
    found = [Case("from empty", tokens, full_logits(model, tokens))]
    if beyond > length:
        tokens = random_tokens(architecture, beyond)
        found.append(Case("beyond full", tokens, last_logits(model, tokens)))
    return found


def rounding(checkpoint: Checkpoint, music: Tokens | None = None) -> Parity | None:
    """Return what half precision does to a checkpoint's predictions; None if it is in it already.

    Over as many tokens as there are latents, from an empty context.
    """
    stored = checkpoint.in_half_precision()
    if all(bool((stored.weights[name] == kept).all()) for name, kept in checkpoint.weights.items()):
        return None
    length = checkpoint.architecture.latents
    tokens = random_tokens(checkpoint.architecture, length) if music is None else music[:length]
    own = full_logits(checkpoint.build_model(), tokens)
    return compare(own, full_logits(stored.build_model(), tokens))


def random_tokens(architecture: Architecture, length: int, seed: int = 0) -> Tokens:
    """Return reproducible tokens."""
    return np.random.default_rng(seed).integers(0, architecture.vocabulary_size, length)


def full_logits(model: PerceiverS, tokens: Tokens) -> Array:
    """Return the logits (T, V) of one forward pass with every position a latent."""
    with torch.inference_mode():
        logits: Array = model.eval()(torch.from_numpy(tokens)[None])[0].numpy()
    return logits


def last_logits(model: PerceiverS, tokens: Tokens) -> Array:
    """Return logits of the last positions, from a forward pass with N latents.

    Exactly those whose latents have all that they can see among the N.
    """
    architecture = model.architecture
    complete_from = max(0, architecture.reach - architecture.carried)
    everything = torch.from_numpy(tokens)[None]
    prefix, latents = everything[:, : -architecture.latents], everything[:, -architecture.latents :]
    with torch.inference_mode():
        logits: Array = model.eval()(latents, prefix)[0, complete_from:].numpy()
    return logits


def stepped_logits(model: PerceiverS, tokens: Tokens, chunk: int) -> Array:
    """Return the logits (T, V) of torch's streaming form, `chunk` tokens at a time."""
    cache = empty_cache(model.architecture)
    parts = []
    with torch.inference_mode():
        for start in range(0, len(tokens), chunk):
            part = torch.from_numpy(tokens[start : start + chunk])[None]
            logits, cache = model.eval().step(part, cache)
            parts.append(logits[0])
    together: Array = torch.cat(parts).numpy()
    return together


def engine_logits(
    folder: Path, case: Case, precisions: Iterable[str], chunks: Iterable[int]
) -> dict[tuple[str, int], Array]:
    """Return the logits (T, V) that the playing engine gives, by precision and chunk.

    It runs in a process of its own, as it does when it plays: without torch.
    """
    with tempfile.TemporaryDirectory() as scratch:
        tokens, logits = Path(scratch, "tokens.npy"), Path(scratch, "logits.npz")
        np.save(tokens, case.tokens)
        command = [sys.executable, str(REPLAY), str(folder), str(tokens), str(logits)]
        command += ["--fed-first", str(case.fed_first)]
        command += ["--precision", *precisions, "--chunk", *map(str, chunks)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            reason = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise PerformerError(f"the engine failed: {reason[-1].removeprefix('error: ')}")
        with np.load(logits) as arrays:
            keys = ((name, name.partition("/")) for name in arrays.files)
            return {(parts[0], int(parts[2])): arrays[name] for name, parts in keys}


def worst_of(one: Parity | None, other: Parity) -> Parity:
    """Return the worse of each figure, NaN the worst, over the tokens of both."""
    if one is None:
        return other
    return Parity(
        float(np.maximum(one.max_difference, other.max_difference)),
        float(np.maximum(one.mean_difference, other.mean_difference)),
        float(np.maximum(one.kl_nats, other.kl_nats)),
        one.tokens + other.tokens,
    )


def told(figures: Parity) -> str:
    """Return figures in words."""
    return (
        f"max |difference| {figures.max_difference:.1e}, mean {figures.mean_difference:.1e}, "
        f"KL {figures.kl_nats:.1e} nats"
    )


def print_table(model: PerceiverS, folder: Path, music: Tokens | None) -> bool:
    """Print the parity table; return whether every float32 logit lies within the tolerance."""
    stated = read_manifest(folder).parity
    columns = ["torch step", *stated]
    print("max |difference| of a logit from the full forward pass")
    print(f"{'positions':>14} {'chunk':>6} " + " ".join(f"{name:>11}" for name in columns))
    worst = 0.0
    overall: dict[str, Parity] = {}
    for case in cases(model, music):
        played = engine_logits(folder, case, stated, CHUNKS)
        for chunk in CHUNKS:
            found = {name: played[name, chunk] for name in stated}
            if not case.fed_first:  # torch looks nothing up by table
                found["torch step"] = stepped_logits(model, case.tokens, chunk)
            rows = _print_rows(model.architecture, case, chunk, found, columns)
            worst = float(np.maximum(worst, rows))  # max() would hide NaN
        for (name, _), logits in played.items():
            overall[name] = worst_of(overall.get(name), compare(case.reference, logits))
    for name, figures in overall.items():
        print(f"{name}: {told(figures)}\n  stated in the manifest: {told(stated[name])}")
    print(f"worst float32 difference {worst:.1e}, allowed {TOLERANCE:.0e}")
    return worst <= TOLERANCE


def _print_rows(
    architecture: Architecture,
    case: Case,
    chunk: int,
    found: Mapping[str, Array],
    columns: Sequence[str],
) -> float:
    """Print a row for each part of the context; return the largest difference that counts."""
    worst = 0.0
    for region in _regions(architecture, case):
        row = {name: _largest(case, logits, region) for name, logits in found.items()}
        cells = [f"{row[name]:11.1e}" if name in row else " " * 11 for name in columns]
        print(f"{region.start:>6}..{region.stop - 1:<6} {chunk:>6} " + " ".join(cells))
        worst = float(np.max([worst, *(row[name] for name in row if name in EXACT)]))
    return worst


def _regions(architecture: Architecture, case: Case) -> list[range]:
    """Split the positions of a case that have a reference at N and at M."""
    first, end = case.fed_first, len(case.tokens)
    inner = (edge for edge in (architecture.latents, architecture.context) if first < edge < end)
    edges = sorted({first, *inner, end})
    return [range(start, stop) for start, stop in itertools.pairwise(edges)]


def _largest(case: Case, logits: Array, region: range) -> float:
    part = slice(region.start - case.fed_first, region.stop - case.fed_first)
    return compare(case.reference[part], logits[part]).max_difference


def read_music(path: Path | None) -> Tokens | None:
    """Return the tokens of a MIDI file."""
    return None if path is None else np.array(encode(read_performance(path)), np.int64)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="model folder")
    parser.add_argument("checkpoint", type=Path, help="the checkpoint that it was made from")
    parser.add_argument("--midi", type=Path, help="check on this music instead of random tokens")
    options = parser.parse_args(arguments)
    try:
        manifest = read_manifest(options.folder)
        checkpoint = load_checkpoint(options.checkpoint)
        known = (manifest.checkpoint_sha256, manifest.weights.sha256)
        if describe_file(options.checkpoint).sha256 not in known:
            raise ModelMismatch(
                f"{options.folder}: not made from {options.checkpoint}; give the checkpoint with "
                f"sha256 {manifest.checkpoint_sha256}"
            )
        music = read_music(options.midi)
        half = rounding(checkpoint, music)
        if half is not None:
            print(f"weights in half precision against the checkpoint's own: {told(half)}")
        stored = checkpoint.in_half_precision()
        close = print_table(stored.build_model(), options.folder, music)
    except PerformerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0 if close else 1


if __name__ == "__main__":
    sys.exit(main())
