"""Whose turn it is, law by law. The machine is pure: no clock, thread or port is needed."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.messages import turns as t
from daemon.messages.brain import (
    BeginTurn,
    Conclude,
    EndTurn,
    Hear,
    PlanComplete,
    Planned,
    Recall,
    Steer,
    ToBrain,
)
from daemon.messages.turns import Action, Occurrence, Part, State
from daemon.parameters import (
    Entry,
    HandBack,
    HeldKeys,
    Parameters,
    Trigger,
    WhenPlayedOver,
)
from daemon.stage.turns import Turns
from perceivers.events import Event, NoteOff, NoteOn, Pedal, TimedEvent

PARAMETERS = Parameters(seed=1, silence_s=1.0, phrase_notes=2, channel=3, hand_back="cut")


def on(pitch: int, time_s: float) -> t.Heard:
    return t.Heard(TimedEvent(time_s, NoteOn(pitch, 64)))


def off(pitch: int, time_s: float) -> t.Heard:
    return t.Heard(TimedEvent(time_s, NoteOff(pitch)))


def pedal(down: bool, time_s: float) -> t.Heard:
    return t.Heard(TimedEvent(time_s, Pedal(down)))


def told(actions: list[Action]) -> list[object]:
    return [action for action in actions if isinstance(action, ToBrain)]


def states(actions: list[Action]) -> list[State]:
    return [action.state for action in actions if isinstance(action, t.Enter)]


def listening(parameters: Parameters = PARAMETERS) -> Turns:
    turns = Turns(parameters)
    turns.handle(t.Back(Part.MODEL), 0.0)
    return turns


def played(turns: Turns, pitches: tuple[int, ...] = (60, 64), from_s: float = 1.0) -> float:
    """Let the player play one note after the other; return when the last key came up."""
    now_s = from_s
    for pitch in pitches:
        turns.handle(on(pitch, now_s), now_s)
        turns.handle(off(pitch, now_s + 0.1), now_s + 0.1)
        now_s += 0.1
    return now_s


def performing(parameters: Parameters = PARAMETERS) -> Turns:
    turns = listening(parameters)
    turns.handle(t.Perform(), 10.0)
    return turns


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


def test_parameters_changed_in_a_turn_steer_it_and_keep_what_is_the_turns_own() -> None:
    turns = listening()
    turns.handle(t.Perform({"seed": 7}), 1.0)

    actions = turns.handle(t.Adjust({"temperature": 0.5}), 1.5)

    assert t.Changed(("temperature",)) in actions
    assert told(actions) == [Steer(replace(PARAMETERS, seed=7, temperature=0.5))]


def test_what_applies_to_the_next_turn_leaves_the_present_one_as_it_is() -> None:
    turns = listening()
    turns.handle(t.Perform(), 1.0)

    actions = turns.handle(t.Adjust({"channel": 5, "seed": 3}), 1.5)

    assert told(actions) == []
    assert turns.parameters.channel == 5


def test_after_shutdown_nothing_is_done() -> None:
    turns = performing()
    assert t.Release() in turns.handle(t.Shutdown(), 11.0)

    assert turns.handle(on(60, 11.1), 11.1) == []
    assert turns.handle(Planned(1, (TimedEvent(11.2, NoteOn(60, 64)),)), 11.1) == []
    assert turns.handle(t.Perform(), 11.2) == [t.Refuse("the daemon is ending")]


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


def test_limits_that_contradict_each_other_are_refused_and_nothing_is_changed() -> None:
    turns = listening()
    before = turns.parameters

    (refused,) = turns.handle(t.Adjust({"lowest_key": 80, "highest_key": 40, "seed": 3}), 1.0)
    (refused_too,) = turns.handle(t.Perform({"lowest_key": 100, "highest_key": 40}), 1.1)

    assert isinstance(refused, t.Refuse)
    assert "lowest_key = 80 lies above highest_key = 40" in refused.reason
    assert isinstance(refused_too, t.Refuse)
    assert turns.parameters == before
    assert turns.state is State.LISTENING


def test_limits_that_contradict_those_of_the_turn_are_refused_while_it_lasts() -> None:
    turns = listening()
    turns.handle(t.Perform({"highest_key": 50}), 1.0)

    (refused,) = turns.handle(t.Adjust({"lowest_key": 60}), 1.5)

    assert isinstance(refused, t.Refuse)
    assert turns.parameters.lowest_key == 0
    assert turns.state is State.PERFORMING


def test_a_turn_without_a_seed_gets_one_that_the_first_seed_says() -> None:
    def seeds(first_seed: int) -> list[int | None]:
        turns = Turns(replace(PARAMETERS, seed=None), missing={}, first_seed=first_seed)
        drawn = []
        for number in range(1, 4):
            begun = turns.handle(t.Perform(), float(number))[0]
            assert isinstance(begun, BeginTurn)
            drawn.append(begun.parameters.seed)
            turns.handle(t.Stop(), number + 0.5)
            turns.handle(t.Released(), number + 0.6)
        return drawn

    assert seeds(1) == seeds(1) != seeds(2)
    assert len({*seeds(1), *seeds(2)} - {None}) == 6


def test_a_preset_sets_what_it_has_and_an_unknown_one_nothing() -> None:
    presets = {
        "calm": {"temperature": 0.8, "channel": 4},
        "odd": {"lowest_key": 99, "highest_key": 9},
    }
    turns = Turns(PARAMETERS, missing={}, presets=presets)

    assert t.Changed(("temperature", "channel")) in turns.handle(t.Preset("calm"), 1.0)
    assert turns.parameters == replace(PARAMETERS, temperature=0.8, channel=4)
    assert turns.handle(t.Preset("clam"), 1.1) == [
        t.Refuse("no preset 'clam'; did you mean 'calm'?")
    ]
    assert isinstance(turns.handle(t.Preset("odd"), 1.2)[0], t.Refuse)
    assert Turns(PARAMETERS).handle(t.Preset("calm"), 1.0) == [
        t.Refuse("no preset 'calm'; there are none")
    ]


def test_a_program_sets_the_preset_of_its_place_if_that_is_asked_for() -> None:
    presets = {"calm": {"temperature": 0.8}, "odd": {"lowest_key": 99, "highest_key": 9}}
    turns = Turns(replace(PARAMETERS, preset_programs=True), missing={}, presets=presets)

    assert t.Changed(("temperature",)) in turns.handle(t.ProgramChanged(0), 1.0)
    assert isinstance(turns.handle(t.ProgramChanged(1), 1.1)[0], t.Refuse)  # nobody is told
    assert turns.handle(t.ProgramChanged(2), 1.2) == []
    assert turns.parameters.temperature == 0.8

    turns = Turns(PARAMETERS, missing={}, presets=presets)
    assert turns.handle(t.ProgramChanged(0), 1.0) == []


@pytest.mark.parametrize("name", ["", "../mine", "a/b", "two words", "x" * 65, "ü"])
def test_a_capture_needs_a_plain_name(name: str) -> None:
    turns = listening()

    assert turns.handle(t.Capture("take-1_b", 30.0), 1.0) == [t.Keep("take-1_b", 30.0)]
    assert isinstance(turns.handle(t.Capture(name), 1.0)[0], t.Refuse)
