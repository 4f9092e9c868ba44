"""The repetition penalty: what it finds is what a search finds, and loops end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceivers import vocabulary as v
from perceivers.repetition_penalty import WINDOW_NOTES, StruckPitches, discouraged
from perceivers.sampling import SamplingSettings, sample

FEW_PITCHES = st.lists(st.integers(60, 62), max_size=60)
PLAIN = np.zeros(v.VOCABULARY_SIZE, np.float32)
NOTE_ONS = slice(v.NOTE_ON, v.NOTE_ON + v.PITCHES)


def struck(pitches: list[int]) -> StruckPitches:
    known = StruckPitches()
    for pitch in pitches:
        known = known.then(pitch)
    return known


def run_up_to(pitches: list[int], place: int) -> int:
    """Return how many pitches up to and with `place` are the last ones again, by comparing each."""
    run = 0
    while run <= place and pitches[place - run] == pitches[len(pitches) - 1 - run]:
        run += 1
    return run


def longest_repetition(pitches: list[int]) -> int:
    """Return the length of the longest passage that stands in two places, which may overlap."""
    return max(
        (
            run_up_to(pitches[:stop], place)
            for stop in range(len(pitches))
            for place in range(stop - 1)
        ),
        default=0,
    )


@given(FEW_PITCHES)
@settings(deadline=None)
def test_runs_are_those_that_a_search_of_the_whole_history_finds(pitches: list[int]):
    known = struck(pitches)

    expected = [run_up_to(pitches, place) for place in range(len(pitches) - 1)]
    assert known.runs[WINDOW_NOTES - len(pitches) : -1].tolist() == expected
    assert not known.runs[: WINDOW_NOTES - len(pitches)].any()
    assert known.pitches[WINDOW_NOTES - len(pitches) :].tolist() == pitches


def test_beyond_the_window_only_what_lies_in_it_is_compared():
    pitches = np.random.default_rng(0).integers(60, 62, WINDOW_NOTES + 300).tolist()
    known = struck(pitches)

    places = range(300, len(pitches) - 1)
    assert known.runs[:-1].tolist() == [run_up_to(pitches, place) for place in places]


def test_a_run_is_never_longer_than_the_window():
    known = struck([60] * (WINDOW_NOTES + 100))

    assert known.runs[:-1].max() == WINDOW_NOTES
    assert known.then(60).runs[:-1].max() == WINDOW_NOTES


@given(FEW_PITCHES, st.integers(1, 5), st.floats(0.1, 3.0))
@settings(deadline=None)
def test_each_pitch_costs_by_the_longest_repetition_that_it_would_prolong(
    pitches: list[int], free_notes: int, penalty: float
):
    lowered = discouraged(PLAIN, struck(pitches), penalty, free_notes)

    for pitch in range(v.PITCHES):
        followed = [
            run_up_to(pitches, i - 1) for i in range(1, len(pitches)) if pitches[i] == pitch
        ]
        longest = max((run for run in followed if run), default=0) + 1
        cost = penalty * max(0, longest - free_notes) if longest > 1 else 0.0
        assert lowered[v.NOTE_ON + pitch] == pytest.approx(-cost, rel=1e-5)


@given(FEW_PITCHES, st.integers(1, 5))
@settings(deadline=None)
def test_nothing_is_forbidden_nothing_raised_and_only_note_ons_change(
    pitches: list[int], free_notes: int
):
    logits = np.random.default_rng(1).normal(size=v.VOCABULARY_SIZE).astype(np.float32)
    before = logits.copy()

    lowered = discouraged(logits, struck(pitches), 10.0, free_notes)

    assert np.isfinite(lowered).all()
    assert (lowered <= logits).all()
    assert lowered.dtype == np.float32
    assert (logits == before).all()
    changed = np.flatnonzero(lowered != logits)
    assert ((changed >= NOTE_ONS.start) & (changed < NOTE_ONS.stop)).all()


def test_one_can_go_back():
    before = struck([60, 62, 64, 60, 62])
    runs = before.runs.copy()

    before.then(64).then(64)

    assert (before.runs == runs).all()
    assert (before.then(65).pitches[-6:] == [60, 62, 64, 60, 62, 65]).all()


def played_by_a_source_that_loops(penalty: float, count: int = 300) -> list[int]:
    """Return what is drawn where eight pitches in a circle are always 1,000 times likelier."""
    circle = [60, 64, 67, 72, 71, 67, 65, 62]
    allowed = np.zeros(v.VOCABULARY_SIZE, dtype=np.bool_)
    allowed[v.NOTE_ON + 55 : v.NOTE_ON + 75] = True
    known, pitches, rng = StruckPitches(), [], np.random.default_rng(3)
    for _ in range(count):
        logits = PLAIN.copy()
        logits[v.NOTE_ON + circle[len(pitches) % len(circle)]] = np.log(1000.0)
        logits = discouraged(logits, known, penalty, 8)
        pitches.append(sample(logits, allowed, SamplingSettings(), rng) - v.NOTE_ON)
        known = known.then(pitches[-1])
    return pitches


def test_a_loop_goes_on_without_a_penalty_and_ends_with_it():
    looping = longest_repetition(played_by_a_source_that_loops(0.0))
    ending = longest_repetition(played_by_a_source_that_loops(1.0))

    assert looping > 60
    # After 8 + log(1000 / 19) / 1.0 notes the next one of the loop is as likely as all others.
    assert 8 < ending < 24
