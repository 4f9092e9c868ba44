"""Export a checkpoint to a model folder that the daemon can play.

    python export/export_onnx.py CHECKPOINT MODEL_FOLDER

The folder holds the weights in half precision, which is what the graphs read and what training goes
on from, the graphs in float32, in half precision and with eight-bit weights, and a manifest. It
appears only when it is complete and the float32 graph gives the logits of these weights; an older
folder of the same name stays until then.
"""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import onnx
import torch

from export.graph import build_graph
from export.verify import Tokens, cases, engine_logits, read_music, rounding, told, worst_of
from export.weights_file import locate
from perceivers.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from perceivers.errors import ModelMismatch, PerformerError
from perceivers.graphs import GRAPH_FILES, cache_tensors
from perceivers.manifest import (
    MANIFEST_FILE,
    WEIGHTS_FILE,
    Manifest,
    ModelFile,
    Parity,
    StoredTensor,
    describe_file,
    write_manifest,
)
from perceivers.model import PerceiverS
from perceivers.parity import TOLERANCE, compare
from perceivers.vocabulary import fingerprint

CHUNKS = (1, 3, 64)
UNKNOWN = "not stated"


def export(
    checkpoint_path: Path,
    folder: Path,
    *,
    data: str | None = None,
    licence: str | None = None,
    music: Tokens | None = None,
    quiet: bool = False,
) -> Manifest:
    """Write the model folder of a checkpoint and return its manifest.

    A folder is replaced as a whole or not at all.
    data, licence: what the model was trained on and its licence; otherwise what the checkpoint
    says of itself.
    music: (T,) token ids, int64, to measure parity on, instead of random ones.
    quiet: say nothing of how far it is.
    Raises ModelMismatch, and leaves `folder` as it was, when the checkpoint cannot be read or the
    float32 graph does not give its logits within `perceivers.parity.TOLERANCE`.
    """
    checkpoint = load_checkpoint(checkpoint_path)
    stored = replace(checkpoint.in_half_precision(), resume={})
    model = stored.build_model().eval()
    _refuse_other_folders(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        made = Path(scratch, "made")
        made.mkdir()
        made.chmod(0o755)
        _tell(quiet, f"{_size(model):,} parameters; writing graphs")
        weights, tensors = _write_weights(made, checkpoint_path, checkpoint, stored)
        manifest = Manifest(
            architecture=checkpoint.architecture,
            vocabulary=fingerprint(),
            checkpoint_sha256=describe_file(checkpoint_path).sha256,
            parameters=_size(model),
            caches={
                precision: cache_tensors(checkpoint.architecture, precision)
                for precision in GRAPH_FILES
            },
            graphs=_write_graphs(made, model, tensors),
            weights=weights,
            tensors=tensors,
            parity={},
            progress=_plain(checkpoint.progress),
            data=data or checkpoint.progress.get("data") or UNKNOWN,
            licence=licence or checkpoint.progress.get("licence") or UNKNOWN,
            rounding=rounding(checkpoint, music),
        )
        write_manifest(made, manifest)
        if manifest.rounding is not None:
            _tell(quiet, f"weights in half precision, not as trained: {told(manifest.rounding)}")
        manifest = replace(manifest, parity=_measure_parity(made, model, music, quiet))
        write_manifest(made, manifest)
        _put_in_place(made, folder, Path(scratch))
    return manifest


def _size(model: PerceiverS) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _tell(quiet: bool, line: str) -> None:
    if not quiet:
        print(line, flush=True)


def _refuse_other_folders(folder: Path) -> None:
    if folder.exists() and not (folder / MANIFEST_FILE).exists():
        raise ModelMismatch(
            f"{folder}: exists and is no model folder; name one that does not exist yet"
        )


def _write_weights(
    folder: Path, source: Path, checkpoint: Checkpoint, stored: Checkpoint
) -> tuple[ModelFile, dict[str, StoredTensor]]:
    """Write the weights; return the file, and where it holds each of them.

    A checkpoint that is what is to be stored stays the same file, to the last byte.
    """
    path = folder / WEIGHTS_FILE
    halves = all(weight.dtype == torch.float16 for weight in checkpoint.weights.values())
    if halves and not checkpoint.resume:
        shutil.copyfile(source, path)
    else:
        save_checkpoint(path, stored)
    return describe_file(path), locate(path, stored.weights)


def _write_graphs(
    folder: Path, model: PerceiverS, tensors: dict[str, StoredTensor]
) -> dict[str, ModelFile]:
    """Write the graphs; return what they are by precision."""
    for precision, name in GRAPH_FILES.items():
        onnx.save(build_graph(model, precision, tensors), folder / name)
    return {precision: describe_file(folder / name) for precision, name in GRAPH_FILES.items()}


def _plain(progress: dict[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint tells of itself as JSON values."""
    plain: dict[str, Any] = json.loads(json.dumps(progress, default=str))
    return plain


def _measure_parity(
    folder: Path, model: PerceiverS, music: Tokens | None, quiet: bool
) -> dict[str, Parity]:
    """Return the worst figures of each graph over all cases and chunks.

    Raises ModelMismatch when the float32 graph differs by more than rounding.
    """
    worst: dict[str, Parity] = {}
    for case in cases(model, music):
        _tell(quiet, f"checking {len(case.tokens):,} tokens, {case.name}")
        for (precision, chunk), logits in engine_logits(folder, case, GRAPH_FILES, CHUNKS).items():
            figures = compare(case.reference, logits)
            _tell(quiet, f"  {precision} in chunks of {chunk}: {told(figures)}")
            worst[precision] = worst_of(worst.get(precision), figures)
    if not worst["fp32"].max_difference <= TOLERANCE:  # so written, it refuses NaN as well
        raise ModelMismatch(
            f"the float32 graph differs from its weights by {worst['fp32'].max_difference:.1e} "
            f"in a logit, allowed is {TOLERANCE:.0e}: nothing was written; "
            "look where with export/verify.py"
        )
    return worst


def _put_in_place(made: Path, folder: Path, scratch: Path) -> None:
    """Move the new folder to its place; the old one leaves only now."""
    old = scratch / "old"
    if folder.exists():
        folder.rename(old)
    try:
        made.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("checkpoint", type=Path, help="checkpoint file of training/train.py")
    parser.add_argument("folder", type=Path, help="model folder to write or replace")
    parser.add_argument(
        "--data", help="what the model was trained on (default: as the checkpoint says)"
    )
    parser.add_argument("--licence", help="licence of the model (default: as the checkpoint says)")
    parser.add_argument("--midi", type=Path, help="music to measure parity on (default: random)")
    options = parser.parse_args(arguments)
    try:
        export(
            options.checkpoint,
            options.folder,
            data=options.data,
            licence=options.licence,
            music=read_music(options.midi),
        )
    except PerformerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    print(f"wrote {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
