"""Pairs: one primer, two answers, and only the answers are learned from."""

from pathlib import Path

import numpy as np
import pytest

from perceivers import vocabulary as v
from perceivers.encoder import encode
from perceivers.midi_files import read_performance
from training.data.batches import IGNORED
from training.evaluation.continuations.folder import load_continuations
from training.evaluation.continuations.making import Request, make_continuations
from training.preference.pairs import Lengths, Pair, batch_of, load_pairs, split_pairs

STARTER = Path(__file__).resolve().parents[3] / "training" / "starter"


@pytest.fixture(scope="module")
def answers(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answers")
    request = Request(tiny_model_folder, STARTER, split="train", count=2, notes=12, primer_notes=20)
    make_continuations(request, folder, quiet=True)
    return folder


def test_the_pianist_s_tokens_are_those_of_the_performance(answers: Path) -> None:
    continuation = load_continuations(answers)[0]
    item = continuation.item
    performance = read_performance(STARTER / item.source)
    whole = encode(performance, v.Source.DISKLAVIER)

    pair = load_pairs(answers)[0]

    together = np.concatenate((pair.primer, pair.pianist))
    strokes = [token for token in whole if v.kind_of(token) is v.Kind.NOTE_ON]
    ours = [token for token in together if v.kind_of(token) is v.Kind.NOTE_ON]
    assert ours == strokes[: len(ours)]
    assert len(pair.pianist) > 12


def test_both_answers_end_with_the_stroke_that_was_counted_last(answers: Path) -> None:
    for pair in load_pairs(answers):
        for answer in (pair.pianist, pair.own):
            strokes = [v.kind_of(int(token)) is v.Kind.NOTE_ON for token in answer]
            assert sum(strokes) == 12
            assert strokes[-1]


def pair_of(primer: int, pianist: int, own: int, group: str = "") -> Pair:
    return Pair(np.arange(primer), 100 + np.arange(pianist), 200 + np.arange(own), group)


def test_only_the_answers_are_targets() -> None:
    batch = batch_of([pair_of(30, 8, 12)], Lengths(latents=24, context=40, answer=10))

    targets = [row[row != IGNORED].tolist() for row in batch.targets]
    assert targets == [list(range(100, 108)), list(range(200, 210))]


def test_each_target_stands_behind_the_token_before_it() -> None:
    batch = batch_of([pair_of(30, 8, 12)], Lengths(latents=24, context=40, answer=10))

    for latents, targets in zip(batch.latents, batch.targets, strict=True):
        places = (targets != IGNORED).nonzero()[1:, 0]
        assert latents[places].tolist() == targets[places - 1].tolist()


def test_a_short_primer_needs_no_prefix() -> None:
    batch = batch_of([pair_of(5, 4, 4)], Lengths(latents=24, context=40, answer=10))

    assert batch.prefix.shape[1] == 0
    assert (batch.targets != IGNORED).sum() == 8


def test_what_is_kept_apart_is_whole_compositions() -> None:
    pairs = [pair_of(5, 4, 4, group) for group in "aabbccddee"]

    learned, kept_apart = split_pairs(pairs, held_out=0.2, seed=0)

    assert len(kept_apart) == 2
    assert len({pair.group for pair in kept_apart}) == 1
    assert {pair.group for pair in learned}.isdisjoint(pair.group for pair in kept_apart)
