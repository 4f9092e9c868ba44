"""Scores by the engine: those of the full forward pass, and of the block protocol."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from perceivers.encoder import encode
from perceivers.errors import PerformerError
from tests.support.make_model import TINY, make_model
from tests.support.simple_music import music
from training.evaluation.likelihood import block_protocol as likelihood
from training.evaluation.likelihood import streamed
from training.evaluation.likelihood.blocks import BlockSampling, block_ends
from training.evaluation.likelihood.figures import Floats, Ids, summary

CLOSE = 1e-4  # nats; measured: 1e-5 and less
REACH = sum(window - 1 for window in TINY.windows)


def piece(notes: int, seed: int = 0) -> Ids:
    return np.array(encode(music(notes, seed=seed)))


@torch.no_grad()
def full_pass_nats(tokens: Ids) -> Floats:
    """Return the costs under one forward pass in which every position is a latent."""
    logits = make_model()(torch.from_numpy(tokens[:-1])[None])[0]
    found: Floats = cross_entropy(logits, torch.from_numpy(tokens[1:]), reduction="none").numpy()
    return found


def has_full_history(length: int) -> np.ndarray:
    """Tell which tokens the block protocol predicts from latents with all their history.

    Those of the first block, and in every other those REACH or more behind its first latent.
    """
    ends = block_ends(length, TINY.latents)
    starts = [0, *ends[:-1]]
    parts = [
        np.arange(start, end) - max(0, end - TINY.latents) >= (REACH if end > TINY.latents else 0)
        for start, end in zip(starts, ends, strict=True)
    ]
    return np.concatenate(parts)


@pytest.mark.processes
def test_streamed_costs_are_those_of_one_full_forward_pass(tiny_model_folder: Path):
    tokens = piece(100)  # several contexts long

    (found,) = streamed.score(tiny_model_folder, [tokens])

    assert len(tokens) > 3 * TINY.context
    np.testing.assert_allclose(found.nats, full_pass_nats(tokens), atol=CLOSE)


@pytest.mark.processes
def test_blocks_cost_the_same_wherever_they_have_the_same_history(tiny_model_folder: Path):
    pieces = [piece(18, seed) for seed in range(8)]  # within the context
    assert all(TINY.latents * 2 < len(tokens) <= TINY.context for tokens in pieces)

    by_engine = streamed.score(tiny_model_folder, pieces)
    by_blocks = likelihood.score(make_model(), pieces, torch.device("cpu"))

    for engine, blocks in zip(by_engine, by_blocks, strict=True):
        same = has_full_history(len(engine.nats) + 1)
        assert 0.5 < same.mean() < 1
        np.testing.assert_allclose(engine.nats[same], blocks.nats[same], atol=CLOSE)
        assert np.abs(engine.nats - blocks.nats)[~same].max() > CLOSE


@pytest.mark.processes
def test_a_piece_that_fits_one_block_costs_the_same_to_a_thousandth(tiny_model_folder: Path):
    pieces = [piece(6, seed) for seed in range(5)]
    assert all(len(tokens) <= TINY.latents + 1 for tokens in pieces)

    by_engine = summary(streamed.score(tiny_model_folder, pieces))
    by_blocks = summary(likelihood.score(make_model(), pieces, torch.device("cpu")))

    for name in ("nats_per_token", "bits_per_note", "bits_per_second"):
        assert by_engine[name] == pytest.approx(by_blocks[name], abs=1e-3)


@pytest.mark.processes
def test_a_sample_of_blocks_costs_what_the_whole_does_there(tiny_model_folder: Path):
    pieces = [piece(100, seed) for seed in range(4)]
    whole = streamed.score(tiny_model_folder, pieces)

    sampled = streamed.score(tiny_model_folder, pieces, every=9)

    for number, found in enumerate(sampled):
        taken = found.is_scored
        assert 0 < taken.mean() < 0.4
        np.testing.assert_allclose(found.nats[taken], whole[number].nats[taken], atol=CLOSE)
    blocks = likelihood.score(make_model(), pieces, torch.device("cpu"), every=9)
    assert [f.is_scored.tolist() for f in sampled] == [f.is_scored.tolist() for f in blocks]


@pytest.mark.processes
def test_several_engines_find_what_one_finds(tiny_model_folder: Path):
    pieces = [piece(notes) for notes in (30, 5, 60, 10, 20)]

    one = streamed.score(tiny_model_folder, pieces, processes=1)
    three = streamed.score(tiny_model_folder, pieces, processes=3)

    assert [found.piece for found in three] == [0, 1, 2, 3, 4]
    for first, second in zip(one, three, strict=True):
        np.testing.assert_array_equal(first.nats, second.nats)


@pytest.mark.processes
def test_int8_is_another_figure_close_by(tiny_model_folder: Path):
    pieces = [piece(50, seed) for seed in range(3)]

    exact = summary(streamed.score(tiny_model_folder, pieces))["nats_per_token"]["value"]
    small = summary(streamed.score(tiny_model_folder, pieces, precision="int8"))

    assert small["nats_per_token"]["value"] != exact
    assert small["nats_per_token"]["value"] == pytest.approx(exact, rel=0.02)


@pytest.mark.processes
def test_an_engine_that_fails_is_told_in_one_line(tiny_model_folder: Path):
    with pytest.raises(PerformerError, match=r"^the engine failed: precision .* not 'fp64'$"):
        streamed.score(tiny_model_folder, [piece(10), piece(20)], precision="fp64", processes=2)


def test_work_is_dealt_out_evenly():
    dealt = streamed.shares([5, 1, 9, 4, 4], 2)

    assert sorted(number for share in dealt for number in share) == [0, 1, 2, 3, 4]
    assert sorted(sum([5, 1, 9, 4, 4][i] for i in share) for share in dealt) == [10, 13]
    assert streamed.shares([7], 4) == [[0]]


def test_spans_are_the_blocks_that_a_sampling_takes():
    spans = streamed.chosen_spans(100, 32, BlockSampling(2, 0))

    assert spans.tolist() == [[1, 33], [49, 65], [81, 97]]
