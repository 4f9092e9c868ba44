"""The core: what it is told, what it lets the turns decide, and what it tells others.

Each state, each loss and each order of arrival, by hand: no thread, no process, no waiting.
"""

import itertools
from dataclasses import replace

import pytest

from daemon.messages.brain import (
    BeginTurn,
    BrainFailed,
    BrainReady,
    EndTurn,
    Hear,
    PlanComplete,
    Planned,
    Pulse,
    Recall,
    Steer,
)
from daemon.messages.stage import Beat, Forgot, HandedBack, Happened, Ready
from daemon.messages.turns import Back, Lost, Part
from daemon.midi.reports import Sent
from daemon.parameters import Parameters
from daemon.stage.brain_link import BrainGone, BrainOver
from daemon.stage.core import BrainFailedError, RefusedError
from daemon.stage.inbox import End, ThreadFailed
from perceivers.events import NoteOff, NoteOn, TimedEvent
from perceivers.midi_files import message_bytes
from tests.support.stage_by_hand import READY, StageByHand

ON, OFF = (0x90, 60, 64), (0x80, 60, 0)
ANSWER = message_bytes(NoteOn(72, 50), channel=0)
ANSWER_OFF = message_bytes(NoteOff(72), channel=0)


@pytest.fixture
def stage() -> StageByHand:
    return StageByHand(Parameters(silence_s=1.0, phrase_notes=1, hand_back="cut"))


@pytest.fixture
def listening(stage: StageByHand) -> StageByHand:
    stage.ready()
    return stage


@pytest.fixture
def performing(listening: StageByHand) -> StageByHand:
    """A turn is under way, in which a note sounds."""
    listening.ask("perform")
    listening.put(plan(listening, 0.0, NoteOn(72, 50)))
    assert listening.wire.sent == [ANSWER]
    return listening


def plan(stage: StageByHand, after_s: float, *events: NoteOn | NoteOff) -> Planned:
    """Return what the brain plans for the turn under way, so much later than now."""
    at_s = stage.clock.now_s() + after_s
    turn = stage.core.turns.turn
    assert turn is not None
    return Planned(turn, tuple(TimedEvent(at_s, event) for event in events))


def told(stage: StageByHand) -> list[type]:
    return [type(message) for message in stage.brain.told]


def test_it_starts_the_brain_and_says_when_all_is_there(stage: StageByHand) -> None:
    assert (stage.brain.starts, stage.state) == (1, "starting")

    stage.ready()

    assert stage.state == "listening"
    (ready,) = [report for report in stage.reports if isinstance(report, Ready)]
    assert "commands at commands, events at events" in ready.lines
    assert len(ready.lines) == 4


def test_it_says_how_many_notes_a_second_can_be_played_and_what_to_choose_if_they_are_few(
    stage: StageByHand,
) -> None:
    stage.put(replace(READY, notes_per_s=425.4, full_notes_per_s=7.2, advice="choose another"))

    (ready,) = [report for report in stage.reports if isinstance(report, Ready)]
    assert any("425 notes a second, about 7 with a full memory" in line for line in ready.lines)
    assert "choose another" in ready.lines


def test_what_is_heard_goes_to_the_turns_the_brain_the_supervisor_and_the_world(
    listening: StageByHand,
) -> None:
    listening.clock.time_ns = 2_000_000_000

    listening.play(ON)

    timed = TimedEvent(2.0, NoteOn(60, 64))
    assert listening.state == "capturing"
    assert listening.brain.told == [Hear((timed,))]
    assert Happened("player", timed) in listening.reports
    assert listening.world.of("note") == [
        {"by": "player", "at_s": 2.0, "event": "note_on", "pitch": 60, "velocity": 64}
    ]


def test_silence_begins_a_turn_without_anybody_saying_so(listening: StageByHand) -> None:
    listening.play(ON, OFF)
    assert listening.state == "armed"

    listening.pass_s(0.95)
    assert listening.state == "armed"
    listening.pass_s(0.1)

    assert listening.state == "performing"
    (begin,) = [said for said in listening.brain.told if isinstance(said, BeginTurn)]
    assert begin.start_s == pytest.approx(1.0, abs=0.02)


