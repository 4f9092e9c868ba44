"""How an answer gives way: what is played over it, keys that are held, and the hand-back."""

from dataclasses import replace

import pytest

from daemon.messages import turns as t
from daemon.messages.brain import (
    CLOSING_S,
    LAST_PHRASE_S,
    BeginTurn,
    Conclude,
    EndTurn,
    Hear,
    PlanComplete,
    Planned,
    Steer,
)
from daemon.messages.turns import Part, State
from daemon.parameters import HandBack, HeldKeys, Parameters, WhenPlayedOver
from daemon.stage.turns import Turns
from perceivers.events import CHORD_S, NoteOff, NoteOn, TimedEvent
from tests.support.turns_by_hand import off, on, told

PARAMETERS = Parameters(seed=1, silence_s=1.0, phrase_notes=1)
SENT = TimedEvent(10.1, NoteOn(72, 64))


def listening(**changes: str) -> Turns:
    turns = Turns(replace(PARAMETERS, **changes))
    turns.handle(t.Back(Part.MODEL), 0.0)
    return turns


def performing(**changes: str) -> Turns:
    """A turn began at 10 s, and a note of it has sounded since 10.1 s."""
    turns = listening(**changes)
    turns.handle(t.Perform(), 10.0)
    turns.handle(t.Performed(SENT), 10.1)
    return turns


# Playing over it.


@pytest.mark.parametrize("policy", [WhenPlayedOver.OVERLAP, WhenPlayedOver.DUCK])
def test_an_answer_that_goes_on_hears_what_is_played_over_it(policy: WhenPlayedOver) -> None:
    turns = performing(when_played_over=policy.value)

    actions = turns.handle(on(60, 10.5), 10.5)

    assert told(actions) == [Hear((TimedEvent(10.5, NoteOn(60, 64)),))]
    assert t.Hold(frozenset({60})) in actions
    assert turns.state is State.PERFORMING


def test_what_is_ignored_is_remembered_all_the_same_in_order_of_time() -> None:
    turns = performing(when_played_over=WhenPlayedOver.IGNORE.value)

    assert told(turns.handle(on(60, 10.5), 10.5)) == []
    assert told(turns.handle(off(60, 10.7), 10.7)) == []
    turns.handle(t.Performed(TimedEvent(10.6, NoteOff(72))), 10.6)
    turns.handle(PlanComplete(1, "length"), 10.7)
    actions = turns.handle(t.Released(), 10.8)

    ignored = (TimedEvent(10.5, NoteOn(60, 64)), TimedEvent(10.7, NoteOff(60)))
    assert told(actions) == [EndTurn(1, (SENT, TimedEvent(10.6, NoteOff(72))), ignored)]
    assert [time_s for time_s, _ in turns.history] == [10.1, 10.5, 10.6, 10.7]


def test_a_key_from_before_the_answer_comes_up_for_the_model_even_if_strikes_are_ignored() -> None:
    turns = listening(when_played_over=WhenPlayedOver.IGNORE.value)
    turns.handle(on(60, 1.0), 1.0)
    turns.handle(t.Perform(), 2.0)

    assert told(turns.handle(off(60, 2.1), 2.1)) == [Hear((TimedEvent(2.1, NoteOff(60)),))]


def test_what_was_played_over_an_answer_is_not_answered_again() -> None:
    turns = performing(when_played_over=WhenPlayedOver.OVERLAP.value)
    turns.handle(on(60, 10.5), 10.5)
    turns.handle(off(60, 10.6), 10.6)
    turns.handle(PlanComplete(1, "length"), 14.0)

    turns.handle(t.Released(), 15.0)

    assert turns.state is State.LISTENING


def test_who_still_plays_when_the_answer_ends_is_answered_after_that() -> None:
    turns = performing(when_played_over=WhenPlayedOver.OVERLAP.value)
    turns.handle(PlanComplete(1, "length"), 14.0)
    turns.handle(on(60, 14.5), 14.5)
    turns.handle(off(60, 14.6), 14.6)

    turns.handle(t.Released(), 15.0)

    assert turns.next_deadline_s == pytest.approx(15.6)


