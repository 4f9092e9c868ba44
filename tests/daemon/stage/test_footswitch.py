"""A footswitch: what its presses say, and what the turns make of that."""

from dataclasses import replace

from daemon.messages import turns as t
from daemon.messages.brain import BeginTurn, Return
from daemon.messages.turns import Action, Part, State
from daemon.parameters import HeldKeys, Parameters
from daemon.stage.footswitch import BOUNCE_S, LONG_S, Footswitch, Tap
from daemon.stage.turns import Turns
from perceivers.events import NoteOff, NoteOn, TimedEvent

PARAMETERS = Parameters(phrase_notes=1, hand_back="cut")


def test_a_press_speaks_at_once_and_a_second_one_soon_after_means_another_thing() -> None:
    foot = Footswitch()

    assert foot.moves(True, 1.0) is Tap.SINGLE
    assert foot.moves(False, 1.1) is None
    assert foot.moves(True, 1.3) is Tap.DOUBLE
    foot.moves(False, 1.35)
    assert foot.moves(True, 1.5) is Tap.SINGLE  # three are no two pairs
    foot.moves(False, 1.6)
    assert foot.moves(True, 2.0) is Tap.SINGLE


def test_a_contact_that_bounces_is_one_press() -> None:
    foot = Footswitch()

    said = [foot.moves(down, 1.0 + 0.004 * number) for number, down in enumerate([True, False] * 4)]
    assert said == [Tap.SINGLE, *[None] * 7]
    assert foot.long_s is None  # it ended up
    assert foot.moves(True, 1.0 + BOUNCE_S + 0.001) is Tap.DOUBLE


def test_a_long_press_says_so_once_and_only_while_it_lasts() -> None:
    foot = Footswitch()
    foot.moves(True, 1.0)
    assert foot.long_s == 1.0 + LONG_S

    assert not foot.is_long(1.79)
    assert foot.is_long(1.8)
    assert not foot.is_long(2.0)
    foot.moves(False, 2.1)
    foot.moves(True, 3.0)
    foot.moves(False, 3.1)
    assert not foot.is_long(5.0)


def listening(parameters: Parameters = PARAMETERS) -> Turns:
    turns = Turns(parameters)
    turns.handle(t.Back(Part.MODEL), 0.0)
    return turns


def tap(turns: Turns, at_s: float) -> list[Action]:
    actions = turns.handle(t.Switched(True, at_s), at_s)
    turns.handle(t.Switched(False, at_s + 0.1), at_s + 0.1)
    return actions


def phrase(turns: Turns, at_s: float) -> None:
    for event, after_s in ((NoteOn(60, 64), 0.0), (NoteOff(60), 0.5)):
        turns.handle(t.Heard(TimedEvent(at_s + after_s, event)), at_s + after_s)


def released(turns: Turns, at_s: float) -> list[Action]:
    return turns.handle(t.Released(), at_s)


def begun(actions: list[Action]) -> list[BeginTurn]:
    return [action for action in actions if isinstance(action, BeginTurn)]


def test_a_tap_takes_the_turn_and_gives_it_back() -> None:
    turns = listening()
    phrase(turns, 1.0)

    actions = tap(turns, 2.0)
    assert begun(actions)
    assert t.Enter(State.PERFORMING, "pedal") in actions
    assert t.Release() in tap(turns, 5.0)
    released(turns, 5.0)

    assert turns.state is State.LISTENING


def test_a_double_tap_gives_another_take_of_what_was_heard() -> None:
    turns = listening()
    phrase(turns, 1.0)
    tap(turns, 2.0)
    tap(turns, 5.0)  # it was heard to here
    released(turns, 5.0)

    tap(turns, 6.0)  # begins a third turn, by mistake, which the second press takes back too
    assert t.Release() in tap(turns, 6.2)
    actions = released(turns, 6.25)

    assert Return(2, 6.25 - 2.0) in actions
    assert begun(actions)
    assert [event for _, event in turns.history] == [NoteOn(60, 64), NoteOff(60)]


def test_a_double_tap_while_it_plays_gives_another_take_of_that() -> None:
    turns = listening()
    phrase(turns, 1.0)
    tap(turns, 2.0)

    tap(turns, 5.0)
    tap(turns, 5.2)
    actions = released(turns, 5.25)

    assert Return(1, 3.25) in actions
    assert turns.state is State.PERFORMING


def test_a_double_tap_after_a_phrase_gives_another_take_of_its_first_answer() -> None:
    turns = listening()
    phrase(turns, 1.0)
    tap(turns, 2.0)
    tap(turns, 3.0)
    released(turns, 3.0)
    phrase(turns, 4.0)

    tap(turns, 5.0)
    tap(turns, 5.2)

    assert Return(1, 0.25) in [
        replace(action, by_s=round(action.by_s, 6)) if isinstance(action, Return) else action
        for action in released(turns, 5.25)
    ]


def test_a_long_press_is_panic() -> None:
    turns = listening()
    phrase(turns, 1.0)
    turns.handle(t.Switched(True, 2.0), 2.0)
    assert turns.next_deadline_s == 2.0 + LONG_S

    actions = turns.handle(t.Tick(), 2.0 + LONG_S)

    assert t.SilenceAll() in actions
    released(turns, 2.9)
    assert turns.state is State.LISTENING
    assert turns.next_deadline_s is None


def test_a_program_is_a_press_that_does_not_last() -> None:
    turns = listening()
    phrase(turns, 1.0)

    assert begun(turns.handle(t.Switched(True, 2.0, stays=False), 2.0))
    assert turns.next_deadline_s is None
    turns.handle(t.Switched(True, 4.0, stays=False), 4.0)

    assert turns.state is State.HANDING_BACK


def test_what_is_not_possible_is_not_done() -> None:
    turns = Turns(PARAMETERS)  # without a model
    assert tap(turns, 1.0) == []

    turns = listening()
    assert tap(turns, 1.0)  # with nothing heard it plays of itself
    turns = listening()
    turns.handle(t.Switched(True, 1.0), 1.0)
    turns.handle(t.Lost(Part.INPUT, "unplugged"), 1.1)
    assert turns.next_deadline_s is None  # nobody presses it


def test_a_tap_waits_for_the_hands_where_that_is_asked_for() -> None:
    turns = listening(replace(PARAMETERS, held_keys=HeldKeys.WAIT.value))
    turns.handle(t.Heard(TimedEvent(1.0, NoteOn(60, 64))), 1.0)

    assert not begun(tap(turns, 2.0))

    assert begun(turns.handle(t.Heard(TimedEvent(3.0, NoteOff(60))), 3.0))