def test_a_plan_leaves_at_its_moments_and_what_left_is_what_the_turn_was(
    performing: StageByHand,
) -> None:
    performing.put(plan(performing, 0.5, NoteOff(72)), PlanComplete(1, "length"))
    performing.pass_s(0.45)
    assert performing.wire.sent == [ANSWER]

    performing.pass_s(0.1)

    assert performing.wire.sent == [ANSWER, ANSWER_OFF]
    assert performing.state == "listening"
    (ended,) = [said for said in performing.brain.told if isinstance(said, EndTurn)]
    assert [event for _, event in ended.performed] == [NoteOn(72, 50), NoteOff(72)]
    assert performing.world.of("turn")[0]["notes"] == 1
    assert HandedBack() in performing.reports


def test_a_note_of_the_player_ends_the_turn_at_once(performing: StageByHand) -> None:
    performing.put(plan(performing, 0.5, NoteOn(74, 50)))

    performing.play(ON)

    assert performing.state == "capturing"
    assert performing.wire.sent == [ANSWER, ANSWER_OFF]
    performing.pass_s(1.0)
    assert performing.wire.sent == [ANSWER, ANSWER_OFF]
    assert told(performing) == [BeginTurn, EndTurn]


def test_what_is_planned_too_late_for_its_turn_is_not_played(performing: StageByHand) -> None:
    late = plan(performing, 0.0, NoteOn(74, 50))
    performing.ask("stop")

    performing.put(late, PlanComplete(1, "length"), Pulse(5, 0, 0.5, 0.1))

    assert performing.wire.sent == [ANSWER, ANSWER_OFF]
    assert performing.state == "listening"


def test_stop_is_answered_when_nothing_more_can_begin(performing: StageByHand) -> None:
    performing.put(plan(performing, 0.5, NoteOn(74, 50)))
    asked = performing.asked("stop")

    performing.core.take(performing.inbox.get())

    assert asked.reply.get_nowait() == {
        "time_s": performing.clock.now_s(),
        "state": "handing_back",
        "turn": 1,
        "missing": {},
    }
    assert performing.output.next_due_ns() == performing.clock.time_ns  # the note-off alone
    performing.settle()
    assert performing.wire.sent == [ANSWER, ANSWER_OFF]


def test_panic_is_answered_when_every_channel_was_told(performing: StageByHand) -> None:
    asked = performing.asked("panic")
    performing.settle()
    assert asked.reply.empty()

    performing.pass_s(0.1)

    answer = asked.reply.get_nowait()
    assert isinstance(answer, dict)
    assert (answer["state"], answer["turn"]) == ("listening", None)
    assert {message[0] & 0x0F for message in performing.wire.sent} == set(range(16))


def test_a_change_of_parameters_is_answered_told_to_all_and_to_the_brain(
    performing: StageByHand,
) -> None:
    answer = performing.ask("set", temperature=0.5, seed=3)

    assert answer["parameters"] == {"temperature": 0.5, "seed": 3}
    assert performing.world.of("parameters") == [answer]
    assert isinstance(performing.brain.told[-1], Steer)
    assert performing.ask("get", names=("seed",)) == {"parameters": {"seed": 3}}


def test_what_is_not_possible_now_is_refused(stage: StageByHand) -> None:
    with pytest.raises(RefusedError, match="not possible now: the model is being loaded"):
        stage.ask("perform")


def test_to_forget_is_passed_on_to_whoever_keeps_the_history(listening: StageByHand) -> None:
    listening.play(ON, OFF)

    listening.ask("reset")

    assert Forgot() in listening.reports
    assert listening.brain.told[-1] == Recall(())


