"""What a result depends on, and the name that follows from it.

A campaign is what all runs of a table have in common. A run adds an arm and a seed. The name of a
run tells people its arm; everything else is hashed into it, so that results of other settings are
never mixed.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from perceivers.architecture import Architecture
from training.ablation.experiments import Arm, Experiment, experiments
from training.ablation.sizes import SIZES

PROTOCOL = 1
"""To be raised when training or scoring changes so that older results no longer compare."""

DIGEST_LENGTH = 6  # of hexadecimal digits


@dataclass(frozen=True, slots=True)
class Campaign:
    """What all runs of a table have in common."""

    size: str
    reference: Architecture
    tokens_per_run: int
    tokens_per_step: int
    tokens_at_once: int
    scored_tokens: int
    data: str  # hash of what the token files hold
    scored_datasets: tuple[str, ...]  # of the validation split; none means all
    precision: str
    recipe: dict[str, str] = field(default_factory=dict)  # options of training/train.py
    protocol: int = PROTOCOL

    @property
    def steps(self) -> int:
        """Return the optimiser steps of each run."""
        return max(1, round(self.tokens_per_run / self.tokens_per_step))

    @property
    def preset_words(self) -> str:
        """Return what --preset is followed by: the size, and the tokens if not the size's own."""
        if self.tokens_per_run == SIZES[self.size].tokens_per_run:
            return self.size
        return f"{self.size} --tokens-per-run {self.tokens_per_run}"

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self) | {
            "reference": self.reference.to_json(),
            "scored_datasets": list(self.scored_datasets),
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Campaign":
        """Build from JSON values."""
        converted = {
            "reference": Architecture.from_json(fields["reference"]),
            "scored_datasets": tuple(fields["scored_datasets"]),
        }
        return cls(**(fields | converted))


@dataclass(frozen=True, slots=True)
class Run:
    """One training run with its scoring."""

    campaign: Campaign
    arm: Arm
    seed: int

    @property
    def name(self) -> str:
        """Return the name of the run's folder and of its result: size, arm, settings, seed.

        The settings are hashed. The reference is an arm of several experiments, each of which has
        another word for it.
        """
        settings = [
            self.campaign.to_json() | {"reference": _told(self.campaign.reference)},
            _told(self.arm.architecture),
            self.arm.training,
        ]
        content = json.dumps(settings, sort_keys=True).encode()
        digest = hashlib.sha256(content).hexdigest()[:DIGEST_LENGTH]
        arm = "reference" if self._is_reference else _as_file_name(self.arm.name)
        return f"{self.campaign.size}-{arm}-{digest}-seed{self.seed}"

    @property
    def _is_reference(self) -> bool:
        return self.arm.architecture == self.campaign.reference and not self.arm.training

    @property
    def batch(self) -> int:
        """Return the crops of a step: as many as give all arms the same tokens."""
        return max(1, self.campaign.tokens_per_step // self.arm.architecture.latents)

    @property
    def micro_batch(self) -> int:
        """Return the crops that a device holds at once, a divisor of the batch."""
        at_once = max(1, self.campaign.tokens_at_once // self.arm.architecture.latents)
        return next(n for n in range(min(at_once, self.batch), 0, -1) if self.batch % n == 0)


def _as_file_name(words: str) -> str:
    """Return words for a person as a part of a file's name: N = 512, M = 4,096 is n-512-m-4096."""
    whole_numbers = re.sub(r"(?<=\d),(?=\d)", "", words.lower())
    return re.sub(r"[^a-z0-9]+", "-", whole_numbers).strip("-")


def _told(architecture: Architecture) -> dict[str, Any]:
    """Return the fields that are no default: names stay when a field is added later."""
    usual = Architecture().to_json()
    return {name: value for name, value in architecture.to_json().items() if value != usual[name]}


def chosen_experiments(campaign: Campaign, keys: Sequence[str]) -> list[Experiment]:
    """Return the experiments with these keys, or all of the size if there are none."""
    arms = SIZES[campaign.size].arms
    return [f for f in experiments(campaign.reference, arms) if not keys or f.key in keys]


def planned_runs(campaign: Campaign, keys: Sequence[str], seeds: int) -> list[Run]:
    """Return the runs in the order of their importance: every arm once, then every arm again.

    Arms that several experiments share are run once.
    """
    arms = [arm for experiment in chosen_experiments(campaign, keys) for arm in experiment.arms]
    order = SIZES[campaign.size].arms
    if order is not None:
        arms.sort(key=lambda arm: order.index(arm.name) if arm.name in order else -1)
    planned: dict[str, Run] = {}
    for seed in range(seeds):
        for arm in arms:
            run = Run(campaign, arm, seed)
            planned.setdefault(run.name, run)
    return list(planned.values())
