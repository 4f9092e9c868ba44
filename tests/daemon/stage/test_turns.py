"""Whose turn it is, law by law. The machine is pure: no clock, thread or port is needed."""

from dataclasses import replace

from daemon.messages import turns as t
from daemon.messages.brain import BeginTurn, EndTurn, Hear, PlanComplete, Planned, Recall
from daemon.messages.turns import Part, State
from daemon.stage.turns import Turns
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from tests.support.turns_by_hand import (
    PARAMETERS,
    listening,
    off,
    on,
    pedal,
    performing,
    played,
    states,
    told,
)


def test_it_listens_once_the_model_is_there() -> None:
    turns = Turns(PARAMETERS)

    actions = turns.handle(t.Back(Part.MODEL), 0.5)

    assert actions == [t.Enter(State.LISTENING, "model ready")]


def test_what_is_played_while_the_model_loads_is_recalled_when_it_is_there() -> None:
    turns = Turns(PARAMETERS)
    assert told(turns.handle(on(60, 0.1), 0.1)) == []

    actions = turns.handle(t.Back(Part.MODEL), 0.5)

    assert told(actions) == [Recall((TimedEvent(0.1, NoteOn(60, 64)),))]


def test_every_event_of_the_player_goes_to_the_brain_at_once() -> None:
    turns = listening()

    actions = turns.handle(on(60, 1.0), 1.001)

    assert told(actions) == [Hear((TimedEvent(1.0, NoteOn(60, 64)),))]
    assert t.Hold(frozenset({60})) in actions
    assert states(actions) == [State.CAPTURING]


def test_a_command_begins_a_turn_with_keys_held_and_parameters_of_its_own() -> None:
    turns = listening()
    turns.handle(on(60, 1.0), 1.0)
    own = replace(PARAMETERS, seed=7)

    actions = turns.handle(t.Perform({"seed": 7}), 1.5)

    assert told(actions) == [BeginTurn(1, 1.5, frozenset({60}), own)]


def test_plans_of_the_turn_are_played_on_the_channel_of_the_parameters() -> None:
    turns = performing()
    events = (TimedEvent(10.1, NoteOn(60, 64)),)

    assert turns.handle(Planned(1, events), 10.0) == [t.Play(events, 2)]


def test_a_plan_of_another_turn_is_not_played() -> None:
    turns = performing()
    events = (TimedEvent(10.1, NoteOn(60, 64)),)

    assert turns.handle(Planned(0, events), 10.0) == []
    turns.handle(t.Stop(), 10.1)
    assert turns.handle(Planned(1, events), 10.1) == []
    assert turns.handle(PlanComplete(1, "length"), 10.1) == []


def test_a_turn_ends_when_the_whole_plan_was_sent_and_the_brain_learns_what_was() -> None:
    turns = performing()
    sent = [TimedEvent(10.25, NoteOn(60, 64)), TimedEvent(10.5, NoteOff(60))]
    turns.handle(Planned(1, tuple(sent)), 10.0)
    assert turns.handle(PlanComplete(1, "length"), 10.0) == [t.ReleaseAfterPlan()]
    for event in sent:
        turns.handle(t.Performed(event), event.time_s)
    assert turns.state is State.PERFORMING

    actions = turns.handle(t.Released(), 10.5)

    assert told(actions) == [EndTurn(1, tuple(sent))]
    assert states(actions) == [State.LISTENING]
    assert t.TurnEnded(1, "length", 1, 0.5, None, 0.25) in actions


def test_a_note_of_the_player_takes_the_turn_back_at_once() -> None:
    turns = performing()
    sent = TimedEvent(10.1, NoteOn(72, 64))
    turns.handle(t.Performed(sent), 10.1)

    actions = turns.handle(on(60, 10.2), 10.2)

    assert actions == [
        t.Hold(frozenset({60})),
        t.Release(),
        t.Enter(State.HANDING_BACK, "yielded"),
    ]


def test_what_took_the_turn_back_is_heard_with_the_end_of_the_turn_in_order_of_time() -> None:
    turns = performing()
    turns.handle(t.Performed(TimedEvent(10.1, NoteOn(72, 64))), 10.1)
    turns.handle(on(60, 10.2), 10.2)
    turns.handle(t.Performed(TimedEvent(10.3, NoteOff(72))), 10.3)

    actions = turns.handle(t.Released(), 10.3)

    sent = (TimedEvent(10.1, NoteOn(72, 64)), TimedEvent(10.3, NoteOff(72)))
    assert told(actions) == [EndTurn(1, sent, (TimedEvent(10.2, NoteOn(60, 64)),))]
    assert states(actions) == [State.CAPTURING]
    assert [event for _, event in turns.history] == [NoteOn(72, 64), NoteOn(60, 64), NoteOff(72)]


def test_releases_and_pedal_of_the_player_do_not_take_the_turn_back() -> None:
    turns = listening()
    turns.handle(on(60, 1.0), 1.0)
    turns.handle(t.Perform(), 2.0)

    actions = turns.handle(off(60, 2.1), 2.1) + turns.handle(pedal(True, 2.2), 2.2)

    assert told(actions) == [
        Hear((TimedEvent(2.1, NoteOff(60)),)),
        Hear((TimedEvent(2.2, Pedal(True)),)),
    ]
    assert t.Hold(frozenset()) in actions
    assert turns.state is State.PERFORMING


def test_a_release_that_was_owed_is_remembered_when_it_leaves_after_the_turn() -> None:
    turns = performing()
    turns.handle(t.Performed(TimedEvent(10.1, NoteOn(72, 64))), 10.1)
    turns.handle(t.Lost(Part.OUTPUT, "unplugged"), 10.2)
    turns.handle(t.Released(), 10.2)
    late = TimedEvent(12.0, NoteOff(72))

    actions = turns.handle(t.Performed(late), 12.0)

    assert told(actions) == [Hear((late,))]
    assert [*turns.history][-1] == late