@pytest.mark.parametrize(
    ("command", "members"),
    [
        ("state", {"state", "turn", "missing", "time_s"}),
        ("info", {"model", "input", "output", "counts", "presets"}),
        ("schema", {"version", "commands", "parameters"}),
        ("get", {"parameters"}),
    ],
)
def test_a_question_is_answered_with_what_the_table_says(
    stage: StageByHand, command: str, members: set[str]
) -> None:
    assert stage.ask(command).keys() == members


def test_a_brain_that_ends_in_a_turn_is_replaced_and_told_what_was_played(
    performing: StageByHand,
) -> None:
    performing.brain_dies()

    assert performing.brain.starts == 2
    assert performing.wire.sent == [ANSWER, ANSWER_OFF]
    assert performing.state == "degraded"
    assert performing.ask("state")["missing"] == {"model": "the brain is over"}
    performing.ready()
    assert performing.state == "listening"
    assert isinstance(performing.brain.told[-1], Recall)
    history = performing.brain.told[-1].history
    assert [event for _, event in history] == [NoteOn(72, 50), NoteOff(72)]


def test_a_brain_that_falls_silent_is_missed_at_once_and_replaced_when_it_is_over(
    performing: StageByHand,
) -> None:
    performing.brain.silent = "the model has not answered"
    performing.look()

    assert performing.state == "degraded"
    assert performing.wire.sent == [ANSWER, ANSWER_OFF]
    assert performing.brain.starts == 1
    performing.brain_dies()
    assert performing.brain.starts == 2


def test_the_last_words_of_a_brain_come_before_its_end_and_change_nothing(
    performing: StageByHand,
) -> None:
    words = plan(performing, 0.0, NoteOn(74, 50)), PlanComplete(1, "length"), BrainFailed("ill")
    performing.brain.silent = "the model has not answered"
    performing.look()

    performing.put(*words, BrainOver())

    assert performing.brain.heard_of[-1] == BrainFailed("ill")
    assert performing.wire.sent == [ANSWER, ANSWER_OFF]
    assert (performing.state, performing.brain.starts) == ("degraded", 2)


def test_a_brain_that_died_again_and_again_rests_before_it_is_started_again(
    listening: StageByHand,
) -> None:
    listening.brain.gone = BrainGone("five times", rests_s=2.0)

    listening.brain_dies()
    listening.pass_s(1.9)

    assert (listening.state, listening.brain.starts) == ("degraded", 1)
    assert listening.ask("state")["missing"] == {"model": "five times"}

    listening.pass_s(0.2)
    assert listening.brain.starts == 2
    listening.ready()
    assert listening.state == "listening"


def test_a_brain_that_never_was_ready_is_for_the_user_to_mend(stage: StageByHand) -> None:
    stage.brain.gone = BrainGone("models/none: no such folder")

    with pytest.raises(BrainFailedError, match="no such folder"):
        stage.brain_dies()


def test_the_brain_is_not_taken_for_silent_while_its_word_waits(stage: StageByHand) -> None:
    stage.inbox.put(READY)
    stage.inbox.put(End("enough"))
    stage.brain.silent = "the model has not answered"

    stage.core.run(stage.brain, stage.world, stage.reports.append)

    assert Part.MODEL not in stage.core.turns.missing


def test_a_lost_input_lifts_the_hands_and_is_missing_until_it_is_back(
    listening: StageByHand,
) -> None:
    listening.play(ON)

    listening.input_is_there(False)

    assert listening.state == "degraded"
    assert listening.ask("state")["missing"] == {"input": "MIDI input 'script' is gone"}
    assert [event for said in listening.brain.told for _, event in said.events] == [
        NoteOn(60, 64),
        NoteOff(60),
    ]
    listening.input_is_there(True)
    assert listening.state != "degraded"


def test_a_lost_output_ends_the_turn_and_what_sounded_is_released_when_it_is_back(
    performing: StageByHand,
) -> None:
    performing.wire.plugged = False
    performing.put(plan(performing, 0.0, NoteOn(74, 50)))

    assert performing.state == "degraded"
    assert "output" in performing.ask("state")["missing"]
    performing.wire.plugged = True
    performing.settle()
    assert performing.state == "listening"
    assert ANSWER_OFF in performing.wire.sent


