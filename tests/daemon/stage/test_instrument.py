"""What leaves beside the answer: thru, a clock and lamps; and an instrument that sounds late."""

import json
from pathlib import Path

import pytest

from daemon.control.played import PlayedEvent
from daemon.messages.brain import BeginTurn, Conclude, EndTurn, PlanComplete, Planned
from daemon.midi.latency import Latency
from daemon.midi.loop_guard import LoopGuard
from daemon.parameters import Parameters
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from tests.support.stage_by_hand import StageByHand

MS = 1_000_000
ON, OFF = (0x90, 60, 64), (0x80, 60, 0)
START, CLOCK, STOP = bytes((0xFA,)), bytes((0xF8,)), bytes((0xFC,))


def listening(mappings: Path | None = None, **parameters: object) -> StageByHand:
    chosen = {"silence_s": 1.0, "phrase_notes": 1, "hand_back": "cut", **parameters}
    stage = StageByHand(Parameters(**chosen), mappings=mappings)  # type: ignore[arg-type]
    stage.ready()
    return stage


def plays(stage: StageByHand, *events: NoteOn | NoteOff | Pedal, after_s: float = 0.0) -> None:
    turn = stage.core.turns.turn
    assert turn is not None
    at_s = stage.clock.now_s() + after_s
    stage.put(Planned(turn, tuple(TimedEvent(at_s, event) for event in events)))


def test_nothing_passes_unless_asked_for() -> None:
    stage = listening()

    stage.play(ON, OFF, (0xE0, 0, 70))

    assert stage.wire.sent == []


def test_what_is_played_passes_at_once_and_is_heard() -> None:
    stage = listening(thru="always")

    stage.play(ON, (0xE0, 0, 70), OFF)

    assert stage.wire.sent == [bytes(ON), bytes((0xE0, 0, 70)), bytes(OFF)]
    assert len(stage.world.of("note")) == 2


def test_between_answers_means_not_during_one_but_for_what_is_down() -> None:
    stage = listening(thru="between", trigger=(), when_played_over="ignore")
    stage.play(ON)
    stage.ask("perform")

    stage.play(OFF, (0x90, 62, 64), (0x80, 62, 0))
    assert stage.wire.sent == [bytes(ON), bytes(OFF)]

    stage.ask("stop")
    stage.play((0x90, 62, 64))
    assert stage.wire.sent[2:] == [bytes((0x90, 62, 64))]


def test_what_a_footswitch_or_a_learnt_control_sends_does_not_pass(tmp_path: Path) -> None:
    file = tmp_path / "mappings.json"
    row = {"control": "controller", "number": 20, "target": "temperature"}
    file.write_text(json.dumps({"format": 1, "mappings": [row]}))
    stage = listening(mappings=file, thru="always", trigger_controller=67)

    stage.play((0xB0, 67, 127), (0xB0, 67, 0), (0xB0, 20, 64), (0xB0, 21, 64))

    assert stage.wire.sent == [bytes((0xB0, 21, 64))]


@pytest.mark.parametrize("way", ["unplugged", "reset"])
def test_the_keys_of_a_player_who_is_gone_come_up_at_the_instrument(way: str) -> None:
    stage = listening(thru="always")
    stage.play(ON, (0xB0, 64, 100))

    if way == "unplugged":
        stage.input_is_there(False)
    else:
        stage.keyboard.waiting.append((b"\xff", 0.0))
        stage.settle()

    assert stage.wire.sent[2:] == [bytes((0x80, 60, 64)), bytes((0xB0, 64, 0))]


def test_after_a_panic_the_player_lets_go_of_what_was_silenced() -> None:
    stage = listening(thru="always")
    stage.play(ON)

    stage.asked("panic")
    stage.pass_s(0.1)
    stage.play(OFF)

    assert bytes((0xB0, 123, 0)) in stage.wire.sent
    assert stage.wire.sent[-1] == bytes(OFF)


def test_a_key_that_is_struck_twice_in_a_moment_comes_up_each_time() -> None:
    stage = StageByHand(Parameters(thru="always"), LoopGuard(30 * MS))
    stage.ready()

    for velocity in (64, 65):  # by a pad, or a contact that bounces
        stage.play((0x90, 60, velocity))
        stage.pass_s(0.01, step_s=0.005)
        stage.play(OFF)

    assert [message[0] & 0xF0 for message in stage.wire.sent] == [0x90, 0x80, 0x90, 0x80]
    assert len(stage.world.of("note")) == 4


def test_the_pedal_of_both_comes_up_when_the_last_lets_go() -> None:
    stage = listening(thru="always", when_played_over="ignore", trigger=())
    stage.ask("perform")
    plays(stage, NoteOn(72, 50), Pedal(True))
    stage.play((0xB0, 64, 90))
    assert stage.wire.sent[-1] == bytes((0xB0, 64, 127))

    plays(stage, NoteOff(72), Pedal(False))
    assert stage.wire.sent[-1] == bytes((0xB0, 64, 90))  # the player's foot is still down

    stage.play((0xB0, 64, 0))
    assert stage.wire.sent[-1] == bytes((0xB0, 64, 0))