def test_history_is_in_the_order_of_time_whoever_played() -> None:
    turns = listening()
    turns.handle(on(60, 1.0), 1.0)
    turns.handle(t.Perform(), 2.0)
    turns.handle(off(60, 2.2), 2.2)
    turns.handle(t.Performed(TimedEvent(2.1, NoteOn(72, 64))), 2.1)
    turns.handle(t.Performed(TimedEvent(2.3, NoteOff(72))), 2.3)
    turns.handle(t.Stop(), 2.4)

    turns.handle(t.Released(), 2.4)

    assert [time_s for time_s, _ in turns.history] == [1.0, 2.1, 2.2, 2.3]


def test_stop_releases_and_lets_no_turn_begin_before_the_player_plays_again() -> None:
    turns = performing()
    assert t.Release() in turns.handle(t.Stop(), 10.1)
    turns.handle(t.Released(), 10.1)
    last_s = played(turns, from_s=11.0)
    assert turns.state is State.ARMED

    turns.handle(t.Stop(), last_s)

    assert turns.next_deadline_s is None
    assert turns.handle(t.Tick(), last_s + 5.0) == []


def test_panic_silences_everything_in_every_state() -> None:
    for turns in (Turns(PARAMETERS), listening(), performing()):
        assert t.SilenceAll() in turns.handle(t.Panic(), 10.1)
        assert turns.state is not State.PERFORMING


def test_reset_forgets_at_once_or_when_the_turn_has_ended() -> None:
    turns = listening()
    played(turns)
    assert told(turns.handle(t.Reset(), 5.0)) == [Recall(())]
    assert not turns.history

    turns = performing()
    assert told(turns.handle(t.Reset(), 10.1)) == []
    assert told(turns.handle(t.Released(), 10.1)) == [EndTurn(1, ()), Recall(())]


def test_a_device_that_asks_for_silence_lifts_the_hands_and_hands_back() -> None:
    turns = listening()
    turns.handle(on(60, 1.0), 1.0)
    turns.handle(pedal(True, 1.1), 1.1)
    turns.handle(t.Perform(), 2.0)

    actions = turns.handle(t.LetGo(), 3.0)

    assert told(actions) == [
        Hear((TimedEvent(3.0, NoteOff(60)),)),
        Hear((TimedEvent(3.0, Pedal(False)),)),
    ]
    assert t.Hold(frozenset()) in actions
    assert t.Release() in actions


def test_a_lost_model_ends_the_turn_and_the_new_one_is_told_the_history() -> None:
    turns = performing()
    turns.handle(t.Performed(TimedEvent(10.1, NoteOn(72, 64))), 10.1)

    actions = turns.handle(t.Lost(Part.MODEL, "the model died"), 10.2)
    assert t.Release() in actions
    turns.handle(t.Performed(TimedEvent(10.2, NoteOff(72))), 10.2)
    actions = turns.handle(t.Released(), 10.2)
    assert told(actions) == []
    assert states(actions) == [State.DEGRADED]
    assert turns.handle(t.Perform(), 10.3) == [t.Refuse("not possible now: the model died")]

    actions = turns.handle(t.Back(Part.MODEL), 12.0)

    sent = (TimedEvent(10.1, NoteOn(72, 64)), TimedEvent(10.2, NoteOff(72)))
    assert told(actions) == [Recall(sent)]
    assert states(actions) == [State.LISTENING]


def test_a_model_that_is_back_before_the_turn_has_ended_is_told_the_history_then() -> None:
    turns = performing()
    turns.handle(t.Performed(TimedEvent(10.1, NoteOn(72, 64))), 10.1)
    turns.handle(t.Lost(Part.MODEL, "the model died"), 10.2)
    assert told(turns.handle(t.Back(Part.MODEL), 10.3)) == []

    actions = turns.handle(t.Released(), 10.4)

    assert told(actions) == [Recall((TimedEvent(10.1, NoteOn(72, 64)),))]


def test_a_lost_input_lifts_the_hands_and_the_turn_goes_on() -> None:
    turns = listening()
    turns.handle(on(60, 1.0), 1.0)
    turns.handle(t.Perform(), 2.0)

    actions = turns.handle(t.Lost(Part.INPUT, "unplugged"), 2.5)

    assert told(actions) == [Hear((TimedEvent(2.5, NoteOff(60)),))]
    assert turns.state is State.PERFORMING
    turns.handle(t.Stop(), 3.0)
    assert states(turns.handle(t.Released(), 3.0)) == [State.DEGRADED]
    assert states(turns.handle(t.Back(Part.INPUT), 4.0)) == [State.LISTENING]


def test_without_an_output_no_turn_begins() -> None:
    turns = listening()
    last_s = played(turns)
    turns.handle(t.Lost(Part.OUTPUT, "unplugged"), last_s)

    assert turns.state is State.DEGRADED
    assert turns.next_deadline_s is None
    assert turns.handle(t.Perform(), last_s) == [t.Refuse("not possible now: unplugged")]


def test_after_shutdown_nothing_is_done() -> None:
    turns = performing()
    assert t.Release() in turns.handle(t.Shutdown(), 11.0)

    assert turns.handle(on(60, 11.1), 11.1) == []
    assert turns.handle(Planned(1, (TimedEvent(11.2, NoteOn(60, 64)),)), 11.1) == []
    assert turns.handle(t.Perform(), 11.2) == [t.Refuse("the daemon is ending")]
