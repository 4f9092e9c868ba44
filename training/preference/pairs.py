"""Pairs to learn from: after one primer, what the pianist played and what the model played."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from perceivers import vocabulary as v
from perceivers.encoder import StreamEncoder
from perceivers.events import TimedEvent
from training.data.batches import IGNORED, Batch, Sample, collate
from training.evaluation.continuations.folder import Continuation, load_continuations

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pair:
    """Tokens after one primer; both answers end with their last stroke."""

    primer: Ids
    pianist: Ids
    own: Ids
    group: str  # the composition


@dataclass(frozen=True, slots=True)
class Lengths:
    """How much of a pair is taken, in tokens."""

    latents: int  # primer and answer that carry a state
    context: int  # primer and answer together
    answer: int  # the most of an answer that counts


def load_pairs(folder: Path) -> list[Pair]:
    """Read the pairs of a folder of continuations. Raises PerformerError when it is not whole."""
    return [_pair_of(continuation) for continuation in load_continuations(folder)]


def _pair_of(continuation: Continuation) -> Pair:
    primer, cut_s = continuation.primer(), continuation.item.cut_s
    start_s = primer[0].time_s
    encoder = StreamEncoder()
    tokens = encoder.begin(v.Source.DISKLAVIER)  # as the daemon tags what it hears
    for event in primer:
        tokens += encoder.feed(TimedEvent(event.time_s - start_s, event.event))
    at_s = cut_s - start_s
    pianist, own = (
        _answer(encoder, at_s, side) for side in (continuation.human, continuation.model)
    )
    return Pair(np.array(tokens), pianist, own, continuation.item.group)


def _answer(primed: StreamEncoder, cut_s: float, events: Sequence[TimedEvent]) -> Ids:
    """Return the tokens of an answer behind a primer, up to the last note-on.

    Behind that one nothing but releases would be left, which neither a pianist nor a model meant.
    """
    encoder = StreamEncoder(primed.state.copy())
    tokens: list[int] = []
    for event in events:
        tokens += encoder.feed(TimedEvent(cut_s + event.time_s, event.event))
    strokes = [n for n, token in enumerate(tokens) if v.kind_of(token) is v.Kind.NOTE_ON]
    return np.array(tokens[: strokes[-1] + 1], dtype=np.int64)


def split_pairs(pairs: Sequence[Pair], held_out: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Return the pairs to learn from and those to watch: whole compositions, about this share."""
    groups = sorted({pair.group for pair in pairs})
    np.random.default_rng(seed).shuffle(groups)
    watched = set(groups[: max(1, round(held_out * len(groups)))])
    parts: tuple[list[Pair], list[Pair]] = ([], [])
    for pair in pairs:
        parts[pair.group in watched].append(pair)
    return parts


def batch_of(pairs: Sequence[Pair], lengths: Lengths) -> Batch:
    """Return all pianists' answers, then all of the model's, each behind its primer.

    The targets are the answers' tokens alone.
    """
    samples = [_sample(pair.primer, pair.pianist, lengths) for pair in pairs]
    samples += [_sample(pair.primer, pair.own, lengths) for pair in pairs]
    return collate(samples, lengths.latents)


def _sample(primer: Ids, answer: Ids, lengths: Lengths) -> Sample:
    answer = answer[: lengths.answer]
    tokens = np.concatenate((primer, answer))
    inputs = tokens[:-1][-lengths.context :]
    targets = np.where(np.arange(1, len(tokens)) < len(primer), IGNORED, tokens[1:])
    cut = max(0, len(inputs) - lengths.latents)
    return Sample(inputs[:cut], inputs[cut:], targets[-len(inputs[cut:]) :])
