"""Repetition: n-grams that recur, and windows that are like earlier ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceivers.errors import PerformerError
from training.evaluation.metrics.notes import Notes, TooFewNotes, make_notes
from training.evaluation.metrics.playing_order import chord_numbers, in_playing_order
from training.evaluation.metrics.repetition import (
    paired_difference,
    recurrence,
    recurring_share,
    self_similarity,
    window_features,
)

pitch_lists = st.lists(st.integers(0, 127), min_size=4, max_size=40)


def melody(pitches: list[int], apart_s: float = 0.25) -> Notes:
    return make_notes(
        (n * apart_s, n * apart_s + 0.2, pitch, 70) for n, pitch in enumerate(pitches)
    )


@given(pitch_lists, st.integers(1, 3))
def test_the_recurring_share_is_what_comparing_every_pair_gives(
    pitches: list[int], length: int
) -> None:
    grams = [tuple(pitches[i : i + length]) for i in range(len(pitches) - length + 1)]
    again = [gram in grams[:i] for i, gram in enumerate(grams)]

    found = recurring_share(np.array(pitches), length)

    assert found == pytest.approx(sum(again) / len(again))


def test_a_phrase_played_twice_recurs_and_once_does_not() -> None:
    phrase = [60, 62, 64, 67, 65, 71, 69, 72]

    once = recurrence(melody([*phrase, 30, 31, 33]), [8])[8]
    twice = recurrence(melody(phrase + phrase), [8])[8]
    moved = recurrence(melody(phrase + [pitch + 5 for pitch in phrase]), [8])[8]

    assert (once.exact, once.transposed) == (0.0, 0.0)
    assert (twice.exact, twice.transposed) == pytest.approx((1 / 9, 1 / 9))
    assert (moved.exact, moved.transposed) == pytest.approx((0.0, 1 / 9))


def test_the_order_of_fingers_in_a_chord_does_not_matter() -> None:
    chords = [(60, 64, 67), (62, 65, 69)]
    notes = make_notes(
        (bar * 1.0 + 0.01 * finger, bar + 0.9, pitch, 70)
        for bar in range(4)
        for finger, pitch in enumerate(chords[bar % 2][:: 1 if bar < 2 else -1])
    )

    assert recurrence(notes, [6])[6].exact == pytest.approx(1 / 7)


def test_a_chord_spans_thirty_milliseconds_from_its_first_note() -> None:
    steps = np.array([0, 1, 3, 4, 7, 8, 20, 20])

    assert chord_numbers(steps).tolist() == [1, 1, 1, 2, 2, 3, 4, 4]
    pitches = np.array([67, 60, 64, 50, 40, 70, 9, 8])
    assert in_playing_order(steps, pitches).tolist() == [60, 64, 67, 40, 50, 70, 8, 9]
    assert chord_numbers(np.zeros(0, dtype=np.int64)).tolist() == []


@pytest.mark.parametrize("count", [0, 1, 8])
def test_too_few_notes_are_refused(count: int) -> None:
    with pytest.raises(TooFewNotes, match="no two n-grams of 8"):
        recurrence(melody(list(range(count))), [8])


def test_pairs_are_compared_with_an_interval_over_compositions() -> None:
    model = [0.3, 0.5, 0.4, 0.2]
    human = [0.1, 0.2, 0.3, 0.1]

    found = paired_difference(model, human, ["a", "a", "b", "c"])

    assert found["pairs"] == 4
    assert found["difference"] == pytest.approx(0.175)
    assert found["difference"] == pytest.approx(found["model"] - found["human"])
    assert 0.1 <= found["low"] <= found["difference"] <= found["high"] <= 0.25
    same = paired_difference(human, human, ["a", "a", "b", "c"])
    assert (same["low"], same["high"]) == (0.0, 0.0)


def test_what_does_not_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="do not pair"):
        paired_difference([1.0], [1.0, 2.0], ["a"])
    with pytest.raises(PerformerError, match="no continuations"):
        paired_difference([], [], [])


def song(*parts: int) -> Notes:
    """Return 8 s of music for each part; parts of one number are the same music."""
    rows = []
    for place, part in enumerate(parts):
        rng = np.random.default_rng(part)
        for onset_s in sorted(rng.uniform(0, 8, 30)):
            pitch = 36 + int(rng.choice([0, 2, 4, 7])) + int(rng.integers(0, 12, 1)[0] * (part % 3))
            rows.append((place * 8 + onset_s, place * 8 + onset_s + 0.1, pitch, 70))
    return make_notes(rows)


def test_what_is_played_again_is_like_itself() -> None:
    found = self_similarity(song(1, 2, 1, 4, 5))

    assert found.matrix.shape[0] == found.matrix.shape[1]
    assert np.allclose(found.matrix, found.matrix.T)
    assert np.allclose(np.diag(found.matrix), 1.0)
    assert found.matrix.min() >= 0.0
    assert [found.matrix[16 + start, start] for start in range(5)] == pytest.approx([1.0] * 5)
    assert found.matrix[8, 0] < 0.9


def test_more_returns_in_a_song_with_a_refrain() -> None:
    refrain = self_similarity(song(1, 2, 1, 4, 1)).returning_share()
    without = self_similarity(song(1, 2, 6, 4, 5)).returning_share()

    assert refrain > without + 0.2


def test_similarity_is_told_for_each_span_that_there_is() -> None:
    found = self_similarity(song(1, 2, 1))

    assert list(found.at_lags()) == ["4-8 s", "8-15 s", "15-30 s"]
    assert found.at_lags((16, 16.5))["16-16.5 s"] > found.at_lags((8, 8.5))["8-8.5 s"]
    assert found.at_lags((100, 200)) == {}


def test_features_of_a_silent_window_are_zero_and_of_another_one_have_length_one() -> None:
    notes = make_notes([(0.0, 0.1, 60, 70), (1.0, 1.2, 64, 70), (12.5, 13.0, 60, 70)])

    rows = window_features(notes)

    assert np.linalg.norm(rows[5]) == 0.0
    assert np.linalg.norm(rows[0, :12]) == pytest.approx(1.0)
    assert np.linalg.norm(rows[0, 12:]) == pytest.approx(1.0)
    assert rows[0, [0, 4]] == pytest.approx([2**-0.5] * 2)


def test_music_that_is_too_short_is_refused() -> None:
    with pytest.raises(TooFewNotes, match="needs 8 s"):
        self_similarity(melody([60] * 10))
    with pytest.raises(TooFewNotes, match="needs 8 s"):
        self_similarity(make_notes([]))
    with pytest.raises(TooFewNotes, match="too short for anything to return"):
        self_similarity(melody([60] * 40)).returning_share()
