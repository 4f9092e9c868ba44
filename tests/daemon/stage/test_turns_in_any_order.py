"""Whatever happens in whatever order: the brain hears all, and nothing is played outside a turn."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.messages import turns as t
from daemon.messages.brain import BeginTurn, Conclude, EndTurn, Hear, PlanComplete, Planned, Recall
from daemon.messages.turns import Action, Occurrence, Part
from daemon.parameters import HandBack, HeldKeys, Parameters, WhenPlayedOver
from perceivers.events import Event, NoteOff, NoteOn, Pedal, TimedEvent
from tests.support.turns_by_hand import PARAMETERS, listening, told

EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(NoteOn, st.integers(60, 63), st.integers(1, 127)),
    st.builds(NoteOff, st.integers(60, 63)),
    st.builds(Pedal, st.booleans()),
)
INPUTS = st.one_of(
    EVENTS,
    EVENTS,
    st.sampled_from(
        [
            t.LetGo(),
            t.Tick(),
            t.Perform(),
            t.Stop(),
            t.Finish(),
            t.Panic(),
            t.Reset(),
            t.Released(),
            t.Lost(Part.MODEL, "x"),
            t.Back(Part.MODEL),
            t.Lost(Part.OUTPUT, "x"),
            t.Back(Part.OUTPUT),
            t.Lost(Part.INPUT, "x"),
            t.Back(Part.INPUT),
        ]
    ),
    st.builds(lambda turn: Planned(turn, ()), st.integers(1, 3)),
    st.builds(lambda turn: PlanComplete(turn, "length"), st.integers(1, 3)),
)


class FaithfulBrain:
    """Follows the messages, and checks that they make sense."""

    def __init__(self) -> None:
        self.memory: list[TimedEvent] = []
        self.turn: int | None = None

    def follow(self, actions: list[Action]) -> None:
        for message in told(actions):
            if isinstance(message, BeginTurn):
                assert self.turn is None, "a turn within a turn"
                self.turn = message.turn
            elif isinstance(message, EndTurn):
                assert self.turn == message.turn, "the end of another turn"
                self.turn = None
                self.memory += message.heard
            elif isinstance(message, Conclude):
                assert self.turn == message.turn, "the conclusion of another turn"
            elif isinstance(message, Hear):
                self.memory.extend(message.events)
            elif isinstance(message, Recall):
                self.memory = list(message.history)
                self.turn = None


@settings(max_examples=300, deadline=None)
@given(
    st.lists(INPUTS, max_size=60),
    st.builds(
        replace,
        st.just(PARAMETERS),
        when_played_over=st.sampled_from(WhenPlayedOver),
        held_keys=st.sampled_from((HeldKeys.KEEP, HeldKeys.WAIT)),
        hand_back=st.sampled_from(HandBack),
    ),
)
def test_whatever_happens_the_brain_hears_all_and_nothing_is_played_outside_a_turn(
    happenings: list[Event | Occurrence], parameters: Parameters
) -> None:
    turns = listening(parameters)
    brain = FaithfulBrain()
    heard: list[TimedEvent] = []
    now_s = 0.0
    for happening in [*happenings, t.Back(Part.OUTPUT), t.Stop(), t.Released()]:
        now_s += 0.4
        happened: Occurrence
        if isinstance(happening, NoteOn | NoteOff | Pedal):
            heard.append(TimedEvent(now_s, happening))
            happened = t.Heard(heard[-1])
        else:
            happened = happening
        if isinstance(happened, t.Reset):
            heard.clear()
        in_turn = turns.turn is not None
        actions = turns.handle(happened, now_s)
        plays = any(isinstance(action, t.Play | t.ReleaseAfterPlan) for action in actions)
        assert in_turn or not plays
        if Part.MODEL in turns.missing:
            assert told(actions) == []
            brain = FaithfulBrain()  # that one is gone; the next is told the history
        brain.follow(actions)
    brain.follow(turns.handle(t.Back(Part.MODEL), now_s))

    by_player = [timed for timed in brain.memory if timed in heard]
    assert sorted(by_player, key=lambda timed: timed.time_s) == heard
