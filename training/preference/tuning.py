"""The loop of learning from own answers: low rates, and the likelihood of unseen music watched."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from perceivers.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from perceivers.errors import PerformerError
from perceivers.model import PerceiverS
from training.data.batches import Batch
from training.data.token_store import TokenStore
from training.preference.loss import (
    answer_nats,
    frozen_nats_of,
    margins,
    pianists_tokens,
    preference,
)
from training.preference.pairs import Lengths, Pair, batch_of, split_pairs
from training.run.optimizers import CLIP_NORM, Optimizers
from training.run.precision import AUTO, autocast, chosen_precision
from training.run.validation import fixed_batches, mean_nll

WATCH_EVERY = 50  # steps
ROWS = 4  # crops at once where the likelihood is watched


@dataclass(frozen=True, slots=True)
class PreferenceOptions:
    """How the model learns from its own answers."""

    beta: float = 0.1
    anchor: float = 0.2
    rate: float = 0.02  # factor on the rates of training
    pairs_per_step: int = 4
    epochs: int = 1
    context: int = 2048  # tokens of primer and answer
    answer: int = 768  # the most tokens of an answer
    held_out: float = 0.1  # share of compositions that are only watched
    most_loss: float = 0.02  # nats per token that unseen music may become dearer by
    seed: int = 0
    precision: str = AUTO

    def check(self) -> None:
        """Raise PerformerError for what cannot work."""
        rules = {
            "--beta must be above 0": self.beta > 0,
            "--anchor must not be negative": self.anchor >= 0,
            "--rate must be above 0": self.rate > 0,
            "--pairs must be above 0": self.pairs_per_step > 0,
            "--epochs must be above 0": self.epochs > 0,
            "--held-out must lie in 0 < share < 1": 0 < self.held_out < 1,
            "--most-loss must be above 0": self.most_loss > 0,
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise PerformerError("; ".join(broken))


@dataclass(frozen=True, slots=True)
class Watched:
    """How the model stands on pairs and music that it does not learn from."""

    preferred: float  # share of pairs whose pianist gained on the model's own answer
    margin: float  # nats, mean over pairs
    nats_per_token: float  # of fixed crops of unseen performances


def prefer(
    init: Path, pairs: Sequence[Pair], tokens: Path, out: Path, options: PreferenceOptions
) -> list[Watched]:
    """Let a checkpoint learn from pairs, and write what it has become to `out`.

    Every so often it is watched; what is written is its newest state in which unseen music is not
    dearer than allowed. Returns what was seen, the first before anything was learned. Raises
    PerformerError when there are too few pairs.
    """
    options.check()
    checkpoint = load_checkpoint(init)
    model, frozen = checkpoint.build_model(), checkpoint.build_model().eval()
    learned, kept_apart = split_pairs(pairs, options.held_out, options.seed)
    if len(learned) < options.pairs_per_step or not kept_apart:
        raise PerformerError(f"{len(pairs)} pairs are too few to learn from; make more")
    store = TokenStore(tokens, "validation")
    architecture = checkpoint.architecture
    crops = fixed_batches(store, options.context, architecture.latents, ROWS)
    lengths = Lengths(architecture.latents, options.context, options.answer)
    watch = _Watch(model, frozen, kept_apart, crops, lengths, options)
    optimizers = Optimizers(model, options.rate)
    steps = options.epochs * (len(learned) // options.pairs_per_step)
    seen = [watch.look()]
    _tell(0, seen[-1])
    with tqdm(total=steps, desc="preferring", unit="step", disable=not sys.stderr.isatty()) as bar:
        for step, chosen in enumerate(_drawn(learned, options), start=1):
            _learn(model, frozen, batch_of(chosen, lengths), optimizers, 1 - step / steps, options)
            bar.update()
            if step % WATCH_EVERY and step != steps:
                continue
            seen.append(watch.look())
            _tell(step, seen[-1])
            if seen[-1].nats_per_token > seen[0].nats_per_token + options.most_loss:
                print("unseen music has become too dear; what was written before stays")
                break
            save_checkpoint(out, _checkpoint(checkpoint, model, len(learned), step))
    return seen


def _drawn(pairs: Sequence[Pair], options: PreferenceOptions) -> Iterator[list[Pair]]:
    rng = np.random.default_rng(options.seed)
    width = options.pairs_per_step
    for _ in range(options.epochs):
        order = rng.permutation(len(pairs))
        for start in range(0, len(pairs) - width + 1, width):
            yield [pairs[index] for index in order[start : start + width]]


def _learn(
    model: PerceiverS,
    frozen: PerceiverS,
    batch: Batch,
    optimizers: Optimizers,
    factor: float,
    options: PreferenceOptions,
) -> None:
    with _autocast(options):
        before = frozen_nats_of(frozen, batch)
        found = preference(
            answer_nats(model, batch),
            before,
            pianists_tokens(batch),
            options.beta,
            options.anchor,
        )
    found.loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
    optimizers.step(factor)


class _Watch:
    """Looks at pairs that are kept apart, and at unseen music."""

    def __init__(
        self,
        model: PerceiverS,
        frozen: PerceiverS,
        pairs: Sequence[Pair],
        crops: list[Batch],
        lengths: Lengths,
        options: PreferenceOptions,
    ) -> None:
        self._model = model
        self._crops = crops
        self._options = options
        width = options.pairs_per_step
        parts = [pairs[start : start + width] for start in range(0, len(pairs), width)]
        self._batches = [batch_of(part, lengths) for part in parts]
        with _autocast(options):
            self._before = [frozen_nats_of(frozen, batch) for batch in self._batches]

    def look(self) -> Watched:
        """Return how the model stands."""
        self._model.eval()
        with _autocast(self._options):
            margin = torch.cat([self._margin(*each) for each in self._known()])
            nll = mean_nll(self._model, self._crops, torch.device("cpu"))
        return Watched(float((margin > 0).float().mean()), float(margin.mean()), nll)

    def _known(self) -> Iterator[tuple[Batch, Tensor]]:
        return zip(self._batches, self._before, strict=True)

    def _margin(self, batch: Batch, before: Tensor) -> Tensor:
        return margins(frozen_nats_of(self._model, batch), before)


def _autocast(options: PreferenceOptions) -> torch.autocast:
    device = torch.device("cpu")
    return autocast(device, chosen_precision(options.precision, device))


def _checkpoint(begun: Checkpoint, model: PerceiverS, pairs: int, step: int) -> Checkpoint:
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    learned = {"preference_pairs": pairs, "preference_steps": step}
    return replace(begun, weights=weights, progress=begun.progress | learned, resume={})


def _tell(step: int, seen: Watched) -> None:
    print(
        f"step {step:>5}  pianists preferred in {100 * seen.preferred:.0f} % of pairs kept apart, "
        f"by {seen.margin:+.1f} nats; unseen music {seen.nats_per_token:.4f} nats/token",
        flush=True,
    )
