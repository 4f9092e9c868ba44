"""Another take and undo: what is taken back, what stays, and what the brain is told."""

from dataclasses import replace

from daemon.messages import turns as t
from daemon.messages.brain import BeginTurn, EndTurn, Hear, Recall, Return, ToBrain
from daemon.messages.turns import Action, Part, State
from daemon.parameters import Parameters
from daemon.stage.past import MOST_EXCHANGES
from daemon.stage.turns import Turns
from perceivers.events import Event, NoteOff, NoteOn, Pedal, TimedEvent

PARAMETERS = Parameters(phrase_notes=1, hand_back="cut")


def listening(parameters: Parameters = PARAMETERS) -> Turns:
    turns = Turns(parameters)
    turns.handle(t.Back(Part.MODEL), 0.0)
    return turns


def does(turns: Turns, time_s: float, event: Event) -> list[Action]:
    return turns.handle(t.Heard(TimedEvent(time_s, event)), time_s)


def phrase(turns: Turns, at_s: float, pitch: int = 60) -> None:
    does(turns, at_s, NoteOn(pitch, 64))
    does(turns, at_s + 0.5, NoteOff(pitch))


def answer(turns: Turns, at_s: float, pitch: int = 72) -> None:
    """A turn of one note, to its end."""
    turns.handle(t.Perform(), at_s)
    play(turns, at_s, pitch)
    turns.handle(t.Stop(), at_s + 0.6)
    turns.handle(t.Released(), at_s + 0.6)


def play(turns: Turns, at_s: float, pitch: int) -> None:
    turns.handle(t.Performed(TimedEvent(at_s + 0.1, NoteOn(pitch, 50))), at_s + 0.1)
    turns.handle(t.Performed(TimedEvent(at_s + 0.5, NoteOff(pitch))), at_s + 0.5)


def told(actions: list[Action]) -> list[ToBrain]:
    return [action for action in actions if isinstance(action, ToBrain)]


def begun(actions: list[Action]) -> BeginTurn:
    (begin,) = (action for action in actions if isinstance(action, BeginTurn))
    return begin


def pitches(turns: Turns) -> list[int]:
    return [event.pitch for _, event in turns.history if isinstance(event, NoteOn)]


def test_another_take_begins_at_the_same_hand_over_which_is_now() -> None:
    turns = listening()
    phrase(turns, 1.0)
    first = begun(turns.handle(t.Perform({"length": 7.0}), 2.0))
    play(turns, 2.0, 72)
    turns.handle(t.Stop(), 3.0)
    turns.handle(t.Released(), 3.0)

    actions = turns.handle(t.AnotherTake(), 5.0)

    back, begin = told(actions)
    assert back == Return(1, 3.0)
    assert isinstance(begin, BeginTurn)
    assert begin.parameters.seed not in (None, first.parameters.seed)
    same = replace(begin.parameters, seed=first.parameters.seed)
    assert replace(begin, turn=1, start_s=2.0, parameters=same) == first
    assert [*turns.history] == [
        TimedEvent(4.0, NoteOn(60, 64)),
        TimedEvent(4.5, NoteOff(60)),
    ]
    assert t.Forget(tuple(turns.history)) in actions
    assert turns.state is State.PERFORMING


def test_a_take_that_lasts_is_cut_first_and_leaves_nothing() -> None:
    turns = listening()
    phrase(turns, 1.0)
    turns.handle(t.Perform(), 2.0)
    turns.handle(t.Performed(TimedEvent(2.1, NoteOn(72, 50))), 2.1)

    actions = turns.handle(t.AnotherTake(), 2.5)
    assert t.Release() in actions
    assert not told(actions)
    turns.handle(t.Performed(TimedEvent(2.5, NoteOff(72))), 2.5)
    actions = turns.handle(t.Released(), 2.51)

    assert [type(action) for action in told(actions)] == [EndTurn, Return, BeginTurn]
    assert t.TurnEnded in map(type, actions)
    assert pitches(turns) == [60]


def test_takes_of_one_seed_are_always_the_same_and_never_one_another() -> None:
    turns = listening(replace(PARAMETERS, seed=2**31 - 2))
    phrase(turns, 1.0)
    seeds = [begun(turns.handle(t.Perform(), 2.0)).parameters.seed]
    for take in range(3):
        turns.handle(t.AnotherTake(), 3.0 + take)
        seeds.append(begun(turns.handle(t.Released(), 3.0 + take)).parameters.seed)

    assert seeds == [2**31 - 2, 2**31 - 1, 0, 1]


