"""The repetition penalty: what it finds is what a search finds, and loops end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceivers import vocabulary as v
from perceivers.repetition_penalty import (
    TOGETHER_S,
    WINDOW_CHORDS,
    StruckChords,
    discouraged,
)
from perceivers.sampling import SamplingSettings, sample

PLAIN = np.zeros(v.VOCABULARY_SIZE, np.float32)
NOTE_ONS = slice(v.NOTE_ON, v.NOTE_ON + v.PITCHES)

Notes = list[tuple[float, int]]  # seconds and pitches
Chords = list[set[int]]

# Few pitches from both words, at times that make chords and single notes.
FEW_NOTES = st.lists(
    st.tuples(st.sampled_from([0.0, 0.01, 0.03, 0.1, 0.1]), st.sampled_from([62, 63, 64])),
    max_size=60,
).map(lambda rows: [(sum(gap for gap, _ in rows[: i + 1]), rows[i][1]) for i in range(len(rows))])


def struck(notes: Notes) -> StruckChords:
    known = StruckChords()
    for time_s, pitch in notes:
        known = known.then(time_s, pitch)
    return known


def one_by_one(pitches: list[int]) -> Notes:
    return [(0.1 * i, pitch) for i, pitch in enumerate(pitches)]


def chords_of(notes: Notes) -> Chords:
    """Return what is struck together, by the definition."""
    chords: Chords = []
    since_s = -1.0
    for time_s, pitch in notes:
        if time_s - since_s > TOGETHER_S:
            chords.append(set())
            since_s = time_s
        chords[-1].add(pitch)
    return chords


def run_up_to(chords: Chords, place: int) -> int:
    """Return how many notes up to and with `place` are the last ones again, by comparing each."""
    run, back = 0, 0
    while back <= place and chords[place - back] == chords[len(chords) - 1 - back]:
        run += len(chords[place - back])
        back += 1
    return run


def longest_repetition(pitches: list[int]) -> int:
    """Return the length of the longest passage that stands in two places, which may overlap."""
    chords: Chords = [{pitch} for pitch in pitches]
    return max(
        (run_up_to(chords[:n], place) for n in range(len(chords)) for place in range(n - 1)),
        default=0,
    )


@given(FEW_NOTES)
@settings(deadline=None)
def test_runs_are_those_that_a_search_of_the_whole_history_finds(notes: Notes):
    known = struck(notes).at(1000.0)

    chords = chords_of(notes)
    expected = [run_up_to(chords, place) for place in range(len(chords) - 1)]
    assert known.runs[WINDOW_CHORDS - len(chords) : -1].tolist() == expected
    assert not known.runs[: WINDOW_CHORDS - len(chords)].any()
    assert not known.sounding


@pytest.mark.parametrize("highest", [60, 61])
def test_beyond_the_window_runs_reach_further_back_and_places_do_not(highest: int):
    pitches = np.random.default_rng(0).integers(60, highest + 1, WINDOW_CHORDS + 300).tolist()

    known = struck(one_by_one(pitches)).at(1000.0)

    chords = [{pitch} for pitch in pitches]
    places = range(300, len(pitches) - 1)
    assert known.runs[:-1].tolist() == [run_up_to(chords, place) for place in places]


@given(FEW_NOTES, st.booleans(), st.integers(1, 5), st.floats(0.1, 3.0))
@settings(deadline=None)
def test_each_pitch_costs_by_the_longest_repetition_that_it_would_prolong(
    notes: Notes, later: bool, free_notes: int, penalty: float
):
    known = struck(notes).at(1000.0) if later else struck(notes)

    lowered = discouraged(PLAIN, known, penalty, free_notes)

    chords = chords_of(notes)
    begun = set() if later or not chords else chords.pop()
    for pitch in range(v.PITCHES):
        longest = max(
            (
                run_up_to(chords, place - 1) + len(begun) + 1
                for place, chord in enumerate(chords)
                if begun <= chord and pitch in chord - begun
            ),
            default=0,
        )
        cost = penalty * max(0, longest - free_notes)
        assert lowered[v.NOTE_ON + pitch] == pytest.approx(-cost, rel=1e-5)


@given(FEW_NOTES, st.integers(1, 5))
@settings(deadline=None)
def test_nothing_is_forbidden_nothing_raised_and_only_note_ons_change(
    notes: Notes, free_notes: int
):
    logits = np.random.default_rng(1).normal(size=v.VOCABULARY_SIZE).astype(np.float32)
    before = logits.copy()

    lowered = discouraged(logits, struck(notes), 10.0, free_notes)

    assert np.isfinite(lowered).all()
    assert (lowered <= logits).all()
    assert lowered.dtype == np.float32
    assert (logits == before).all()
    changed = np.flatnonzero(lowered != logits)
    assert ((changed >= NOTE_ONS.start) & (changed < NOTE_ONS.stop)).all()


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_order_within_a_chord_is_no_escape(order: tuple[int, ...]):
    triads = [(60, 64, 67), (62, 65, 69), (59, 62, 67)]
    heard = [(0.5 * i + 0.01 * k, triad[k]) for i, triad in enumerate(triads) for k in range(3)]
    again = [(1.5 + 0.01 * k, triads[0][voice]) for k, voice in enumerate(order)]

    midway = discouraged(PLAIN, struck([*heard, *again[:2]]), 1.0, 1)
    after = discouraged(PLAIN, struck([*heard, *again]).at(2.0), 1.0, 1)

    assert np.flatnonzero(midway).tolist() == [v.NOTE_ON + triads[0][order[2]]]
    assert np.flatnonzero(after).tolist() == [v.NOTE_ON + pitch for pitch in triads[1]]


def test_one_can_go_back():
    before = struck(one_by_one([60, 62, 64, 60, 62]))
    runs, chords = before.runs.copy(), before.chords.copy()

    before.then(0.5, 64).then(0.6, 64)

    assert (before.runs == runs).all()
    assert (before.chords == chords).all()
    assert before.sounding == {62}


def played_by_a_source_that_loops(penalty: float, count: int = 300) -> list[int]:
    """Return what is drawn where eight pitches in a circle are always 1,000 times likelier."""
    circle = [60, 64, 67, 72, 71, 67, 65, 62]
    allowed = np.zeros(v.VOCABULARY_SIZE, dtype=np.bool_)
    allowed[v.NOTE_ON + 55 : v.NOTE_ON + 75] = True
    known, pitches, rng = StruckChords(), [], np.random.default_rng(3)
    for number in range(count):
        logits = PLAIN.copy()
        logits[v.NOTE_ON + circle[number % len(circle)]] = np.log(1000.0)
        logits = discouraged(logits, known.at(0.1 * number), penalty, 8)
        pitches.append(sample(logits, allowed, SamplingSettings(), rng) - v.NOTE_ON)
        known = known.then(0.1 * number, pitches[-1])
    return pitches


def test_a_loop_goes_on_without_a_penalty_and_ends_with_it():
    looping = longest_repetition(played_by_a_source_that_loops(0.0))
    ending = longest_repetition(played_by_a_source_that_loops(1.0))

    assert looping > 60
    # After 8 + log(1000 / 19) / 1.0 notes the next one of the loop is as likely as all others.
    assert 8 < ending < 24
