import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from perceivers import vocabulary as v
from perceivers.sampling import SamplingSettings, probabilities, sample

LOGITS = np.log(np.array([0.5, 0.25, 0.125, 0.0625, 0.0625], dtype=np.float32))
ALL = np.ones(5, dtype=np.bool_)

TOKENS = np.arange(v.VOCABULARY_SIZE)
SHIFTS = (TOKENS >= v.TIME_SHIFT) & (TOKENS < v.TIME_SHIFT + v.MAX_SHIFT_STEPS)
NOTES = (TOKENS >= v.NOTE_ON) & (TOKENS < v.NOTE_ON + v.PITCHES)

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
    assert logits[shares.argmax()] == pytest.approx(logits[allowed].max(), abs=1e-12)  # or equal
    assert shares[token] > 0


def prediction(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and a mask over the whole vocabulary."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3.0, size=v.VOCABULARY_SIZE).astype(np.float32)
    return logits, rng.random(v.VOCABULARY_SIZE) < rng.random()


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def by_the_book(logits: np.ndarray, allowed: np.ndarray, chosen: SamplingSettings) -> np.ndarray:
    """Temperature, min-p and top-p, each by its definition."""
    tempered = logits.astype(np.float64) / chosen.temperature
    shares = softmax(np.where(allowed, tempered, -np.inf))
    shares[shares < chosen.min_p * shares.max()] = 0.0
    shares /= shares.sum()
    if chosen.top_p < 1.0:
        taken = 0.0
        for token in np.argsort(-shares, kind="stable"):
            share = shares[token]
            shares[token] = 0.0 if taken >= chosen.top_p else share
            taken += share
    return shares / shares.sum()


@given(st.integers(0, 2**32), SETTINGS)
@settings(deadline=None)
def test_shares_and_draws_are_those_of_the_definitions(seed: int, chosen: SamplingSettings):
    logits, allowed = prediction(seed)
    allowed[seed % v.VOCABULARY_SIZE] = True

    expected = by_the_book(logits, allowed, chosen)
    token = sample(logits, allowed, chosen, np.random.default_rng(seed))

    assert probabilities(logits, allowed, chosen) == pytest.approx(expected, rel=1e-9)
    cumulative = np.cumsum(expected)
    uniform = np.random.default_rng(seed).random() * cumulative[-1]
    assert token == np.searchsorted(cumulative, uniform, side="right")


TEMPERATURES = st.floats(0.1, 2.0)


@given(st.integers(0, 2**32), TEMPERATURES, TEMPERATURES, TEMPERATURES)
@settings(deadline=None)
def test_time_and_pitch_are_tempered_within_their_kinds_and_the_kinds_by_the_temperature(
    seed: int, temperature: float, time: float, pitch: float
):
    logits, allowed = prediction(seed)
    allowed[v.TIME_SHIFT + 7] = allowed[v.NOTE_ON + 60] = True
    alone = SamplingSettings(temperature)
    chosen = SamplingSettings(temperature, time_temperature=time, pitch_temperature=pitch)

    plain, shares = probabilities(logits, allowed, alone), probabilities(logits, allowed, chosen)

    others = ~SHIFTS & ~NOTES
    assert shares[others] == pytest.approx(plain[others], rel=1e-9)
    for kind, own in ((SHIFTS, time), (NOTES, pitch)):
        assert shares[kind].sum() == pytest.approx(plain[kind].sum(), rel=1e-9)
        within = softmax(logits[kind & allowed].astype(np.float64) / own)
        assert shares[kind & allowed] / shares[kind].sum() == pytest.approx(within, rel=1e-9)
    assert not shares[~allowed].any()


@given(st.integers(0, 2**32), TEMPERATURES)
@settings(deadline=None)
def test_equal_temperatures_are_exactly_the_one_temperature(seed: int, temperature: float):
    logits, allowed = prediction(seed)
    allowed[v.EOS] = True
    equal = SamplingSettings(
        temperature, 0.9, 0.01, time_temperature=temperature, pitch_temperature=temperature
    )

    shares = probabilities(logits, allowed, equal)

    assert (
        shares == probabilities(logits, allowed, SamplingSettings(temperature, 0.9, 0.01))
    ).all()


def test_a_kind_that_the_mask_forbids_needs_no_temperature_of_its_own():
    logits, _ = prediction(0)
    chosen = SamplingSettings(time_temperature=0.5, pitch_temperature=2.0)

    shares = probabilities(logits, SHIFTS, chosen)

    assert shares[SHIFTS] == pytest.approx(softmax(logits[SHIFTS].astype(np.float64) / 0.5))


@pytest.mark.parametrize("limits", [{"min_p": 0.1}, {"top_p": 0.6}])
def test_min_p_and_top_p_act_on_what_the_temperatures_made(limits: dict[str, float]):
    logits = np.full(v.VOCABULARY_SIZE, -30.0, np.float32)
    logits[v.NOTE_ON + np.array([60, 64, 67])] = np.log([0.5, 0.25, 0.25])
    allowed = np.ones(v.VOCABULARY_SIZE, dtype=np.bool_)

    kept = [
        int(
            (
                probabilities(logits, allowed, SamplingSettings(**limits, pitch_temperature=own))
                > 0
            ).sum()
        )
        for own in (0.1, 1.0)
    ]

    assert kept == [1, 3] if "min_p" in limits else [1, 2]


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

    logits, _ = prediction(5)
    everything = np.ones(v.VOCABULARY_SIZE, dtype=np.bool_)
    for top_p in (1.0, 0.5, 0.01):
        for own in (None, 0.5, 1.0, 1.5):
            chosen = SamplingSettings(top_p=top_p, time_temperature=own, pitch_temperature=own)
            sample(logits, everything, chosen, used)
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
