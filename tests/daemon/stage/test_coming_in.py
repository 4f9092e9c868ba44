"""When a turn begins: silence by one's pace, a held chord, a pulse, a beat, a bar."""

from dataclasses import replace

import pytest

from daemon.messages import turns as t
from daemon.messages.brain import BeginTurn
from daemon.messages.turns import State
from daemon.parameters import Entry, Trigger
from daemon.stage.turns import Turns
from tests.support.turns_by_hand import PARAMETERS, listening, off, on, pedal, played, states, told


def test_silence_after_a_phrase_begins_a_turn_at_the_deadline_and_not_before() -> None:
    turns = listening()
    last_s = played(turns)
    assert turns.state is State.ARMED
    assert turns.next_deadline_s == last_s + 1.0

    assert turns.handle(t.Tick(), last_s + 0.999) == []
    actions = turns.handle(t.Tick(), last_s + 1.0)

    (begin,) = told(actions)
    assert isinstance(begin, BeginTurn)
    assert (begin.turn, begin.start_s, begin.held) == (1, last_s + 1.0, frozenset())
    assert begin.parameters == PARAMETERS
    assert states(actions) == [State.PERFORMING]


def test_too_few_notes_are_no_phrase() -> None:
    turns = listening()

    played(turns, (60,))

    assert turns.state is State.CAPTURING
    assert turns.next_deadline_s is None


def test_a_held_key_is_no_silence() -> None:
    turns = listening(replace(PARAMETERS, held_after_s=None))
    last_s = played(turns)

    turns.handle(on(67, last_s), last_s)

    assert turns.next_deadline_s is None


def test_a_chord_that_is_held_for_long_may_be_answered_over() -> None:
    turns = listening(replace(PARAMETERS, held_after_s=4.0))
    last_s = played(turns)
    turns.handle(pedal(True, last_s), last_s)
    turns.handle(on(67, last_s), last_s)
    assert turns.next_deadline_s == last_s + 4.0

    actions = turns.handle(t.Tick(), last_s + 4.0)

    assert told(actions)[0].held == {67}
    assert states(actions) == [State.PERFORMING]


def test_who_plays_quickly_is_answered_sooner() -> None:
    turns = listening(replace(PARAMETERS, silence_s=3.0, silence_intervals=2.0))
    last_s = played(turns, (60, 62, 64, 65))  # a note each 0.1 s

    assert turns.next_deadline_s == last_s + PARAMETERS.silence_least_s


def test_an_answer_in_time_begins_on_the_players_pulse() -> None:
    turns = listening(replace(PARAMETERS, entry=Entry.IN_TIME))
    for number in range(4):
        turns.handle(on(60 + number, 1.0 + 0.5 * number), 1.0 + 0.5 * number)
        turns.handle(off(60 + number, 1.4 + 0.5 * number), 1.4 + 0.5 * number)

    (begin,) = told(turns.handle(t.Tick(), 4.25))

    assert begin.start_s == pytest.approx(4.5)


def clocked(turns: Turns, bpm: float, from_s: float, ticks: int = 97) -> None:
    turns.handle(t.Clocked(sixteenths=0), from_s)
    for number in range(ticks):
        at_s = from_s + number * 60.0 / bpm / 24
        turns.handle(t.Clocked(at_s=at_s), at_s)


@pytest.mark.parametrize(("entry", "start_s"), [(Entry.BEAT, 4.5), (Entry.BAR, 5.5)])
def test_an_answer_may_begin_on_a_beat_or_a_bar_of_the_clock(entry: Entry, start_s: float) -> None:
    turns = listening(replace(PARAMETERS, entry=entry, beats_per_bar=3))
    clocked(turns, 120.0, from_s=1.0)

    (begin,) = told(turns.handle(t.Perform(), 4.2))

    assert isinstance(begin, BeginTurn)
    assert begin.start_s == pytest.approx(start_s)
    assert begin.bar_s == pytest.approx(1.5)


def test_without_a_clock_an_answer_on_the_bar_begins_at_once() -> None:
    turns = listening(replace(PARAMETERS, entry=Entry.BAR))
    clocked(turns, 3000.0, from_s=1.0)

    (begin,) = told(turns.handle(t.Perform(), 3.7))

    assert isinstance(begin, BeginTurn)
    assert begin.start_s == pytest.approx(3.7, abs=0.021)
    assert begin.bar_s == 2.0
    assert turns.tempo.refused > 0


def test_a_pedal_change_puts_the_deadline_off_but_a_pedal_that_stays_down_does_not_block() -> None:
    turns = listening()
    last_s = played(turns)

    turns.handle(pedal(True, last_s + 0.5), last_s + 0.5)

    assert turns.next_deadline_s == last_s + 1.5


def test_silence_counts_only_if_it_is_the_trigger() -> None:
    turns = listening(replace(PARAMETERS, trigger=(Trigger.COMMAND.value,)))
    played(turns)
    assert turns.next_deadline_s is None

    turns.handle(t.Adjust({"trigger": (Trigger.COMMAND.value, Trigger.SILENCE.value)}), 5.0)

    assert turns.state is State.ARMED
