"""A measured figure goes into the manifest of the model folder that it was measured on."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from perceivers.errors import ModelMismatch, PerformerError
from perceivers.manifest import MANIFEST_FILE, Score, read_manifest, write_manifest


def check_notable(model: Path, protocol: str | None) -> None:
    """Raise PerformerError, before the work, where the figures have no manifest to go into."""
    if protocol == "blocks" or not (model / MANIFEST_FILE).is_file():
        raise PerformerError(
            f"{model}: --note writes into the manifest of a model folder what its engine predicts; "
            "give a model folder, and no --blocks"
        )
    if not os.access(model, os.W_OK):
        raise PerformerError(f"{model}: --note may not write there; note it in a copy")


def note(folder: Path, figures: dict[str, Any]) -> None:
    """Write what `training/evaluate.py` measured of one precision into the folder's manifest.

    What stood there of this precision is replaced, other precisions are kept. Raises ModelMismatch
    when the graph in the folder is no longer the one that was scored.
    """
    manifest = read_manifest(folder)
    precision = figures["precision"]
    if manifest.graphs[precision].sha256 != figures["graph_sha256"]:
        raise ModelMismatch(
            f"{folder}: its {precision} graph was replaced while it was scored; score it again"
        )
    scores = manifest.scores | {precision: score_of(figures)}
    write_manifest(folder, replace(manifest, scores=scores))


def score_of(figures: dict[str, Any]) -> Score:
    """Return what a manifest says of figures in the form of `--json`."""
    found = figures["nats_per_token"]
    return Score(
        nats_per_token=found["value"],
        low=found["low"],
        high=found["high"],
        pieces=figures["pieces"],
        tokens=figures["tokens"],
        split=figures["split"],
        datasets=() if figures["datasets"] == "all" else tuple(figures["datasets"]),
        every_block=figures["every_block"],
        music_sha256=figures["tokens_sha256"],
    )
