"""Checkpoints: weights and everything needed to resume, saved atomically as plain data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from perceivers.architecture import Architecture
from perceivers.atomic import atomic_path
from perceivers.errors import ModelMismatch
from perceivers.model import PerceiverS
from perceivers.vocabulary import fingerprint

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model at one moment of its training."""

    architecture: Architecture
    weights: dict[str, torch.Tensor]
    progress: dict[str, Any]
    """Numbers and strings that describe the training so far (steps, tokens, losses, data)."""
    resume: dict[str, Any]
    """State of optimisers, to go on exactly; empty in a checkpoint made to be played."""

    def build_model(self, dropout: float = 0.0) -> PerceiverS:
        """Return the model with these weights."""
        model = PerceiverS(self.architecture, dropout)
        model.load_state_dict(self.weights)
        return model


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the old file stays until the new one is complete on the disk."""
    content = {
        "format": FORMAT,
        "vocabulary": fingerprint(),
        "architecture": checkpoint.architecture.to_json(),
        "weights": checkpoint.weights,
        "progress": checkpoint.progress,
        "resume": checkpoint.resume,
    }
    with atomic_path(path) as partial:
        torch.save(content, partial)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; no code in the file is ever run.

    Raises ModelMismatch, naming the file, when it is damaged or made for another vocabulary,
    format or architecture.
    """
    if not path.exists():
        raise ModelMismatch(f"{path}: no such checkpoint")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises several kinds for a damaged file
        raise ModelMismatch(
            f"{path}: not a readable checkpoint ({type(error).__name__})"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelMismatch(f"{path}: not a checkpoint of format {FORMAT}")
    missing = {"vocabulary", "architecture", "weights", "progress", "resume"} - set(content)
    if missing:
        raise ModelMismatch(f"{path}: not a whole checkpoint; missing {sorted(missing)}")
    if content["vocabulary"] != fingerprint():
        raise ModelMismatch(
            f"{path}: made with vocabulary {content['vocabulary']}, this is {fingerprint()}; "
            "train a model with this version, or use the version that made it"
        )
    architecture = Architecture.from_json(content["architecture"])
    return Checkpoint(architecture, content["weights"], content["progress"], content["resume"])
