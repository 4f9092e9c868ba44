import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.segmentation import (
    SEGMENTATIONS,
    Crop,
    crop_ending_at,
    curriculum_context,
    draw_crop,
    effective_crop,
)

LATENTS = 64
CONTEXT = 1024


def coverage(
    length: int, draws: int = 20_000, segmentation: str = "effective"
) -> npt.NDArray[np.float64]:
    """Return how often each position is a latent, its mean over the piece being 1."""
    rng = np.random.default_rng(0)
    changes = np.zeros(length + 1)
    for _ in range(draws):
        crop = draw_crop(segmentation, length, CONTEXT, LATENTS, rng)
        changes[crop.latents_start] += 1
        changes[crop.end] -= 1
    counts = np.cumsum(changes)[:length]
    return counts / counts.mean()


@settings(deadline=None)
@given(
    st.sampled_from(SEGMENTATIONS),
    st.integers(1, 3000),
    st.integers(1, 200),
    st.integers(0, 1000),
    st.integers(0, 2**32),
)
def test_a_crop_lies_in_its_piece_and_has_as_many_latents_as_there_are(
    segmentation: str, length: int, latents: int, more_context: int, seed: int
):
    context = latents + more_context

    crop = draw_crop(segmentation, length, context, latents, np.random.default_rng(seed))

    assert 0 <= crop.start <= crop.latents_start < crop.end <= length
    assert crop.end - crop.latents_start == min(latents, length)
    assert crop.end - crop.start == min(context, crop.end)


@pytest.mark.parametrize("length", [5 * LATENTS, CONTEXT, 3 * CONTEXT])
def test_openings_and_endings_are_trained_as_often_as_middles(length: int):
    found = coverage(length)

    # Two positions, next to where the clipping heaps crops up, are trained twice as often.
    middle = found[2 * LATENTS : -2 * LATENTS].mean()
    assert found[: LATENTS // 4].mean() > 0.85 * middle
    assert found[-LATENTS // 4 :].mean() > 0.85 * middle
    assert found.min() > 0.75 * middle
    assert found.max() < 2.2 * middle


def test_without_clipping_the_first_and_the_last_tokens_would_be_almost_untrained():
    """The figure that the clipped end point is for."""
    found = coverage(3 * CONTEXT, segmentation="effective-unclipped")

    assert found[:4].mean() < 0.1
    assert found[-4:].mean() < 0.1
    assert found[LATENTS:-LATENTS].min() > 0.7


def test_a_random_start_trains_nothing_that_has_not_almost_a_whole_context_before_it():
    found = coverage(3 * CONTEXT, segmentation="random-start")

    assert not found[: CONTEXT - LATENTS].any()
    assert found[CONTEXT:-LATENTS].min() > 0.7


def test_of_a_short_piece_a_random_start_trains_the_last_tokens_only():
    rng = np.random.default_rng(0)

    crops = {draw_crop("random-start", 300, CONTEXT, LATENTS, rng) for _ in range(50)}

    assert crops == {Crop(0, 300 - LATENTS, 300)}


def test_the_ends_of_a_piece_are_within_reach_of_every_segmentation_that_has_them():
    """Off by one here would go unnoticed in a loss."""
    rng = np.random.default_rng(0)
    length, context, latents = 12, 6, 3
    ends = {
        name: {draw_crop(name, length, context, latents, rng).end for _ in range(2000)}
        for name in SEGMENTATIONS
    }

    assert ends["random-start"] == set(range(context, length + 1))
    for name in ("effective", "effective-unclipped", "curriculum"):
        assert ends[name] == set(range(latents, length + 1))


@pytest.mark.parametrize("segmentation", ["effective", "curriculum"])
def test_effective_crops_are_drawn_as_they_were_before_there_was_a_choice(segmentation: str):
    """A run that is resumed must see the batches that it would have seen."""
    one, other = np.random.default_rng(5), np.random.default_rng(5)

    for length in (1, 50, 700, 4000):
        crop = draw_crop(segmentation, length, CONTEXT, LATENTS, one)
        end = min(max(int(other.integers(1, length + LATENTS)), LATENTS), length)
        assert crop == crop_ending_at(end, CONTEXT, LATENTS)
    assert one.integers(1000) == other.integers(1000)


def test_an_unknown_segmentation_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="'random' is none of effective, effective-unclipped"):
        draw_crop("random", 100, CONTEXT, LATENTS, np.random.default_rng(0))


def test_a_curriculum_grows_evenly_from_the_latents_to_the_whole_context():
    contexts = [curriculum_context(step, 10, CONTEXT, LATENTS) for step in range(15)]

    assert contexts[0] == LATENTS
    assert contexts[10:] == [CONTEXT] * 5
    assert set(np.diff(contexts[:11])) == {(CONTEXT - LATENTS) // 10}


def test_a_curriculum_without_steps_is_refused():
    with pytest.raises(ValueError, match="at least one step, not 0"):
        curriculum_context(0, 0, CONTEXT, LATENTS)


def test_every_context_from_nothing_to_all_of_it_is_trained():
    rng = np.random.default_rng(0)
    crops = [effective_crop(3 * CONTEXT, CONTEXT, LATENTS, rng) for _ in range(5000)]

    prefixes = np.array([crop.latents_start - crop.start for crop in crops])

    assert prefixes.min() == 0
    assert prefixes.max() == CONTEXT - LATENTS
    histogram, _ = np.histogram(prefixes, bins=8, range=(0, CONTEXT - LATENTS))
    assert (histogram > 0).all()


def test_a_piece_shorter_than_the_latents_is_taken_whole():
    rng = np.random.default_rng(0)

    assert {effective_crop(10, CONTEXT, LATENTS, rng) for _ in range(50)} == {Crop(0, 0, 10)}


def test_an_empty_piece_is_refused():
    with pytest.raises(ValueError, match="at least one token"):
        effective_crop(0, CONTEXT, LATENTS, np.random.default_rng(0))
