"""An answer ends instead of stopping: its last seconds are slower and softer, its chord is held."""

import math

import numpy as np
import pytest

from daemon.brain.ending import LAST_CHORD_S, holding, lean, progress
from daemon.brain.performer import Performer
from daemon.parameters import LengthUnit, Parameters
from perceivers import vocabulary as v
from perceivers.events import CHORD_S, NoteOff, NoteOn, TimedEvent
from tests.daemon.brain.test_giving_way import EvenEngine

LENGTH_S, ENDING_S = 15.0, 3.0
ANSWERS = 20
STEP_S = 0.011  # of the grid


class CalmEngine(EvenEngine):
    """Predicts a dozen notes a second."""

    def feed(self, tokens: list[int]) -> np.ndarray:
        logits = super().feed(tokens)
        logits[v.NOTE_ON : v.NOTE_ON + v.PITCHES] -= 3.0
        logits[v.VELOCITY : v.VELOCITY + v.VELOCITY_BINS] -= 2.0
        return logits


def answer(seed: int, ending_s: float, **changes: object) -> list[TimedEvent]:
    performer = Performer(CalmEngine(), 4096)
    values = {"length": LENGTH_S, "ending_s": ending_s} | changes
    parameters = Parameters(seed=seed, **values)  # type: ignore[arg-type]
    performer.begin_turn(0.0, frozenset(), parameters, np.random.default_rng(seed))
    planned: list[TimedEvent] = []
    while performer.planned_until_s is not None:
        planned += performer.plan(math.inf, 16)
    return planned


def notes(events: list[TimedEvent], from_s: float, to_s: float) -> list[NoteOn]:
    return [
        event for time_s, event in events if isinstance(event, NoteOn) and from_s <= time_s < to_s
    ]


def test_the_ending_grows_from_nothing_to_all_of_it() -> None:
    far = [progress(remaining_s, ENDING_S) for remaining_s in (math.inf, 4.0, 3.0, 1.5, 0.0, -1.0)]

    assert far == [0.0, 0.0, 0.0, 0.5, 1.0, 1.0]
    assert progress(0.0, 0.0) == 0.0


def test_the_lean_favours_long_times_and_soft_notes_and_forbids_nothing() -> None:
    bias = lean(1.0, velocity_bin=16)

    assert np.isfinite(bias).all()
    assert bias[v.TIME_SHIFT + 80] > bias[v.TIME_SHIFT + 10] > bias[v.TIME_SHIFT]
    assert bias[v.VELOCITY + 5] > bias[v.VELOCITY + 20]
    assert bias[v.NOTE_ON + 60] < 0
    assert bias[v.NOTE_OFF + 60] < 0
    assert not lean(0.0, velocity_bin=16).any()


def test_the_last_seconds_of_twenty_answers_are_sparser_and_softer() -> None:
    last: dict[float, list[NoteOn]] = {}
    before: dict[float, list[NoteOn]] = {}
    for ending_s in (0.0, ENDING_S):
        answers = [answer(seed, ending_s) for seed in range(ANSWERS)]
        last[ending_s] = [n for each in answers for n in notes(each, LENGTH_S - 2.0, LENGTH_S)]
        before[ending_s] = [n for each in answers for n in notes(each, 0.0, LENGTH_S - ENDING_S)]

    assert len(before[ENDING_S]) == len(before[0.0])  # until the ending begins all is the same
    assert len(last[ENDING_S]) < 0.6 * len(last[0.0])
    loudness = {each: np.mean([note.velocity for note in last[each]]) for each in last}
    assert loudness[ENDING_S] < 0.8 * loudness[0.0]


def test_the_last_chord_is_held_and_comes_up() -> None:
    for seed in range(ANSWERS):
        planned = answer(seed, ENDING_S)
        last_s = max(time_s for time_s, event in planned if isinstance(event, NoteOn))
        last = {e.pitch for time_s, e in planned if isinstance(e, NoteOn) and time_s == last_s}
        ups = {event.pitch: time_s for time_s, event in planned if isinstance(event, NoteOff)}

        assert last <= ups.keys()
        for pitch in last:
            assert ups[pitch] < LENGTH_S or ups[pitch] >= last_s + LAST_CHORD_S - CHORD_S - STEP_S


def test_only_the_keys_of_the_last_chord_are_held() -> None:
    mask = holding({48: 1.0, 60: 2.0, 64: 2.02}, 2.5, 6.0)

    assert mask[v.NOTE_OFF + 48]
    assert not mask[v.NOTE_OFF + 60]
    assert not mask[v.NOTE_OFF + 64]
    assert holding({60: 2.0}, 2.0 + LAST_CHORD_S, 6.0).all()
    assert holding({60: 2.0}, 2.5, 0.4).all()  # longer than a note may be


@pytest.mark.parametrize("unit", [LengthUnit.NOTES, LengthUnit.SECONDS])
def test_whatever_length_counts_it_is_reached(unit: LengthUnit) -> None:
    planned = answer(1, ENDING_S, length=30.0, length_unit=unit.value)

    if unit is LengthUnit.NOTES:
        assert len(notes(planned, 0.0, math.inf)) == 30
    else:
        assert 30.0 <= planned[-1].time_s < 33.5
