"""What a command asks for: the data, the runs in their order, and how long they take."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perceivers.vocabulary import fingerprint
from training.ablation import budget
from training.ablation.compute import flop_of
from training.ablation.runner import Place, is_done, scored_pieces
from training.ablation.settings import Campaign, Run, planned_runs
from training.ablation.sizes import SIZES
from training.data.midi_folder import SPLITS
from training.data.preparation import prepare
from training.data.token_store import TokenStore
from training.run.precision import chosen_precision

HEADLINE_DATASETS = ("asap", "maestro_extra")
"""What figures are told of, where the data has it: played on keys, not punched into rolls."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line says; None is the size's own number."""

    preset: str
    only: tuple[str, ...]
    seeds: int | None
    tokens_per_run: int | None
    tokens: Path | None
    midi: Path
    datasets: tuple[str, ...]
    out: Path
    results: Path
    device: str
    precision: str
    keep_runs: bool

    @property
    def token_folder(self) -> Path:
        """Return where the token files are, or will be."""
        return self.tokens or self.out / "tokens"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done."""

    place: Place
    runs: list[Run]
    expected_s: dict[str, float]  # of each run, by its name, with the machine to itself

    @property
    def left(self) -> list[Run]:
        """Return the runs without a result."""
        return [run for run in self.runs if not is_done(self.place, run)]

    def seconds_left(self, processes: int) -> float:
        """Return how long the rest will take."""
        return budget.total([self.expected_s[run.name] for run in self.left], processes)


def prepare_data(wish: Wish) -> None:
    """Make the token files, unless the wish names a folder of them."""
    if wish.tokens is None:
        prepare(wish.midi, wish.token_folder)


def make_plan(wish: Wish) -> Plan:
    """Choose the runs and estimate what they take. The data is prepared."""
    size, tokens = SIZES[wish.preset], wish.token_folder
    place = Place(wish.out / "runs", wish.results, tokens, wish.device, wish.keep_runs)
    campaign = Campaign(
        size=wish.preset,
        reference=size.reference,
        tokens_per_run=wish.tokens_per_run or size.tokens_per_run,
        tokens_per_step=size.tokens_per_step,
        tokens_at_once=size.tokens_at_once,
        scored_tokens=size.scored_tokens,
        data=data_hash(tokens),
        scored_datasets=wish.datasets or _headline_datasets(tokens),
        precision=chosen_precision(wish.precision, place.torch_device),
        recipe=size.recipe,
    )
    scored_pieces(tokens, campaign)  # refused now, not after the first training
    runs = planned_runs(campaign, wish.only, wish.seeds or size.seeds)
    rate = budget.measured_flop_rate(campaign, place.torch_device)
    lengths = TokenStore(tokens, "train").lengths
    expected_s = {
        run.name: budget.expected_seconds(run, flop_of(run, lengths), rate) for run in runs
    }
    return Plan(place, runs, expected_s)


def data_hash(tokens: Path) -> str:
    """Return the hash of what the token files hold: the same however they are cut into shards."""
    pieces = [
        (piece.path, piece.split, piece.dataset, piece.length, piece.notes)
        for split in SPLITS
        for piece in TokenStore(tokens, split).pieces
    ]
    content = json.dumps([fingerprint(), sorted(pieces)])
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _headline_datasets(tokens: Path) -> tuple[str, ...]:
    found = {piece.dataset for piece in TokenStore(tokens, "validation").pieces}
    return tuple(name for name in HEADLINE_DATASETS if name in found)


def split_words(text: str) -> tuple[str, ...]:
    """Return the words of a comma-separated list."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def unknown_words(words: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the words that are not known."""
    return [word for word in words if word not in known]
