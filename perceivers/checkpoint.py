"""Checkpoints: weights and everything needed to resume, saved atomically as plain data."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from perceivers.architecture import Architecture
from perceivers.atomic import atomic_path
from perceivers.errors import ModelMismatch
from perceivers.model import PerceiverS
from perceivers.vocabulary import Flavour, fingerprint, flavour_of

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
    flavour: Flavour = Flavour.EVENTS
    """The flavour of the tokens that it was trained on."""

    def build_model(self, dropout: float = 0.0, prefix_dropout: float = 0.0) -> PerceiverS:
        """Return the model with these weights."""
        model = PerceiverS(self.architecture, dropout, prefix_dropout)
        model.load_state_dict(self.weights)
        return model

    def in_half_precision(self) -> "Checkpoint":
        """Return the same with two bytes a weight: its loss is the same to 0.001."""
        halves = {
            name: value.half() if value.is_floating_point() else value
            for name, value in self.weights.items()
        }
        return replace(self, weights=halves)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the old file stays until the new one is complete on the disk."""
    content = {
        "format": FORMAT,
        "vocabulary": fingerprint(checkpoint.flavour),
        "architecture": checkpoint.architecture.to_json(),
        "weights": checkpoint.weights,
        "progress": checkpoint.progress,
        "resume": checkpoint.resume,
    }
    with atomic_path(path) as partial:
        torch.save(content, partial)


def load_checkpoint(path: Path, flavours: Collection[Flavour] = (Flavour.EVENTS,)) -> Checkpoint:
    """Read a checkpoint; no code in the file is ever run.

    Weights come on the CPU, by their names in `PerceiverS`, in the type that they were saved in:
    float32 while training, float16 in a model folder.
    Raises ModelMismatch, naming the file, when it is damaged or made for another vocabulary,
    format or architecture, or trained on a flavour of tokens that is not among `flavours`.
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
    flavour = flavour_of(content["vocabulary"])
    if flavour is None:
        raise ModelMismatch(
            f"{path}: made with vocabulary {content['vocabulary']}, this is {fingerprint()}; "
            "train a model with this version, or use the version that made it"
        )
    try:
        architecture = Architecture.from_json(content["architecture"])
    except ModelMismatch as error:
        raise ModelMismatch(f"{path}: {error}; use the version that made it") from error
    if flavour not in flavours:
        raise ModelMismatch(
            f"{path}: trained on tokens of flavour '{flavour}'; here '{', '.join(flavours)}' "
            "is needed"
        )
    weights, progress, resume = (content[part] for part in ("weights", "progress", "resume"))
    return Checkpoint(architecture, weights, progress, resume, flavour)
