"""Model folders with random weights, for every test that needs an engine."""

import tempfile
from pathlib import Path

import torch

from export.export_onnx import export
from perceivers.architecture import Architecture
from perceivers.checkpoint import Checkpoint, save_checkpoint
from perceivers.model import STARTING_AT_ZERO, PerceiverS

torch.set_num_threads(1)  # models this small only wait for each other on more

TINY = Architecture(
    dim=64,
    heads=2,
    feedforward=128,
    context=96,
    latents=32,
    scales=(None, 24),
    windows=(6, 8, 10, 5),
    knows_keys=True,
)


def make_model(architecture: Architecture = TINY, seed: int = 0) -> PerceiverS:
    """Return a model that uses all of itself: what starts as zero gets random weights too.

    They are numbers of half precision, as a model folder stores them.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = PerceiverS(architecture).eval()
        for name, parameter in model.named_parameters():
            if name.endswith(STARTING_AT_ZERO):
                torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
            elif name.endswith("norm.weight"):
                torch.nn.init.uniform_(parameter, 0.5, 1.5)
            parameter.data = parameter.data.half().float()
    return model


def make_checkpoint(path: Path, architecture: Architecture = TINY, seed: int = 0) -> Path:
    """Write a checkpoint of such a model."""
    weights = make_model(architecture, seed).state_dict()
    save_checkpoint(path, Checkpoint(architecture, weights, {"steps": 0}, {}))
    return path


def make_model_folder(folder: Path, architecture: Architecture = TINY, seed: int = 0) -> Path:
    """Export such a model to `folder` and return it."""
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = make_checkpoint(Path(scratch, "random.pt"), architecture, seed)
        export(checkpoint, folder, data="none: random weights", licence="none needed", quiet=True)
    return folder
