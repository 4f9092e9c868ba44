import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.segmentation import Crop, crop_ending_at, effective_crop

LATENTS = 64
CONTEXT = 1024


def coverage(length: int, draws: int = 20_000) -> np.ndarray:
    """Return how often each position is a latent, its mean over the piece being 1."""
    rng = np.random.default_rng(0)
    changes = np.zeros(length + 1)
    for _ in range(draws):
        crop = effective_crop(length, CONTEXT, LATENTS, rng)
        changes[crop.latents_start] += 1
        changes[crop.end] -= 1
    counts = np.cumsum(changes)[:length]
    return counts / counts.mean()


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(1, 200), st.integers(0, 1000), st.integers(0, 2**32))
def test_a_crop_lies_in_its_piece_and_has_as_many_latents_as_there_are(
    length: int, latents: int, more_context: int, seed: int
):
    context = latents + more_context

    crop = effective_crop(length, context, latents, np.random.default_rng(seed))

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


def test_without_clipping_the_first_tokens_would_be_almost_untrained():
    """The figure that the clipped end point is for: the plain end in [N, T]."""
    rng = np.random.default_rng(0)
    length = 3 * CONTEXT
    counts = np.zeros(length)
    for _ in range(5000):
        crop = crop_ending_at(int(rng.integers(LATENTS, length + 1)), CONTEXT, LATENTS)
        counts[crop.latents_start : crop.end] += 1

    assert counts[:4].mean() < 0.1 * counts.mean()


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
