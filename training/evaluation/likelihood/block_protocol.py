"""The block protocol: every token of a piece scored once by a model in torch.

Blocks of N/2 tokens, each with the whole context of the model before it and at least N/2 latents
of history (N latents in a forward pass; at the beginning of a piece all there is).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from perceivers.checkpoint import load_checkpoint
from perceivers.errors import PerformerError
from perceivers.grammar import GrammarWalk
from perceivers.key_counts import nothing_down, state_after
from perceivers.likelihood import plain_nats, token_nats
from perceivers.model import PerceiverS
from perceivers.vocabulary import VOCABULARY_SIZE, Flavour, predictable_tokens
from training.data.batches import collate, sample_of
from training.data.segmentation import crop_ending_at
from training.evaluation.likelihood.blocks import BlockSampling, block_ends
from training.evaluation.likelihood.figures import Floats, Ids, Scores, checked, summary

__all__ = ["Scores", "piece_nats", "piece_scores", "score", "summary"]

Logits = npt.NDArray[np.float32]


def piece_scores(
    model: PerceiverS,
    tokens: Ids,
    device: torch.device,
    sampling: BlockSampling,
    flavour: Flavour = Flavour.EVENTS,
) -> Iterator[Floats]:
    """Yield costs and wasted parts (2, T) of the tokens of a piece, in order, in nats.

    NaN in a block that is left out.
    """
    allowed = _allowed_in(tokens, flavour)
    for places, logits in _predictions(model, tokens, device, sampling):
        if logits is None:
            yield np.full((2, places.stop - places.start), np.nan)
        else:
            yield checked(token_nats(logits, tokens[places], allowed(places)))


def piece_nats(
    model: PerceiverS, tokens: Ids, device: torch.device, sampling: BlockSampling
) -> Floats:
    """Return the costs alone (T - 1,) of the tokens of a piece (T,) but the first, in nats.

    NaN in a block that is left out.
    """
    nats = np.full(len(tokens) - 1, np.nan)
    for places, logits in _predictions(model, tokens, device, sampling):
        if logits is not None:
            nats[places.start - 1 : places.stop - 1] = checked(plain_nats(logits, tokens[places]))
    return nats


@torch.no_grad()
def _predictions(
    model: PerceiverS, tokens: Ids, device: torch.device, sampling: BlockSampling
) -> Iterator[tuple[slice, Logits | None]]:
    """Yield the places that each block scores, in order, and the logits (T, V) that predict them.

    None in a block that is left out.
    """
    latents, context = model.architecture.latents, model.architecture.context
    scored = 0
    for number, end in enumerate(block_ends(len(tokens), latents)):
        places = slice(scored + 1, end + 1)
        scored = end
        if not sampling.takes(number):
            yield places, None
            continue
        crop = crop_ending_at(end, context, latents)
        batch = collate([sample_of(tokens, crop)], latents)
        before = torch.from_numpy(tokens[None, : crop.start].astype(np.int64)).to(device)
        parts = (part.to(device) for part in (batch.latents, batch.prefix))
        logits = model(*parts, keys=state_after(before, nothing_down(1, device)))
        known = batch.loss_tokens
        asked = places.stop - places.start
        yield places, logits[0, known - asked : known].float().cpu().numpy()


def _allowed_in(tokens: Ids, flavour: Flavour) -> Callable[[slice], npt.NDArray[np.bool_]]:
    """Return what tells which tokens may stand at places of a piece, by ascending places."""
    if flavour is Flavour.EVENTS:
        walk = GrammarWalk(tokens.tolist())
        return lambda places: walk.allowed(places.start, places.stop)
    row = np.isin(np.arange(VOCABULARY_SIZE), predictable_tokens(flavour))
    return lambda places: np.tile(row, (places.stop - places.start, 1))


def score(
    model: PerceiverS,
    pieces: Sequence[Ids],
    device: torch.device,
    every: int = 1,
    flavour: Flavour = Flavour.EVENTS,
) -> list[Scores]:
    """Score every k-th block of each piece, with a progress bar.

    Pieces of which no block is chosen are left out.
    """
    total = sum(len(piece) - 1 for piece in pieces)
    scores = []
    with tqdm(total=total, unit="token", desc="scoring", unit_scale=True, mininterval=1) as bar:
        for number, piece in enumerate(pieces):
            blocks = []
            sampling = BlockSampling.of(number, every)
            for block in piece_scores(model, piece, device, sampling, flavour):
                blocks.append(block)
                bar.update(block.shape[1])
            nats, wasted = np.concatenate(blocks, axis=1)
            found = Scores(nats, piece[1:], number, wasted)
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
            return score(self.model, pieces, self.device, every, self.flavour)


def load(path: Path, device: str, precision: str) -> Subject:
    """Load a checkpoint. Raises ModelMismatch when it is damaged or of another vocabulary."""
    if device == "cuda" and not torch.cuda.is_available():
        raise PerformerError("--device cuda: torch finds no CUDA device here; leave --device out")
    checkpoint = load_checkpoint(path, tuple(Flavour))
    model = checkpoint.build_model().to(device).eval()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    steps = checkpoint.progress.get("step")
    return Subject(model, torch.device(device), precision, checkpoint.flavour, parameters, steps)
