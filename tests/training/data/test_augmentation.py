"""Augmented music is music: the grammar holds, nothing drifts, nothing leaves its range."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceivers import vocabulary as v
from perceivers.decoder import decode
from perceivers.encoder import encode
from perceivers.events import NoteOff, NoteOn, TimedEvent
from perceivers.grammar import allowed_tokens
from perceivers.midi_files import read_performance
from perceivers.score import ScoreState
from tests.support.random_music import PERFORMANCES
from training.data.augmentation import Ids, draw_factor, shift_velocities, stretch, transpose

STARTER_SET = Path(__file__).parents[3] / "training" / "starter"
PIECES = (
    sorted((STARTER_SET / "asap" / "Bach").rglob("*.mid"))[:2]
    + sorted((STARTER_SET / "supra_rolls").glob("*.mid"))[:1]
)


def tokens_of(performance: list[TimedEvent]) -> Ids:
    return np.array(encode(performance), dtype=np.int64)


def re_encoded(tokens: Ids, factor: float) -> list[int]:
    """Return the tokens that the encoder makes of the same events at stretched times."""
    events = decode(tokens.tolist())
    scaled = [
        TimedEvent(
            np.floor(round(timed.time_s * v.STEPS_PER_SECOND) * factor + 0.5) / v.STEPS_PER_SECOND,
            timed.event,
        )
        for timed in events
    ]
    return encode(scaled)


def first_forbidden(tokens: Ids) -> int | None:
    """Return the position of the first token that the grammar does not allow."""
    state = ScoreState()
    for position, token in enumerate(tokens.tolist()):
        if position >= 2 and not allowed_tokens(state, may_end=True)[token]:
            return position
        state.advance(token)
    return None


@given(PERFORMANCES, st.floats(0.01, 3.0), st.integers(-11, 11), st.integers(-31, 31))
@settings(deadline=None, max_examples=60)
def test_the_grammar_holds_after_every_augmentation(
    performance: list[TimedEvent], factor: float, semitones: int, bins: int
):
    tokens = shift_velocities(stretch(transpose(tokens_of(performance), semitones), factor), bins)

    assert first_forbidden(tokens) is None


@given(PERFORMANCES, st.floats(0.01, 3.0))
@settings(deadline=None, max_examples=60)
def test_stretching_is_what_the_encoder_makes_of_stretched_events(
    performance: list[TimedEvent], factor: float
):
    tokens = tokens_of(performance)

    assert stretch(tokens, factor).tolist() == re_encoded(tokens, factor)


@pytest.mark.parametrize("path", PIECES, ids=lambda path: path.stem)
@pytest.mark.parametrize("factor", [0.9523, 1.0371])
def test_a_stretched_performance_does_not_drift(path: Path, factor: float):
    tokens = tokens_of(read_performance(path))

    stretched = stretch(tokens, factor)

    before, after = decode(tokens.tolist()), decode(stretched.tolist())
    assert stretched.tolist() == re_encoded(tokens, factor)
    assert first_forbidden(stretched) is None
    assert [timed.event for timed in after] == [timed.event for timed in before]
    # half a step of rounding; a crowded instant would add one, and there is none in these pieces
    assert (
        max(
            abs(late.time_s - early.time_s * factor)
            for early, late in zip(before, after, strict=True)
        )
        <= 0.5 / v.STEPS_PER_SECOND + 1e-9
    )


def test_nothing_changes_at_the_old_tempo():
    tokens = tokens_of(read_performance(PIECES[0]))

    assert stretch(tokens, 1.0).tolist() == tokens.tolist()


@pytest.mark.parametrize(("steps", "factor", "told"), [
    ([100, 20], 1.0, [100, 20]),
    ([100, 100], 0.95, [100, 90]),  # split as the encoder splits it
    ([96], 1.05, [100, 1]),
    ([1], 0.4, []),  # vanishes
    ([], 2.0, []),
])  # fmt: skip
def test_time_shifts_are_split_and_vanish(steps: list[int], factor: float, told: list[int]):
    shifts = [v.shift_token(count) for count in steps]
    tokens = np.array([v.VELOCITY + 9, v.NOTE_ON + 60, *shifts, v.NOTE_OFF + 60])

    stretched = stretch(tokens, factor)

    found = [v.shift_token(count) for count in told]
    assert stretched.tolist() == [v.VELOCITY + 9, v.NOTE_ON + 60, *found, v.NOTE_OFF + 60]


@pytest.mark.parametrize("tokens", [[], [v.shift_token(50)], [v.shift_token(50), v.NOTE_ON]])
def test_a_part_of_a_piece_may_hold_little(tokens: list[int]):
    stretched = stretch(np.array(tokens, dtype=np.int64), 1.1)

    expected = [v.shift_token(55) if token == v.shift_token(50) else token for token in tokens]
    assert stretched.tolist() == expected


def test_tempo_factors_are_as_often_slower_as_faster():
    rng = np.random.default_rng(0)

    factors = np.array([draw_factor(0.05, rng) for _ in range(2000)])

    assert 1 / 1.05 <= factors.min() < 0.96 < 1.04 < factors.max() <= 1.05
    assert (factors > 1.0).mean() == pytest.approx(0.5, abs=0.05)  # four deviations: 0.045


@pytest.mark.parametrize(("velocities", "bins", "done"), [
    ((40, 80), 2, 2), ((40, 80), -2, -2), ((3, 80), -2, 0), ((40, 123), 3, 1), ((3, 127), 5, 0),
])  # fmt: skip
def test_touch_moves_as_far_as_it_stays_in_range(velocities: tuple[int, int], bins: int, done: int):
    events = [
        TimedEvent(i * 0.1, NoteOn(60 + i, velocity)) for i, velocity in enumerate(velocities)
    ] + [TimedEvent(1.0, NoteOff(60)), TimedEvent(1.0, NoteOff(61))]
    tokens = tokens_of(events)

    moved = shift_velocities(tokens, bins)

    assert set((moved - tokens)[tokens != moved].tolist()) == ({done} if done else set())
    is_velocity = [v.kind_of(token) is v.Kind.VELOCITY for token in tokens.tolist()]
    assert ((moved != tokens) == (np.array(is_velocity) & (done != 0))).all()


@pytest.mark.parametrize("semitones", [-5, -1, 0, 3, 6])
def test_transposing_moves_notes_and_nothing_else(semitones: int):
    performance = [TimedEvent(0.0, NoteOn(60, 64)), TimedEvent(1.0, NoteOff(60))]
    moved = [
        TimedEvent(0.0, NoteOn(60 + semitones, 64)),
        TimedEvent(1.0, NoteOff(60 + semitones)),
    ]

    assert transpose(tokens_of(performance), semitones).tolist() == encode(moved)


@pytest.mark.parametrize(("pitches", "asked", "done"), [
    ((21, 60), -5, 0), ((23, 60), -5, -2), ((60, 107), 6, 1), ((10, 120), 6, 0),
])  # fmt: skip
def test_transposing_stays_on_the_keyboard(pitches: tuple[int, ...], asked: int, done: int):
    tokens = np.array([v.NOTE_ON + pitch for pitch in pitches])

    assert (transpose(tokens, asked) - tokens).tolist() == [done] * len(pitches)
