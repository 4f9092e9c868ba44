from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from perceivers import vocabulary as v
from perceivers.encoder import encode
from tests.support.make_model import TINY, make_model
from tests.support.simple_music import music
from training.data.batches import IGNORED, Batch, BatchSource, Recipe, collate, sample_of
from training.data.mixture import Mixture, weighted_lengths
from training.data.prefetch import drawing_ahead
from training.data.segmentation import Crop
from training.data.token_store import Piece, TokenStore, write_index


def piece_of(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(v.NOTE_ON, v.VOCABULARY_SIZE, length)


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    """Return three pieces of very different lengths."""
    pieces = [piece_of(length, seed) for seed, length in enumerate((10, 100, 900))]
    np.concatenate(pieces).astype("<u2").tofile(tmp_path / "shard-00000.bin")
    offsets = np.cumsum([0, 10, 100])
    write_index(
        tmp_path,
        [
            Piece(f"{i}.mid", "train", "", "shard-00000.bin", int(offsets[i]), len(piece), 1, 1.0)
            for i, piece in enumerate(pieces)
        ],
    )
    return TokenStore(tmp_path, "train")


def source_of(store: TokenStore, *contexts: int, seed: int = 1, **more: Any) -> BatchSource:
    recipe = Recipe(contexts=contexts or (96,), latents=32, seed=seed, **more)
    return BatchSource(Mixture([(store, weighted_lengths(store, {}))]), recipe)


def test_targets_are_the_tokens_that_follow_the_latents():
    tokens = piece_of(50)

    sample = sample_of(tokens, Crop(5, 20, 30))

    assert (sample.prefix == tokens[5:20]).all()
    assert (sample.latents == tokens[20:30]).all()
    assert (sample.targets == tokens[21:31]).all()


def test_the_last_token_of_a_piece_has_no_target():
    tokens = piece_of(50)

    batch = collate([sample_of(tokens, Crop(0, 40, 50))], latents=10)

    assert batch.targets[0, -1] == IGNORED
    assert batch.loss_tokens == 9


@torch.no_grad()
def test_padding_carries_no_information():
    """Samples of different lengths in one batch give the logits that each gives alone."""
    model = make_model()
    long = sample_of(piece_of(90, 1), Crop(0, 90 - TINY.latents, 90))
    middle = sample_of(piece_of(60, 2), Crop(10, 60 - TINY.latents, 60))
    short = sample_of(piece_of(7, 3), Crop(0, 0, 7))

    together = collate([long, middle, short], TINY.latents)
    logits = model(together.latents, together.prefix, together.prefix_padding)

    for row, sample in enumerate((long, middle, short)):
        alone = model(torch.from_numpy(sample.latents)[None], torch.from_numpy(sample.prefix)[None])
        # measured 2.5e-6 on logits of size 4.8: another block layout sums in another order
        torch.testing.assert_close(
            logits[row, : len(sample.latents)], alone[0], atol=5e-5, rtol=1e-4
        )


@torch.no_grad()
def test_what_stands_in_the_padding_changes_nothing():
    model = make_model()
    samples = [
        sample_of(piece_of(90, 1), Crop(0, 58, 90)),
        sample_of(piece_of(40, 2), Crop(0, 8, 40)),
        sample_of(piece_of(7, 3), Crop(0, 0, 7)),
    ]
    batch = collate(samples, TINY.latents)
    latents, prefix = batch.latents.clone(), batch.prefix.clone()

    latents[2, 7:] = v.NOTE_ON + 3
    for row, padding in enumerate(batch.prefix_padding.tolist()):
        prefix[row, :padding] = v.NOTE_ON + 5

    before = model(batch.latents, batch.prefix, batch.prefix_padding)
    after = model(latents, prefix, batch.prefix_padding)
    known = batch.targets != IGNORED
    assert torch.equal(before[known], after[known])


def test_the_same_step_gives_the_same_batch_and_another_step_another(store: TokenStore):
    source, again = source_of(store), source_of(store)

    for step in (0, 7):
        first, second = source.batch(step, range(4)), again.batch(step, range(4))
        assert torch.equal(first.latents, second.latents)
        assert torch.equal(first.prefix, second.prefix)
    other_step, other_seed = source.batch(8, range(4)), source_of(store, seed=2)
    assert not torch.equal(source.batch(7, range(4)).latents, other_step.latents)
    assert not torch.equal(source.batch(7, range(4)).latents, other_seed.batch(7, range(4)).latents)


def test_rows_drawn_by_two_processes_are_the_rows_of_one(store: TokenStore):
    source = source_of(store)

    whole = source.batch(3, range(4))
    halves = [source.batch(3, range(2)), source.batch(3, range(2, 4))]

    assert torch.equal(whole.latents, torch.cat([half.latents for half in halves]))
    assert torch.equal(whole.targets, torch.cat([half.targets for half in halves]))


def test_pieces_are_drawn_in_proportion_to_their_length(store: TokenStore):
    source = source_of(store)

    batches = [source.batch(step, range(20)) for step in range(30)]

    shortest = sum(int((batch.latents[:, 10:] == v.PAD).all(1).sum()) for batch in batches)
    # 10 tokens of 1,010 in 600 draws: six expected, fifteen is beyond three deviations
    assert shortest < 15


def test_steps_take_several_contexts_in_turn(store: TokenStore) -> None:
    source = source_of(store, 40, 96)

    longest = [
        max(source.batch(step, range(8)).prefix.shape[1] for step in range(first, 12, 2))
        for first in (0, 1)
    ]

    assert longest[0] == 40 - 32
    assert longest[0] < longest[1] <= 96 - 32


@pytest.fixture
def played(tmp_path: Path) -> TokenStore:
    """Return two performances on a Disklavier, of which crops from the opening are common."""
    pieces = [encode(music(notes, seed=notes), v.Source.DISKLAVIER) for notes in (12, 60)]
    np.array([token for piece in pieces for token in piece], "<u2").tofile(tmp_path / "s.bin")
    starts = (0, len(pieces[0]))
    write_index(
        tmp_path,
        [
            Piece(f"{i}.mid", "train", "", "s.bin", start, len(piece), 1, 1.0)
            for i, (start, piece) in enumerate(zip(starts, pieces, strict=True))
        ],
    )
    return TokenStore(tmp_path, "train")


def tags_of(source: BatchSource, steps: int = 60) -> list[int]:
    """Return the tags of all crops that begin with the piece."""
    tags = []
    for step in range(steps):
        batch = source.batch(step, range(8))
        whole = torch.cat((batch.prefix, batch.latents), 1)
        at = (whole == v.BOS).nonzero()
        tags += [int(whole[row, column + 1]) for row, column in at.tolist()]
    return tags


def test_the_tag_is_withheld_as_often_as_asked(played: TokenStore):
    known, unknown = v.tag_of(v.Source.DISKLAVIER), v.tag_of(v.Source.UNKNOWN)

    assert set(tags_of(source_of(played))) == {known}
    assert set(tags_of(source_of(played, tag_dropout=1.0))) == {unknown}
    some = tags_of(source_of(played, tag_dropout=0.25), steps=120)
    assert set(some) == {known, unknown}
    # 600 openings or so: five deviations
    assert some.count(unknown) / len(some) == pytest.approx(0.25, abs=0.09)


def test_withholding_tags_draws_the_same_crops_of_everything_else(played: TokenStore):
    plain, dropped = source_of(played), source_of(played, tag_dropout=1.0)

    for step in range(20):
        first, second = plain.batch(step, range(4)), dropped.batch(step, range(4))
        differs = first.latents != second.latents
        assert set(second.latents[differs].tolist()) <= {v.tag_of(v.Source.UNKNOWN)}


@pytest.mark.parametrize("changes", [
    {"stretch": 0.3}, {"velocity_shift": 3}, {"stretch": 0.3, "velocity_shift": 3},
])  # fmt: skip
def test_augmented_crops_keep_their_shape_and_their_targets(
    played: TokenStore, changes: dict[str, Any]
):
    source = source_of(played, 96, tag_dropout=0.1, **changes)

    batches = [source.batch(step, range(8)) for step in range(20)]

    for batch in batches:
        assert batch.latents.shape == batch.targets.shape == (8, 32)
        assert batch.prefix.shape[1] <= 96 - 32
        follows = batch.targets[:, :-1] != IGNORED
        assert torch.equal(batch.targets[:, :-1][follows], batch.latents[:, 1:][follows])
        assert bool((batch.latents[batch.targets != IGNORED] != v.PAD).all())
    plain = source_of(played, 96).batch(0, range(8))
    assert not torch.equal(batches[0].latents, plain.latents)


def test_a_curriculum_begins_with_short_contexts(store: TokenStore):
    source = source_of(store, 96, segmentation="curriculum", curriculum_steps=10)

    longest = [source.batch(step, range(16)).prefix.shape[1] for step in (0, 5, 10, 11)]

    assert longest[0] == 0
    assert 0 < longest[1] <= 32
    assert 32 < max(longest[2:]) <= 64


def test_crops_with_a_random_start_have_the_whole_context(store: TokenStore):
    source = source_of(store, 96, segmentation="random-start")

    batch = source.batch(0, range(32))

    full = batch.prefix_padding == 0
    assert batch.prefix.shape[1] == 64
    assert full.float().mean() > 0.5  # all but those of the piece of 10 tokens


SO_MANY = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # for one processor
IN_PROCESSES = pytest.param(2, marks=[pytest.mark.processes, SO_MANY])


@pytest.mark.parametrize("processes", [0, IN_PROCESSES])
def test_batches_drawn_ahead_are_those_of_their_step(store: TokenStore, processes: int):
    source = source_of(store)

    with closing(drawing_ahead(lambda step: [source.batch(step, range(2))], processes)) as ahead:
        found = [ahead.batches(step)[0] for step in (3, 4, 5, 9)]

    for step, batch in zip((3, 4, 5, 9), found, strict=True):
        assert torch.equal(batch.latents, source.batch(step, range(2)).latents)


def test_a_thread_draws_no_batch_twice():
    drawn: list[int] = []

    def draw(step: int) -> list[Batch]:
        drawn.append(step)
        return []

    with closing(drawing_ahead(draw, 0)) as ahead:
        for step in range(3, 6):
            ahead.batches(step)

    assert drawn[:3] == [3, 4, 5], "and perhaps the one after"


@pytest.mark.parametrize("processes", [0, IN_PROCESSES])
def test_an_error_of_drawing_ahead_comes_with_its_step(processes: int):
    def draw(step: int) -> list[Batch]:
        if step == 1:
            raise OSError("the disk is gone")
        return []

    with closing(drawing_ahead(draw, processes)) as ahead:
        assert ahead.batches(0) == []
        with pytest.raises(OSError, match="the disk is gone"):
            ahead.batches(1)