def test_what_passed_is_no_echo_for_the_player_and_is_one_when_it_comes_back() -> None:
    guard = LoopGuard(30 * MS)
    stage = StageByHand(Parameters(thru="always"), guard)
    stage.ready()

    stage.play(ON)
    stage.play(ON)  # a patchbay that leads the output back
    stage.play(OFF)

    assert stage.wire.sent == [bytes(ON), bytes(OFF)]


def test_what_a_client_plays_passes_on_the_channel_of_the_answer() -> None:
    stage = listening(thru="always", channel=3)

    stage.ask("play", client="a", events=[PlayedEvent(NoteOn(60, 80))])
    assert stage.wire.sent == [bytes((0x92, 60, 80))]

    stage.pass_s(4.0, step_s=0.1)  # it has gone
    assert stage.wire.sent[1] == bytes((0x82, 60, 64))


def test_the_clock_begins_with_the_answer_and_ends_with_it() -> None:
    stage = listening(clock_out=True, trigger=(), tempo_scale=2.0)
    for number in range(4):  # a player's pulse of 0.5 s
        stage.clock.time_ns = number * 500 * MS
        stage.play(ON, OFF)

    stage.ask("perform")
    stage.pass_s(1.01)

    assert stage.wire.sent[0] == START
    assert stage.wire.sent[1:] == [CLOCK] * (4 * 24 + 1)  # 0.25 s a beat, at twice the tempo

    stage.ask("stop")
    stage.pass_s(0.1)
    assert stage.wire.sent[-1] == STOP
    assert stage.wire.sent.count(STOP) == 1


def test_a_lamp_shows_what_the_performer_is_doing_and_again_when_it_was_plugged_in() -> None:
    stage = listening(lamp_controller=80, lamp_channel=2)
    stage.play(ON)
    stage.pass_s(0.01)
    assert stage.wire.sent == [bytes((0xB1, 80, value)) for value in (16, 32)]

    stage.wire.plugged = False
    stage.ask("set", lamp_channel=3)  # nobody is there to be shown it
    stage.pass_s(0.02)
    stage.wire.plugged = True
    stage.pass_s(1.0)

    assert bytes((0xB2, 80, 32)) in stage.wire.sent[2:]


def test_controllers_are_sent_the_value_of_what_they_turn_but_not_while_they_turn_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "mappings.json"
    row = {"control": "controller", "number": 20, "target": "length", "lowest": 1, "highest": 128}
    file.write_text(json.dumps({"format": 1, "mappings": [row]}))
    stage = listening(mappings=file, lamp_mappings=True, lamp_channel=1)
    stage.pass_s(0.01)
    assert stage.wire.sent == [bytes((0xB0, 20, 14))]

    stage.play((0xB0, 20, 29))
    stage.pass_s(0.01)
    assert stage.core.turns.parameters.length == 30.0
    assert len(stage.wire.sent) == 1

    stage.ask("set", length=40.0)
    stage.pass_s(0.01)
    assert stage.wire.sent[1:] == [bytes((0xB0, 20, 39))]


LATE = Latency(200 * MS)


def late_stage(**parameters: object) -> StageByHand:
    chosen = {"silence_s": 1.0, "phrase_notes": 1, "trigger": (), **parameters}
    stage = StageByHand(Parameters(**chosen), latency=LATE)  # type: ignore[arg-type]
    stage.ready()
    stage.ask("perform")
    return stage


def test_on_an_instrument_that_sounds_late_an_answer_begins_when_it_can_sound() -> None:
    stage = late_stage()
    (begin,) = [message for message in stage.brain.told if isinstance(message, BeginTurn)]
    assert begin.start_s == 0.2

    plays(stage, NoteOn(72, 50), after_s=0.2)
    assert stage.wire.sent == [bytes((0x90, 72, 50))]
    assert stage.world.of("note") == []  # it is not heard yet

    stage.pass_s(0.2)
    (note,) = stage.world.of("note")
    assert note["at_s"] == pytest.approx(0.2, abs=0.011)


def test_a_turn_ends_when_all_that_left_was_heard() -> None:
    stage = late_stage()
    plays(stage, NoteOn(72, 50), after_s=0.2)
    plays(stage, NoteOff(72), after_s=0.4)
    turn = stage.core.turns.turn
    assert turn is not None
    stage.put(PlanComplete(turn, "length"))

    stage.pass_s(0.35)
    assert stage.state == "performing"
    assert stage.wire.sent[-1] == bytes((0x80, 72, 64))

    stage.pass_s(0.2)
    assert stage.state == "listening"
    (ended,) = [message for message in stage.brain.told if isinstance(message, EndTurn)]
    assert [timed.event for timed in ended.performed] == [NoteOn(72, 50), NoteOff(72)]


def test_handed_back_it_plans_anew_from_what_has_not_left_yet() -> None:
    stage = late_stage(hand_back="natural")
    plays(stage, NoteOn(72, 50), after_s=0.2)
    plays(stage, NoteOn(74, 50), after_s=0.39)

    stage.pass_s(0.1)
    stage.ask("finish")
    stage.pass_s(0.2)

    (conclude,) = [message for message in stage.brain.told if isinstance(message, Conclude)]
    assert conclude.from_s == pytest.approx(0.3, abs=0.011)
    assert stage.wire.sent == [bytes((0x90, 72, 50))]