def test_the_policy_may_change_in_the_middle_of_an_answer() -> None:
    turns = performing(when_played_over=WhenPlayedOver.IGNORE.value)
    turns.handle(on(60, 10.5), 10.5)

    actions = turns.handle(t.Adjust({"when_played_over": "yield"}), 10.6)
    assert told(actions) == [Steer(PARAMETERS)]
    turns.handle(on(62, 10.7), 10.7)

    assert turns.state is State.HANDING_BACK


# Keys that are held.


def test_it_waits_for_the_hands_and_can_be_told_not_to() -> None:
    turns = listening(held_keys=HeldKeys.WAIT.value)
    turns.handle(on(60, 1.0), 1.0)
    assert turns.next_deadline_s is None  # a chord is not answered over, however long it is held

    assert told(turns.handle(t.Perform(), 2.0)) == []
    assert turns.state is State.ARMED
    actions = turns.handle(off(60, 3.0), 3.0)
    begin = told(actions)[-1]
    assert isinstance(begin, BeginTurn)
    assert (begin.start_s, begin.held) == (3.0, frozenset())

    turns = listening(held_keys=HeldKeys.WAIT.value)
    turns.handle(on(60, 1.0), 1.0)
    turns.handle(t.Perform(), 2.0)
    turns.handle(t.Stop(), 2.5)
    assert BeginTurn not in map(type, told(turns.handle(off(60, 3.0), 3.0)))


def test_a_part_that_is_lost_ends_the_waiting() -> None:
    turns = listening(held_keys=HeldKeys.WAIT.value)
    turns.handle(on(60, 1.0), 1.0)
    turns.handle(t.Perform(), 2.0)
    turns.handle(t.Lost(Part.OUTPUT, "unplugged"), 2.1)
    turns.handle(t.Back(Part.OUTPUT), 2.2)

    assert BeginTurn not in map(type, told(turns.handle(off(60, 3.0), 3.0)))


def test_held_keys_may_count_as_released_and_are_the_players_all_the_same() -> None:
    turns = listening(held_keys=HeldKeys.RELEASE.value)
    turns.handle(on(60, 1.0), 1.0)

    actions = turns.handle(t.Perform(), 2.0)

    released, begin = told(actions)
    assert released == Hear((TimedEvent(2.0, NoteOff(60)),))
    assert isinstance(begin, BeginTurn)
    assert begin.held == {60}  # neither struck nor released by the answer
    assert t.Hold(frozenset({60})) in actions
    actions = turns.handle(off(60, 2.5), 2.5)
    assert told(actions) == []  # it was remembered as released
    assert t.Hold(frozenset()) in actions
    assert len(turns.history) == 2


# The hand-back.


def test_a_natural_hand_back_begins_nothing_new_and_plans_the_rest_anew() -> None:
    turns = performing(hand_back=HandBack.NATURAL.value)

    actions = turns.handle(on(60, 10.2), 10.2)

    assert actions == [
        t.Hold(frozenset({60})),
        t.Withdraw(10.2),
        Conclude(1, 10.2),
        t.Enter(State.HANDING_BACK, "yielded"),
    ]
    assert turns.next_deadline_s == 10.2 + CLOSING_S
    stale = Planned(1, (TimedEvent(10.4, NoteOn(74, 64)),), plan=0)
    assert turns.handle(stale, 10.2) == []
    fresh = Planned(1, (TimedEvent(10.9, NoteOff(72)),), plan=1)
    assert turns.handle(fresh, 10.2) == [t.Play(fresh.events, 0)]
    assert turns.handle(PlanComplete(1, "length", plan=1), 10.2) == [t.ReleaseAfterPlan()]
    turns.handle(t.Performed(TimedEvent(10.9, NoteOff(72))), 10.9)
    actions = turns.handle(t.Released(), 10.9)
    assert t.TurnEnded(1, "yielded", 1, pytest.approx(0.9), None, pytest.approx(0.1)) in actions
    (end,) = told(actions)
    assert isinstance(end, EndTurn)
    assert end.heard == (TimedEvent(10.2, NoteOn(60, 64)),)


