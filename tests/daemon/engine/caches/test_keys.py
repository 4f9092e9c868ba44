"""What the engine tells a model of keys and pedal."""

import numpy as np
import pytest

from daemon.engine.caches.keys import KeyInputs
from perceivers import vocabulary as v
from perceivers.keys_down import KEY_ROWS, KeysDown

WIDTH, REWIND = 3, 20


@pytest.fixture
def table() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(KEY_ROWS, WIDTH)).astype(np.float32)


@pytest.fixture
def tokens() -> np.ndarray:
    """Return chords of three keys, struck, held and released over and over."""
    chord = [v.NOTE_ON + 60, v.NOTE_ON + 64, v.shift_token(10), v.NOTE_OFF + 60, v.PEDAL_DOWN]
    rest = [v.shift_token(70), v.NOTE_OFF + 64, v.VELOCITY + 9, v.PEDAL_UP, v.shift_token(100)]
    return np.array((chord + rest) * 8)


def expected(tokens: np.ndarray, table: np.ndarray) -> np.ndarray:
    keys, told = KeysDown(), []
    for token in tokens.tolist():
        keys.read(token)
        told.append(table[keys.rows()].sum(axis=0))
    return np.array(told)


def told(inputs: KeyInputs, tokens: np.ndarray) -> np.ndarray:
    found = np.empty((len(tokens), WIDTH), np.float32)
    inputs.append(tokens, found)
    return found


def test_each_token_is_told_what_is_down_after_it(table: np.ndarray, tokens: np.ndarray) -> None:
    inputs = KeyInputs(table, REWIND)

    found = np.concatenate([told(inputs, part) for part in np.array_split(tokens, 7)])

    np.testing.assert_allclose(found, expected(tokens, table), rtol=1e-6)


def test_what_is_rewound_is_forgotten(table: np.ndarray, tokens: np.ndarray) -> None:
    inputs = KeyInputs(table, REWIND)
    told(inputs, tokens[:40])
    told(inputs, np.array([v.NOTE_ON + pitch for pitch in range(REWIND)]))

    assert inputs.oldest == 0
    inputs.rewind(40)

    np.testing.assert_allclose(told(inputs, tokens[40:]), expected(tokens, table)[40:], rtol=1e-6)


def test_tokens_passed_over_count(table: np.ndarray, tokens: np.ndarray) -> None:
    inputs = KeyInputs(table, REWIND)
    inputs.skip(tokens[:33])

    np.testing.assert_allclose(told(inputs, tokens[33:]), expected(tokens, table)[33:], rtol=1e-6)


def test_one_can_rewind_as_far_as_promised_however_long_the_stream(table: np.ndarray) -> None:
    tokens = np.random.default_rng(1).integers(0, v.VOCABULARY_SIZE, 30_000)
    inputs = KeyInputs(table, REWIND)
    inputs.skip(tokens)
    position = len(tokens) - REWIND

    assert 0 < inputs.oldest <= position
    inputs.rewind(position)

    np.testing.assert_allclose(
        told(inputs, tokens[position:]), expected(tokens, table)[position:], rtol=1e-5, atol=1e-5
    )


def test_a_saved_state_comes_back_as_often_as_wanted(table: np.ndarray, tokens: np.ndarray) -> None:
    inputs = KeyInputs(table, REWIND)
    told(inputs, tokens[:25])
    saved = inputs.save()

    for _ in range(2):
        told(inputs, tokens[:11])
        inputs.restart(0)
        inputs.restore(saved)
        np.testing.assert_allclose(
            told(inputs, tokens[25:]), expected(tokens, table)[25:], rtol=1e-6
        )