def test_the_hands_of_now_are_those_of_the_next_take() -> None:
    turns = listening()
    does(turns, 1.0, NoteOn(60, 64))
    does(turns, 1.1, NoteOn(62, 64))
    does(turns, 1.2, Pedal(True))
    turns.handle(t.Perform(), 2.0)
    does(turns, 2.5, NoteOff(60))
    does(turns, 2.6, Pedal(False))
    does(turns, 2.7, NoteOn(64, 64))  # takes the turn back
    turns.handle(t.Released(), 2.8)

    actions = turns.handle(t.AnotherTake(), 3.0)
    assert isinstance(actions[0], t.Refuse)  # a phrase has begun since
    turns.handle(t.Adjust({"phrase_notes": 3}), 3.0)
    _, hands, begin = told(turns.handle(t.AnotherTake(), 3.0))

    assert hands == Hear((TimedEvent(3.0, NoteOff(60)), TimedEvent(3.0, Pedal(False))))
    assert isinstance(begin, BeginTurn)
    assert begin.held == {62, 64}
    assert told(does(turns, 3.5, NoteOff(64))) == []  # it was never struck, for the memory
    assert told(does(turns, 3.6, NoteOff(62))) == [Hear((TimedEvent(3.6, NoteOff(62)),))]


def test_a_new_brain_is_told_what_it_cannot_go_back_to() -> None:
    turns = listening()
    phrase(turns, 1.0)
    answer(turns, 2.0)
    turns.handle(t.Lost(Part.MODEL, "died"), 3.0)
    assert isinstance(turns.handle(t.AnotherTake(), 3.1)[0], t.Refuse)
    turns.handle(t.Back(Part.MODEL), 4.0)

    recall, begin = told(turns.handle(t.AnotherTake(), 5.0))

    assert recall == Recall((TimedEvent(4.0, NoteOn(60, 64)), TimedEvent(4.5, NoteOff(60))))
    assert isinstance(begin, BeginTurn)


def test_undo_takes_phrase_and_answer_back_one_exchange_after_the_other() -> None:
    turns = listening()
    for number in range(3):
        phrase(turns, 10.0 * number, 60 + number)
        answer(turns, 10.0 * number + 2.0, 70 + number)
    assert pitches(turns) == [60, 70, 61, 71, 62, 72]

    (recall,) = told(turns.handle(t.Undo(), 40.0))
    assert isinstance(recall, Recall)
    assert pitches(turns) == [60, 70, 61, 71]
    assert recall.history == tuple(turns.history)
    assert turns.state is State.LISTENING
    turns.handle(t.Undo(), 41.0)
    assert pitches(turns) == [60, 70]
    recall, _ = told(turns.handle(t.AnotherTake(), 42.0))
    assert isinstance(recall, Recall)
    assert pitches(turns) == [60]
    turns.handle(t.Undo(), 43.0)
    turns.handle(t.Released(), 43.0)
    assert pitches(turns) == []
    assert isinstance(turns.handle(t.Undo(), 44.0)[0], t.Refuse)


def test_what_took_the_turn_back_belongs_to_the_next_exchange() -> None:
    turns = listening()
    phrase(turns, 1.0)
    turns.handle(t.Perform(), 2.0)
    turns.handle(t.Performed(TimedEvent(2.1, NoteOn(72, 50))), 2.1)
    does(turns, 2.2, NoteOn(64, 64))
    turns.handle(t.Performed(TimedEvent(2.3, NoteOff(72))), 2.3)
    turns.handle(t.Released(), 2.3)
    does(turns, 2.5, NoteOff(64))
    answer(turns, 4.0, 74)
    assert pitches(turns) == [60, 72, 64, 74]

    turns.handle(t.Undo(), 6.0)

    assert pitches(turns) == [60, 72]


def test_a_stop_lets_no_further_take_begin() -> None:
    turns = listening()
    phrase(turns, 1.0)
    turns.handle(t.Perform(), 2.0)
    turns.handle(t.AnotherTake(), 2.5)

    turns.handle(t.Stop(), 2.5)
    actions = turns.handle(t.Released(), 2.6)

    assert [type(action) for action in told(actions)] == [EndTurn]
    assert turns.state is State.LISTENING


def test_nothing_to_take_back_is_refused() -> None:
    turns = listening()
    phrase(turns, 1.0)

    for command in (t.AnotherTake(), t.Undo()):
        (refused,) = turns.handle(command, 2.0)
        assert isinstance(refused, t.Refuse)
        assert "no answer" in refused.reason or "played on" in refused.reason

    answer(turns, 3.0)
    turns.handle(t.Reset(), 5.0)
    assert isinstance(turns.handle(t.Undo(), 6.0)[0], t.Refuse)


def test_of_many_exchanges_the_last_ones_can_be_taken_back() -> None:
    turns = listening()
    for number in range(MOST_EXCHANGES + 2):
        phrase(turns, 10.0 * number)
        answer(turns, 10.0 * number + 2.0)

    undone = 0
    while not isinstance(turns.handle(t.Undo(), 500.0 + undone)[0], t.Refuse):
        undone += 1

    assert undone == MOST_EXCHANGES
    assert len(pitches(turns)) == 4
