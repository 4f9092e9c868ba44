"""How long a set of runs will take: estimated before it begins, corrected as it goes."""

import time
from collections.abc import Sequence

import torch

from perceivers.model import PerceiverS
from training.ablation.compute import BACKWARD, crop_flop
from training.ablation.settings import Campaign, Run
from training.data.batches import Batch
from training.data.segmentation import Crop
from training.run.precision import autocast
from training.run.validation import batch_nll

TIMED_STEPS = 3
SCORING_LATENTS_PER_TOKEN = 2  # blocks of N/2 in passes of N
START_S = 6.0  # of a run: data, first validation, checkpoints


def measured_flop_rate(campaign: Campaign, device: torch.device) -> float:
    """Return the operations per second of training the reference model, on random tokens."""
    reference = campaign.reference
    rows = max(1, campaign.tokens_at_once // reference.latents)
    prefix = reference.context - reference.latents
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(reference.vocabulary_size, (rows, reference.context + 1),
                           generator=generator)  # fmt: skip
    batch = Batch(
        tokens[:, prefix:-1], tokens[:, prefix + 1 :], tokens[:, :prefix],
        torch.zeros(rows, dtype=torch.int64),
    )  # fmt: skip
    model = PerceiverS(reference).to(device)
    _train_steps(model, batch, device, campaign.precision, steps=1)
    started_s = time.monotonic()
    _train_steps(model, batch, device, campaign.precision, TIMED_STEPS)
    elapsed_s = time.monotonic() - started_s
    crop = Crop(0, prefix, reference.context)
    return TIMED_STEPS * rows * crop_flop(reference, crop) / elapsed_s


def _train_steps(
    model: PerceiverS, batch: Batch, device: torch.device, precision: str, steps: int
) -> None:
    for _ in range(steps):
        with autocast(device, precision):
            loss = batch_nll(model, batch, device)
        loss.backward()  # type: ignore[no-untyped-call]
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def expected_seconds(run: Run, flop: float, flop_per_s: float) -> float:
    """Return how long a run of so many operations will take, with its scoring."""
    campaign = run.campaign
    per_token = flop / (campaign.steps * campaign.tokens_per_step)
    scoring = campaign.scored_tokens * SCORING_LATENTS_PER_TOKEN * per_token / (1 + BACKWARD)
    return START_S + (flop + scoring) / flop_per_s


class Pace:
    """How much longer, or shorter, runs took than was expected of them."""

    def __init__(self) -> None:
        self._expected_s = self._taken_s = 0.0

    def add(self, expected_s: float, taken_s: float) -> None:
        """Take a run that is done."""
        self._expected_s += expected_s
        self._taken_s += taken_s

    def corrected(self, expected_s: float) -> float:
        """Return how long what is left will take at the pace so far."""
        return expected_s * self._taken_s / self._expected_s if self._expected_s else expected_s


def clock(seconds: float) -> str:
    """Return a duration as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def total(durations_s: Sequence[float], processes: int) -> float:
    """Return how long all runs take together when so many processes share them."""
    if not durations_s:
        return 0.0
    return max(*durations_s, sum(durations_s) / processes)
