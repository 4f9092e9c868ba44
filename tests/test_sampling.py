import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from perceivers.sampling import SamplingSettings, probabilities, sample

LOGITS = np.log(np.array([0.5, 0.25, 0.125, 0.0625, 0.0625], dtype=np.float32))
ALL = np.ones(5, dtype=np.bool_)

SETTINGS = st.builds(
    SamplingSettings,
    temperature=st.floats(0.05, 5.0),
    top_p=st.floats(0.01, 1.0),
    min_p=st.floats(0.0, 1.0),
)


@given(
    hnp.arrays(np.float32, 30, elements=st.floats(-50, 50, width=32)),
    hnp.arrays(np.bool_, 30).filter(lambda mask: mask.any()),
    SETTINGS,
    st.integers(0, 2**32),
)
@settings(deadline=None)
def test_a_forbidden_token_is_never_drawn_and_the_likeliest_always_may_be(
    logits: np.ndarray, allowed: np.ndarray, chosen: SamplingSettings, seed: int
):
    shares = probabilities(logits, allowed, chosen)
    token = sample(logits, allowed, chosen, np.random.default_rng(seed))

    assert shares.sum() == pytest.approx(1.0)
    assert not shares[~allowed].any()
    assert shares[allowed].max() == shares[np.flatnonzero(allowed)[logits[allowed].argmax()]] > 0
    assert shares[token] > 0


def test_neutral_settings_give_the_distribution_of_the_model():
    shares = probabilities(LOGITS, ALL, SamplingSettings())

    assert shares == pytest.approx([0.5, 0.25, 0.125, 0.0625, 0.0625], rel=1e-6)


def test_temperature_sharpens_and_flattens():
    cold = probabilities(LOGITS, ALL, SamplingSettings(temperature=0.5))
    hot = probabilities(LOGITS, ALL, SamplingSettings(temperature=2.0))

    squares = np.array([0.5, 0.25, 0.125, 0.0625, 0.0625]) ** 2
    assert cold == pytest.approx(squares / squares.sum(), rel=1e-5)
    assert cold[0] > 0.5 > hot[0] > 0.2


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.0001, 1), (0.4999, 1), (0.51, 2), (0.76, 3), (1.0, 5)]
)
def test_top_p_keeps_the_fewest_tokens_that_reach_the_share(top_p: float, kept: int):
    shares = probabilities(LOGITS, ALL, SamplingSettings(top_p=top_p))

    assert (shares > 0).sum() == kept
    assert (shares[:kept] > 0).all()


@pytest.mark.parametrize(("min_p", "kept"), [(0.0, 5), (0.1, 5), (0.2, 3), (0.3, 2), (1.0, 1)])
def test_min_p_drops_what_is_far_less_likely_than_the_likeliest(min_p: float, kept: int):
    shares = probabilities(LOGITS, ALL, SamplingSettings(min_p=min_p))

    assert (shares > 0).sum() == kept


def test_the_same_seed_draws_the_same_tokens():
    def draw(seed: int) -> list[int]:
        rng = np.random.default_rng(seed)
        return [sample(LOGITS, ALL, SamplingSettings(), rng) for _ in range(50)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_one_number_of_the_generator_is_used_whatever_the_settings():
    used, reference = np.random.default_rng(5), np.random.default_rng(5)

    for top_p in (1.0, 0.5, 0.01):
        sample(LOGITS, ALL, SamplingSettings(top_p=top_p), used)
        reference.random()

    assert used.random() == reference.random()


def test_draws_follow_the_probabilities():
    rng = np.random.default_rng(0)

    drawn = [sample(LOGITS, ALL, SamplingSettings(), rng) for _ in range(20_000)]

    found = np.bincount(drawn, minlength=5) / len(drawn)
    # three standard deviations of the first share are 0.0106
    assert found == pytest.approx([0.5, 0.25, 0.125, 0.0625, 0.0625], abs=0.0107)


def test_a_mask_that_allows_nothing_is_refused():
    with pytest.raises(ValueError, match="allows no token"):
        sample(LOGITS, ~ALL, SamplingSettings(), np.random.default_rng(0))