def test_a_chord_that_is_being_struck_is_struck_whole() -> None:
    turns = performing(hand_back=HandBack.NATURAL.value)

    actions = turns.handle(on(60, 10.11), 10.11)

    assert t.Withdraw(10.1 + CHORD_S) in actions


def test_what_does_not_come_to_its_end_is_cut() -> None:
    turns = performing(hand_back=HandBack.NATURAL.value)
    turns.handle(on(60, 10.2), 10.2)

    assert turns.handle(t.Tick(), 10.2 + CLOSING_S - 0.01) == []
    assert turns.handle(t.Tick(), 10.2 + CLOSING_S) == [t.Release()]
    assert turns.handle(Planned(1, (SENT,), plan=1), 12.3) == []
    assert states_after(turns, t.Released()) == [State.CAPTURING]


def states_after(turns: Turns, happened: t.Occurrence) -> list[State]:
    actions = turns.handle(happened, 12.4)
    return [action.state for action in actions if isinstance(action, t.Enter)]


def test_a_phrase_is_played_to_its_next_rest() -> None:
    turns = performing(hand_back=HandBack.PHRASE.value)

    actions = turns.handle(t.Finish(), 10.2)

    assert told(actions) == [Conclude(1, None, 10.2 + LAST_PHRASE_S)]
    assert turns.state is State.HANDING_BACK
    planned = Planned(1, (TimedEvent(10.4, NoteOn(74, 64)),), plan=0)
    assert turns.handle(planned, 10.2) == [t.Play(planned.events, 0)]
    assert turns.next_deadline_s == 10.2 + LAST_PHRASE_S + CLOSING_S


@pytest.mark.parametrize("policy", HandBack)
@pytest.mark.parametrize("command", [t.Stop(), t.Panic(), t.LetGo()])
def test_stop_panic_and_a_device_that_asks_for_silence_always_cut(
    policy: HandBack, command: t.Occurrence
) -> None:
    for is_ending in (False, True):
        turns = performing(hand_back=policy.value)
        if is_ending:
            turns.handle(t.Finish(), 10.2)

        actions = turns.handle(command, 10.3)

        assert turns.state is State.HANDING_BACK
        is_cut_already = is_ending and policy is HandBack.CUT
        assert is_cut_already or {t.Release(), t.SilenceAll()} & {*actions}
        assert turns.handle(Planned(1, (SENT,), plan=turns_plan(policy)), 10.3) == []


def turns_plan(policy: HandBack) -> int:
    return int(policy is HandBack.NATURAL)


@pytest.mark.parametrize("part", [Part.MODEL, Part.OUTPUT])
def test_what_ends_by_itself_is_cut_when_a_part_is_lost(part: Part) -> None:
    turns = performing(hand_back=HandBack.NATURAL.value)
    turns.handle(t.Finish(), 10.2)

    assert t.Release() in turns.handle(t.Lost(part, "gone"), 10.3)


def test_an_answer_that_is_complete_is_planned_anew_too() -> None:
    turns = performing(hand_back=HandBack.NATURAL.value)
    turns.handle(PlanComplete(1, "length"), 10.2)

    actions = turns.handle(on(60, 10.2), 10.2)

    assert Conclude(1, 10.2) in actions
    assert turns.handle(t.Released(), 10.2) == []  # of what was withdrawn


def test_the_brain_is_told_how_long_the_last_phrase_was() -> None:
    turns = listening()
    turns.handle(on(60, 1.0), 1.0)
    turns.handle(off(60, 3.5), 3.5)

    (begin,) = told(turns.handle(t.Perform(), 4.0))

    assert isinstance(begin, BeginTurn)
    assert begin.phrase_s == 2.5
