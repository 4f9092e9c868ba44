"""The block protocol: every token of a piece scored once by a model in torch.

Blocks of N/2 tokens, each with the whole context of the model before it and at least N/2 latents
of history (N latents in a forward pass; at the beginning of a piece all there is).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from perceivers.checkpoint import load_checkpoint
from perceivers.errors import PerformerError
from perceivers.model import PerceiverS
from perceivers.vocabulary import Flavour
from training.batches import IGNORED, collate, sample_of
from training.evaluation.blocks import BlockSampling, block_ends
from training.evaluation.figures import Floats, Ids, Scores, checked, summary
from training.segmentation import crop_ending_at

__all__ = ["Scores", "piece_scores", "score", "summary"]


@torch.no_grad()
def piece_scores(
    model: PerceiverS, tokens: Ids, device: torch.device, sampling: BlockSampling
) -> Iterator[Floats]:
    """Yield the nats of the tokens of a piece in order; NaN in a block that is left out."""
    latents, context = model.architecture.latents, model.architecture.context
    scored = 0
    for number, end in enumerate(block_ends(len(tokens), latents)):
        if not sampling.takes(number):
            yield np.full(end - scored, np.nan)
            scored = end
            continue
        batch = collate([sample_of(tokens, crop_ending_at(end, context, latents))], latents)
        logits = model(*(part.to(device) for part in (batch.latents, batch.prefix)))
        nats = cross_entropy(
            logits[0].float(), batch.targets[0].to(device), ignore_index=IGNORED, reduction="none"
        )
        known = int((batch.targets != IGNORED).sum())
        yield checked(nats[known - (end - scored) : known].double().cpu().numpy())
        scored = end


def score(
    model: PerceiverS, pieces: Sequence[Ids], device: torch.device, every: int = 1
) -> list[Scores]:
    """Score every k-th block of each piece, with a progress bar.

    Pieces of which no block is chosen are left out.
    """
    total = sum(len(piece) - 1 for piece in pieces)
    scores = []
    with tqdm(total=total, unit="token", desc="scoring", unit_scale=True, mininterval=1) as bar:
        for number, piece in enumerate(pieces):
            blocks = []
            for block in piece_scores(model, piece, device, BlockSampling.of(number, every)):
                blocks.append(block)
                bar.update(len(block))
            found = Scores(np.concatenate(blocks), piece[1:], number)
            if found.is_scored.any():
                scores.append(found)
    return scores


@dataclass(frozen=True, slots=True)
class Subject:
    """A checkpoint ready to be scored."""

    model: PerceiverS
    device: torch.device
    precision: str
    flavour: Flavour
    parameters: int
    steps_trained: int | None

    def score(self, pieces: Sequence[Ids], every: int) -> list[Scores]:
        """Score every k-th block of pieces."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return score(self.model, pieces, self.device, every)


def load(path: Path, device: str, precision: str) -> Subject:
    """Load a checkpoint. Raises ModelMismatch when it is damaged or of another vocabulary."""
    if device == "cuda" and not torch.cuda.is_available():
        raise PerformerError("--device cuda: torch finds no CUDA device here; leave --device out")
    checkpoint = load_checkpoint(path, tuple(Flavour))
    model = checkpoint.build_model().to(device).eval()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    steps = checkpoint.progress.get("step")
    return Subject(model, torch.device(device), precision, checkpoint.flavour, parameters, steps)
