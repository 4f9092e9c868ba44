import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceivers import vocabulary as v
from perceivers.encoder import encode
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.grammar import GrammarWalk, allowed_tokens
from perceivers.score import MAX_EVENTS_AT_ONE_INSTANT, ScoreState
from tests.support.random_music import PERFORMANCES

EVENT_KINDS = {v.Kind.NOTE_ON, v.Kind.NOTE_OFF, v.Kind.PEDAL_DOWN, v.Kind.PEDAL_UP}


def state_after(*tokens: int) -> ScoreState:
    state = ScoreState()
    for token in tokens:
        state.advance(token)
    return state


@given(PERFORMANCES)
@settings(deadline=None)
def test_the_grammar_allows_every_token_that_the_encoder_says(performance: list[TimedEvent]):
    state = ScoreState()
    tokens = encode(performance)

    for position, token in enumerate(tokens):
        if position >= 2:  # BOS and the tag open a piece; the grammar knows nothing of them
            assert allowed_tokens(state, may_end=True)[token], (position, v.kind_of(token))
        state.advance(token)
    assert state.ended


@given(st.integers(0, 2**32 - 1), st.sets(st.integers(0, 127), max_size=6))
@settings(max_examples=40, deadline=None)
def test_what_is_drawn_under_the_mask_never_holds_a_forbidden_token(
    seed: int, untouchable: set[int]
):
    rng = np.random.default_rng(seed)
    # Few shifts, so that instants fill up; otherwise any weight for any token.
    weights = rng.random(v.VOCABULARY_SIZE) ** 3
    weights[v.TIME_SHIFT : v.TIME_SHIFT + v.MAX_SHIFT_STEPS] *= 0.05
    state = state_after(v.BOS, v.tag_of(v.Source.UNKNOWN))
    down: set[int] = set()
    pedal = False
    at_instant = 0

    for _ in range(400):
        shares = weights * allowed_tokens(state, untouchable=untouchable)
        token = int(rng.choice(v.VOCABULARY_SIZE, p=shares / shares.sum()))
        kind = v.kind_of(token)
        event = state.advance(token)

        assert (event is not None) == (kind in EVENT_KINDS)
        at_instant = 0 if kind is v.Kind.TIME_SHIFT else at_instant + (event is not None)
        assert at_instant <= MAX_EVENTS_AT_ONE_INSTANT
        if isinstance(event, NoteOn):
            assert event.pitch not in down | untouchable
            down.add(event.pitch)
        elif isinstance(event, NoteOff):
            assert event.pitch in down - untouchable
            down.remove(event.pitch)
        elif isinstance(event, Pedal):
            assert event.down != pedal
            pedal = event.down
        else:
            assert kind in {v.Kind.TIME_SHIFT, v.Kind.VELOCITY}


def test_without_a_velocity_no_note_may_be_struck():
    mask = allowed_tokens(state_after(v.BOS))

    assert not mask[v.NOTE_ON : v.NOTE_ON + v.PITCHES].any()
    assert mask[v.VELOCITY : v.VELOCITY + v.VELOCITY_BINS].all()


def test_a_velocity_is_followed_by_a_note():
    mask = allowed_tokens(state_after(v.VELOCITY + 3))

    assert mask[v.NOTE_ON : v.NOTE_ON + v.PITCHES].all()
    assert mask.sum() == v.PITCHES


def test_a_velocity_with_no_key_left_to_strike_is_no_dead_end():
    mask = allowed_tokens(state_after(v.VELOCITY + 3), untouchable=range(128))

    assert mask.any()
    assert not mask[v.NOTE_ON : v.NOTE_ON + v.PITCHES].any()


def test_the_velocity_in_force_is_not_said_again():
    mask = allowed_tokens(state_after(v.VELOCITY + 3, v.NOTE_ON + 60))

    assert not mask[v.VELOCITY + 3]
    assert mask[v.VELOCITY + 4]


def test_a_full_instant_allows_nothing_but_time_and_an_end():
    state = state_after(v.VELOCITY)
    for pitch in range(MAX_EVENTS_AT_ONE_INSTANT // 2):
        state.advance(v.NOTE_ON + pitch)
        state.advance(v.NOTE_OFF + pitch)

    allowed = {v.kind_of(int(t)) for t in np.flatnonzero(allowed_tokens(state, may_end=True))}

    assert allowed == {v.Kind.TIME_SHIFT, v.Kind.EOS}


@pytest.mark.parametrize(("tokens", "may_end"), [((), True), ((v.VELOCITY, v.NOTE_ON + 60), False)])
def test_a_piece_ends_only_with_every_key_up(tokens: tuple[int, ...], may_end: bool):
    state = state_after(*tokens)

    assert bool(allowed_tokens(state, may_end=True)[v.EOS]) == may_end
    assert not allowed_tokens(state)[v.EOS]


def test_after_the_end_there_is_only_the_end():
    assert np.flatnonzero(allowed_tokens(state_after(v.EOS))).tolist() == [v.EOS]


def test_walking_along_a_piece_allows_what_the_state_before_each_place_allows():
    tokens = encode([TimedEvent(0.0, NoteOn(60, 80)), TimedEvent(0.5, NoteOff(60))])

    rows = GrammarWalk(tokens).allowed(0, len(tokens))

    assert rows[np.arange(len(tokens)), tokens].all()
    assert rows[0].sum() == 1
    assert rows[1].sum() == len(v.Source)
    state = ScoreState()
    for place, token in enumerate(tokens):
        if place > 1:
            assert (rows[place] == allowed_tokens(state, may_end=True)).all()
        state.advance(token)
    walk = GrammarWalk(tokens)
    in_parts = [walk.allowed(1, 3), walk.allowed(5, len(tokens))]
    assert (np.concatenate(in_parts) == np.concatenate((rows[1:3], rows[5:]))).all()


@pytest.mark.parametrize("tokens", [(), (v.VELOCITY,), (v.VELOCITY, v.NOTE_ON + 60), (v.EOS,)])
def test_every_mask_is_the_callers_own(tokens: tuple[int, ...]):
    state = state_after(*tokens)
    first = allowed_tokens(state)
    expected = first.copy()

    first[:] = ~first

    assert (allowed_tokens(state) == expected).all()
