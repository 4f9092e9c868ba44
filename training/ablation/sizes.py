"""How large the experiments are: the reference model, and what each run is given."""

from dataclasses import dataclass, field, replace

from perceivers.architecture import Architecture
from training.models.presets import PRESETS


@dataclass(frozen=True, slots=True)
class Size:
    """One scale at which all experiments can be run."""

    reference: Architecture
    tokens_per_run: int  # loss tokens, were every crop full
    tokens_per_step: int
    tokens_at_once: int  # on a device; the rest of a step is accumulated
    scored_tokens: int  # of the validation split, about
    seeds: int
    recipe: dict[str, str] = field(default_factory=dict)
    """Options of training/train.py, without dashes, for every arm."""
    arms: tuple[str, ...] | None = None
    """Names of the arms that are worth their time at this size; None is all."""


SIZES = {
    "quick": Size(
        Architecture(
            dim=32,
            heads=2,
            feedforward=96,
            context=256,
            latents=32,
            scales=(None, 32),
            windows=(4, 8, 16),
        ),
        tokens_per_run=16_384,
        tokens_per_step=256,
        tokens_at_once=256,
        scored_tokens=2_000,
        seeds=1,
        recipe={"dropout": "0"},
    ),
    "proxy": Size(
        Architecture(
            dim=128,
            heads=2,
            feedforward=512,
            context=4096,
            latents=256,
            scales=(None, 256),
            windows=(16, 32, 64, 128),
        ),
        tokens_per_run=655_360,
        tokens_per_step=2048,
        tokens_at_once=2048,
        scored_tokens=160_000,
        seeds=2,
        recipe={"dropout": "0"},  # no token is seen twice
    ),
    "small": Size(
        replace(PRESETS["small"], context=4096),
        tokens_per_run=5_242_880,
        tokens_per_step=4096,
        tokens_at_once=4096,
        scored_tokens=160_000,
        seeds=1,
        recipe={"dropout": "0", "weight": "supra_rolls=0.25"},
        arms=(
            "whole context alone",
            "MLP on both",
            "plain decoder, window 512",
            "Perceiver AR, its own crops",
            "sum",
            "N = 512, M = 4,096",
        ),
    ),
    "base": Size(
        PRESETS["base"],
        tokens_per_run=40_960_000,
        tokens_per_step=32_768,
        tokens_at_once=8192,
        scored_tokens=10_000_000,
        seeds=3,
        recipe={"dropout": "0.1"},
    ),
}
"""`quick` shows that everything works, and decides nothing. `proxy` is made for two CPU cores: a
twenty-fifth of `base` in parameters, a quarter of its N and an eighth of its M. `small` asks what
decides the form of the shipped model, at its size: hours of two cores. `base` needs a GPU."""
