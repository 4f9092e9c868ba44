"""The block protocol, and the figures made of what it finds."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from export.verify import stepped_logits
from perceivers import vocabulary as v
from perceivers.encoder import encode
from perceivers.grammar import allowed_tokens
from perceivers.score import ScoreState
from tests.support.make_model import TINY, make_model
from tests.support.simple_music import music
from training.evaluation.likelihood.block_protocol import piece_scores, score
from training.evaluation.likelihood.blocks import BlockSampling, block_ends
from training.evaluation.likelihood.figures import (
    Scores,
    by_context,
    by_kind,
    notes_in,
    seconds_in,
    summary,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize("length", [2, 3, TINY.latents, TINY.latents + 1, 100, 333])
def test_every_token_but_the_first_is_scored_once_with_enough_history(length: int):
    ends = block_ends(length, TINY.latents)

    starts = [0, *ends[:-1]]
    assert ends[-1] == length - 1
    for start, end in zip(starts, ends, strict=True):
        assert start < end
        first_latent = max(0, end - TINY.latents)
        assert start - first_latent >= min(start, TINY.latents // 2)


@torch.no_grad()
def test_scores_are_those_of_one_full_forward_pass():
    """Within the context, with bands that history covers, blocks give what a single pass gives."""
    tokens = np.array(encode(music(12)))[: TINY.latents + 1]
    model = make_model()

    scores, _ = np.concatenate(list(piece_scores(model, tokens, CPU, BlockSampling())), axis=1)

    logits = model(torch.from_numpy(tokens[:-1])[None])[0]
    expected = cross_entropy(logits, torch.from_numpy(tokens[1:]), reduction="none")
    assert scores == pytest.approx(expected.numpy(), abs=1e-4)


@torch.no_grad()
def test_each_score_is_that_of_the_token_at_its_place():
    """A model that knows only which token is likely scores each occurrence alike."""
    model = make_model(replace(TINY, knows_keys=False))
    for name, parameter in model.named_parameters():
        if name.endswith(("output.weight", "down.weight")):
            torch.nn.init.zeros_(parameter)  # logits then depend on the present token alone
    tokens = np.array(encode(music(90)))

    scores, _ = np.concatenate(list(piece_scores(model, tokens, CPU, BlockSampling())), axis=1)

    logits = model(torch.from_numpy(tokens[:-1])[:, None])[:, 0]
    expected = cross_entropy(logits, torch.from_numpy(tokens[1:]), reduction="none")
    assert len(scores) == len(tokens) - 1 > 3 * TINY.context
    assert scores == pytest.approx(expected.numpy(), abs=1e-4)


@torch.no_grad()
def test_scores_beyond_the_context_are_those_of_the_stream():
    """Also of a key that is held for longer than the context reaches back."""
    # N / 2 latents of history are enough for these, and the first of them sees its whole scale.
    architecture = replace(TINY, windows=(5, 5, 4), scales=(24,))
    model = make_model(architecture)
    held = [v.BOS, v.VELOCITY + 9, v.NOTE_ON + 30, *encode(music(90))[2:]]
    tokens = np.array(held)

    scores, _ = np.concatenate(list(piece_scores(model, tokens, CPU, BlockSampling())), axis=1)

    logits = torch.from_numpy(stepped_logits(model, tokens[:-1], 7))
    expected = cross_entropy(logits, torch.from_numpy(tokens[1:]), reduction="none")
    assert scores == pytest.approx(expected.numpy(), abs=1e-4)


@torch.no_grad()
def test_under_the_grammar_only_allowed_tokens_share_the_probability():
    model = make_model()
    tokens = np.array(encode(music(90)))

    (found,) = score(model, [tokens], CPU)

    assert found.wasted is not None
    state = ScoreState()
    state.advance(int(tokens[0]))
    for place in range(2, TINY.latents):  # behind BOS and tag
        state.advance(int(tokens[place - 1]))
        logits = model(torch.from_numpy(tokens[:place])[None])[0, -1].double()
        allowed = torch.from_numpy(allowed_tokens(state, may_end=True))
        logits[~allowed] = -torch.inf
        expected = -torch.log_softmax(logits, 0)[tokens[place]]
        assert found.nats[place - 1] - found.wasted[place - 1] == pytest.approx(
            float(expected), abs=1e-4
        )
    assert (found.wasted >= 0).all()
    assert 0 < summary([found])["under_grammar"]["nats_per_token"]["value"] < found.nats.mean()


def test_notes_and_seconds_are_counted_from_the_tokens():
    tokens = np.array(encode(music(12)))

    assert notes_in(tokens) == 12
    assert seconds_in(tokens) == pytest.approx(11 * 0.25 + 0.2)


def test_figures_are_ratios_of_sums_with_an_interval_around_them():
    rng = np.random.default_rng(0)
    pieces = [np.array(encode(music(notes, seed=notes))) for notes in (100, 20, 180)]
    scores = [Scores(rng.normal(2.0, 0.5, len(piece) - 1), piece[1:]) for piece in pieces]

    figures = summary(scores)

    nats = np.concatenate([found.nats for found in scores])
    assert figures["tokens"] == len(nats)
    assert figures["nats_per_token"]["value"] == pytest.approx(nats.mean())
    assert figures["bits_per_note"]["value"] == pytest.approx(nats.sum() / math.log(2) / 300)
    assert figures["bits_per_second"]["value"] == pytest.approx(
        nats.sum() / math.log(2) / figures["seconds"]
    )
    for name in ("nats_per_token", "bits_per_note", "bits_per_second"):
        found = figures[name]
        assert found["low"] <= found["value"] <= found["high"]


def test_context_is_what_lies_before_the_predicted_token():
    # entry t is the token at position t + 1, which has t + 1 tokens before it
    nats = np.arange(1, 20_001, dtype=np.float64)

    buckets = by_context([Scores(nats, np.zeros(20_000, np.int64))])

    assert [found["tokens"] for found in buckets.values()] == [511, 512, 3072, 12_288, 3617]
    assert buckets["512-1024"]["value"] == pytest.approx((512 + 1023) / 2)
    assert by_context([Scores(nats[:10], np.zeros(10, np.int64))])["16384+"]["value"] is None


def test_a_sample_of_blocks_scores_what_the_whole_scores_there():
    model = make_model()
    piece = np.array(encode(music(100)))
    whole = score(model, [piece], CPU)[0].nats

    (sampled,) = score(model, [piece], CPU, every=3)

    taken = ~np.isnan(sampled.nats)
    assert 0 < taken.sum() < len(whole) / 2
    np.testing.assert_allclose(sampled.nats[taken], whole[taken])
    assert summary([sampled])["tokens"] == taken.sum()


def test_kinds_share_all_tokens_and_all_nats():
    pieces = [np.array(encode(music(notes, seed=notes))) for notes in (30, 50)]
    rng = np.random.default_rng(1)
    scores = [Scores(rng.normal(2.0, 0.5, len(piece) - 1), piece[1:]) for piece in pieces]

    kinds = by_kind(scores)

    assert set(kinds) == {"tag", "note_on", "note_off", "time_shift", "velocity", "eos"}
    assert kinds["note_on"]["tokens"] == kinds["note_off"]["tokens"] == 80
    assert sum(found["share_of_tokens"] for found in kinds.values()) == pytest.approx(1)
    assert sum(found["share_of_nats"] for found in kinds.values()) == pytest.approx(1)
    together = sum(found["value"] * found["tokens"] for found in kinds.values())
    assert together == pytest.approx(sum(found.nats.sum() for found in scores))
    ends = [found.nats[-1] for found in scores]
    assert kinds["eos"]["value"] == pytest.approx(np.mean(ends))


def test_one_piece_has_no_interval_and_no_notes_have_no_bits():
    one = Scores(np.full(3, 2.0), np.array([v.TIME_SHIFT, v.PEDAL_DOWN, v.EOS]))

    figures = summary([one])

    assert figures["nats_per_token"] == {"value": 2.0, "low": None, "high": None}
    assert figures["bits_per_note"] == {"value": None, "low": None, "high": None}


def test_the_interval_is_that_of_pieces_drawn_again():
    """Two pieces, one cheap and one dear: a quarter of all draws holds one of them only."""
    targets = np.full(10, v.TIME_SHIFT)
    scores = [Scores(np.full(10, cost), targets) for cost in (1.0, 3.0)]

    found = summary(scores)["nats_per_token"]

    assert found == {"value": 2.0, "low": 1.0, "high": 3.0}
