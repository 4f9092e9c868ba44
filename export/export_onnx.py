"""Export a checkpoint to a model folder that the daemon can play.

    python export/export_onnx.py CHECKPOINT MODEL_FOLDER

The folder holds the graph in float32 and with eight-bit weights, the weights in half precision to
train on from, and a manifest. It appears only when it is complete and the float32 graph gives the
checkpoint's logits; an older folder of the same name stays until then.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import onnx

from export.folding import fold_tables, to_array
from export.graph import build_graph
from export.verify import (
    Tokens,
    cases,
    engine_logits,
    read_music,
    told,
    worst_of,
)
from perceivers.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from perceivers.errors import ModelMismatch, PerformerError
from perceivers.manifest import (
    GRAPH_FILES,
    KEYS_FILE,
    MANIFEST_FILE,
    TABLES_FILE,
    WEIGHTS_FILE,
    Manifest,
    ModelFile,
    Parity,
    cache_tensors,
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

    data, licence: what the model was trained on and its licence; otherwise what the checkpoint
    says of itself.
    music: tokens to measure parity on, instead of random ones.
    Raises ModelMismatch, and leaves `folder` as it was, when the float32 graph does not give the
    checkpoint's logits.
    """
    checkpoint = load_checkpoint(checkpoint_path)
    model = checkpoint.build_model().eval()
    _refuse_other_folders(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        made = Path(scratch, "made")
        made.mkdir()
        made.chmod(0o755)
        _tell(quiet, f"{_size(model):,} parameters; writing graphs")
        files = _write_files(made, model)
        manifest = Manifest(
            architecture=checkpoint.architecture,
            vocabulary=fingerprint(),
            checkpoint_sha256=describe_file(checkpoint_path).sha256,
            parameters=_size(model),
            caches={
                precision: cache_tensors(checkpoint.architecture, precision)
                for precision in GRAPH_FILES
            },
            graphs={precision: files[name] for precision, name in GRAPH_FILES.items()},
            tables=files[TABLES_FILE],
            keys=files.get(KEYS_FILE),
            parity={},
            progress=_plain(checkpoint.progress),
            data=data or checkpoint.progress.get("data") or UNKNOWN,
            licence=licence or checkpoint.progress.get("licence") or UNKNOWN,
            weights=_write_weights(made, checkpoint),
        )
        write_manifest(made, manifest)
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


def _write_files(folder: Path, model: PerceiverS) -> dict[str, ModelFile]:
    """Write graphs and tables; return what they are by name."""
    for precision, name in GRAPH_FILES.items():
        onnx.save(build_graph(model, precision), folder / name)
    names = [*GRAPH_FILES.values(), TABLES_FILE]
    np.save(folder / TABLES_FILE, fold_tables(model).keys_values)
    if model.architecture.knows_keys:
        names.append(KEYS_FILE)
        np.save(folder / KEYS_FILE, to_array(model.key_embedding.weight))
    return {name: describe_file(folder / name) for name in names}


def _write_weights(folder: Path, checkpoint: Checkpoint) -> ModelFile:
    """Write the weights in half precision; whoever has the model can then tune it."""
    save_checkpoint(folder / WEIGHTS_FILE, replace(checkpoint.in_half_precision(), resume={}))
    return describe_file(folder / WEIGHTS_FILE)


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
            f"the float32 graph differs from the checkpoint by {worst['fp32'].max_difference:.1e} "
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