LOSSES = {
    "model": (lambda stage: stage.brain_dies(), lambda stage: stage.ready()),
    "input": (
        lambda stage: stage.input_is_there(False),
        lambda stage: stage.input_is_there(True),
    ),
    "output": (
        lambda stage: stage.put(Lost(Part.OUTPUT, "unplugged")),
        lambda stage: stage.put(Back(Part.OUTPUT)),
    ),
}


@pytest.mark.parametrize("back", [*itertools.permutations(LOSSES)], ids="-".join)
@pytest.mark.parametrize("lost", [*itertools.permutations(LOSSES)], ids="-".join)
def test_parts_are_lost_and_come_back_in_any_order(
    performing: StageByHand, lost: tuple[str, ...], back: tuple[str, ...]
) -> None:
    for part in lost:
        LOSSES[part][0](performing)
        assert part in performing.ask("state")["missing"]

    for part in back:
        assert performing.state == "degraded"
        LOSSES[part][1](performing)

    assert performing.state == "listening"
    assert performing.wire.sent == [ANSWER, ANSWER_OFF]
    assert performing.ask("perform")["state"] == "performing"


IN_A_TURN = {
    "plan": lambda stage: plan(stage, 0.0, NoteOff(72)),
    "complete": lambda _: PlanComplete(1, "length"),
    "pulse": lambda _: Pulse(9, 0, 0.5, 0.1),
    "over": lambda _: BrainOver(),
}


@pytest.mark.parametrize("order", [*itertools.permutations(IN_A_TURN)], ids="-".join)
@pytest.mark.parametrize("note", [True, False], ids=["yields", "alone"])
def test_whatever_arrives_in_whatever_order_the_turn_ends_and_nothing_sounds(
    performing: StageByHand, order: tuple[str, ...], note: bool
) -> None:
    items = [IN_A_TURN[name](performing) for name in order]
    if note:
        performing.keyboard.waiting.append((bytes(ON), 0.0))

    performing.put(*items)
    performing.pass_s(0.1)

    assert performing.core.turns.turn is None
    assert performing.wire.sent == [ANSWER, ANSWER_OFF]


def test_it_beats_and_tells_how_it_does(listening: StageByHand) -> None:
    listening.put(Pulse(512, 3, 0.75, None))
    beats = listening.reports.count(Beat())

    listening.pass_s(1.05)

    assert listening.reports.count(Beat()) == beats + 2
    assert listening.world.of("metrics")[-1]["context_tokens"] == 512


def test_the_failure_of_a_thread_is_that_of_the_core(stage: StageByHand) -> None:
    with pytest.raises(ZeroDivisionError):
        stage.put(ThreadFailed("input", ZeroDivisionError()))


@pytest.mark.parametrize("by_command", [True, False])
def test_to_end_it_lets_go_and_tells_what_left_after_that(
    performing: StageByHand, by_command: bool
) -> None:
    if by_command:
        assert performing.ask("shutdown")["state"] == "stopping"
    else:
        performing.put(End("SIGTERM"))
    assert performing.core.has_ended

    performing.inbox.put(Sent(performing.clock.time_ns, NoteOff(72)))
    performing.core.drain()

    assert performing.reports[-1] == Happened("performer", TimedEvent(0.0, NoteOff(72)))


def test_after_the_end_commands_are_still_answered(performing: StageByHand) -> None:
    performing.put(End("SIGTERM"))

    assert performing.ask("state")["state"] == "stopping"
    with pytest.raises(RefusedError, match="the daemon is ending"):
        performing.ask("perform")


def test_a_model_that_is_ready_twice_is_described_as_the_last(listening: StageByHand) -> None:
    listening.brain_dies()
    listening.put(BrainReady("other", "script", "none", 2.0, 64, 0.5, 0.1))

    assert listening.ask("info")["model"]["model"] == "other"
