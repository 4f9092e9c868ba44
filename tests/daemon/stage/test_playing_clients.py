"""The command `play`: who plays as a client is the player, and what it holds never sticks."""

from typing import Any

import pytest

from daemon.control.played import FAR_S, LATE_S, LEASE_S, PlayedEvent
from daemon.control.requests import Code, CommandError
from daemon.messages.brain import Hear, Planned
from daemon.messages.stage import Happened
from daemon.midi.loop_guard import LoopGuard
from daemon.parameters import Parameters
from perceivers.events import Event, NoteOff, NoteOn, Pedal, TimedEvent
from tests.support.stage_by_hand import NS_PER_S, StageByHand

MS = 1_000_000
PORT_ON, PORT_OFF = (0x90, 60, 64), (0x80, 60, 0)
ON, OFF = NoteOn(60, 80), NoteOff(60)


@pytest.fixture
def stage() -> StageByHand:
    stage = StageByHand(Parameters(silence_s=1.0, phrase_notes=1))
    stage.ready()
    stage.clock.time_ns = 10 * NS_PER_S
    return stage


def play(stage: StageByHand, *events: Event, client: str = "a", at_s: float | None = None) -> Any:
    return stage.ask("play", client, events=tuple(PlayedEvent(event, at_s) for event in events))


def heard(stage: StageByHand) -> list[Event]:
    return [timed.event for told in stage.brain.told if isinstance(told, Hear)
            for timed in told.events]  # fmt: skip


def test_what_a_client_plays_is_the_players(stage: StageByHand) -> None:
    answer = play(stage, ON, Pedal(down=True))

    at_s = stage.clock.now_s()
    assert answer == {"held": [60], "pedal": True}
    assert heard(stage) == [ON, Pedal(down=True)]
    assert Happened("player", TimedEvent(at_s, ON)) in stage.reports
    assert stage.world.of("note")[0] == {
        "by": "player", "at_s": at_s, "event": "note_on", "pitch": 60, "velocity": 80,
    }  # fmt: skip
    assert stage.state == "capturing"


def test_a_phrase_of_a_client_is_answered(stage: StageByHand) -> None:
    play(stage, ON)
    play(stage, OFF)

    stage.pass_s(1.1)

    assert stage.state == "performing"


def test_a_note_of_a_client_ends_the_turn_and_withdraws_what_was_planned(
    stage: StageByHand,
) -> None:
    stage.ask("perform")
    at_s = stage.clock.now_s() + 0.3
    planned = (TimedEvent(at_s, NoteOn(72, 50)), TimedEvent(at_s + 0.1, NoteOff(72)))
    stage.put(Planned(1, planned))

    play(stage, ON)

    assert stage.world.of("planned") == [
        {
            "turn": 1,
            "events": [
                {"at_s": at_s, "event": "note_on", "pitch": 72, "velocity": 50},
                {"at_s": at_s + 0.1, "event": "note_off", "pitch": 72},
            ],
        }
    ]
    (withdrawn,) = stage.world.of("withdrawn")
    assert (withdrawn["turn"], withdrawn["reason"]) == (1, "yielded")
    assert withdrawn["after_s"] == pytest.approx(stage.clock.now_s(), abs=0.05)
    assert stage.wire.sent == []


@pytest.mark.parametrize(
    ("command", "reason"), [("stop", "stopped"), ("panic", "panic"), ("reset", "reset")]
)
def test_who_ends_a_turn_withdraws_what_was_planned(
    stage: StageByHand, command: str, reason: str
) -> None:
    stage.ask("perform")

    stage.asked(command)
    stage.pass_s(0.1)

    told = stage.world.of("withdrawn")
    assert [(each["reason"], each["after_s"]) for each in told] == [(reason, None)]


def test_an_answer_that_is_cut_is_withdrawn_whole(stage: StageByHand) -> None:
    stage.ask("set", hand_back="cut")
    stage.ask("perform")

    play(stage, ON)

    assert stage.world.of("withdrawn") == [{"turn": 1, "reason": "yielded", "after_s": None}]


def test_an_answer_that_takes_too_long_to_end_by_itself_is_cut_and_that_is_told(
    stage: StageByHand,
) -> None:
    stage.ask("perform")
    play(stage, ON)

    stage.pass_s(3.0)

    told = stage.world.of("withdrawn")
    assert [(each["reason"], each["after_s"]) for each in told[1:]] == [("cut", None)]


def test_panic_withdraws_even_where_no_turn_is_under_way(stage: StageByHand) -> None:
    stage.asked("panic")
    stage.pass_s(0.1)

    assert stage.world.of("withdrawn") == [{"turn": None, "reason": "panic", "after_s": None}]


def test_a_key_is_down_while_port_or_client_holds_it(stage: StageByHand) -> None:
    stage.play(PORT_ON)
    play(stage, ON, client="a")
    play(stage, ON, client="b")
    stage.play(PORT_OFF)

    assert play(stage, OFF, client="a") == {"held": [], "pedal": False}
    assert heard(stage) == [NoteOn(60, 64)]
    play(stage, OFF, client="b")
    assert heard(stage) == [NoteOn(60, 64), OFF]


def test_what_a_client_holds_comes_up_when_it_has_gone(stage: StageByHand) -> None:
    play(stage, ON, Pedal(down=True))
    play(stage, ON, client="b")

    stage.pass_s(LEASE_S - 0.5)
    play(stage, client="b")
    assert heard(stage) == [ON, Pedal(down=True)]
    stage.pass_s(1.0)

    assert heard(stage) == [ON, Pedal(down=True), Pedal(down=False)]
    stage.pass_s(LEASE_S)
    assert heard(stage)[3:] == [OFF]
    lifted = [told for told in stage.world.of("note") if told["event"] == "note_off"]
    assert len(lifted) == 1


@pytest.mark.parametrize("command", ["state", "get", "info", "set"])
def test_whatever_a_client_asks_it_is_there(stage: StageByHand, command: str) -> None:
    play(stage, ON)
    values = {"seed": 3} if command == "set" else {}

    for _ in range(5):
        stage.pass_s(LEASE_S / 2)
        stage.ask(command, "a", **values)

    assert heard(stage) == [ON]


def test_when_the_port_is_gone_all_hands_are_lifted_and_told_to_be(stage: StageByHand) -> None:
    stage.play(PORT_ON)
    play(stage, NoteOn(64, 80))

    stage.input_is_there(False)

    up = {told["pitch"] for told in stage.world.of("note") if told["event"] == "note_off"}
    assert up == {60, 64}
    assert play(stage) == {"held": [], "pedal": False}


def test_moments_are_kept_within_what_may_have_been_under_way(stage: StageByHand) -> None:
    now_s = stage.clock.now_s()
    wanted = [now_s - FAR_S, now_s - 0.1, None, now_s + FAR_S]
    events = tuple(PlayedEvent(NoteOn(60 + place, 80), at_s) for place, at_s in enumerate(wanted))

    stage.ask("play", "a", events=events)

    told = [note["at_s"] for note in stage.world.of("note")]
    assert told == pytest.approx([now_s - LATE_S, now_s - 0.1, now_s, now_s])


@pytest.mark.parametrize("off_s", [-1.1, 1.1, 1e9, -1e300])
def test_a_moment_too_far_off_is_refused_and_nothing_is_played(
    stage: StageByHand, off_s: float
) -> None:
    far = PlayedEvent(NoteOn(64, 80), stage.clock.now_s() + off_s)

    with pytest.raises(CommandError) as refusal:
        stage.ask("play", "a", events=(PlayedEvent(ON), far))

    assert (refusal.value.code, refusal.value.field) == (Code.OUT_OF_RANGE, "at_s")
    assert play(stage) == {"held": [], "pedal": False}
    assert heard(stage) == []


def test_what_several_play_is_heard_in_order_of_time(stage: StageByHand) -> None:
    play(stage, NoteOn(60, 80), client="a")
    play(stage, NoteOn(62, 80), client="b", at_s=stage.clock.now_s() - 0.2)

    told = [note["at_s"] for note in stage.world.of("note")]
    assert told == sorted(told)


def test_own_output_that_a_client_plays_is_not_heard() -> None:
    stage = StageByHand(Parameters(trigger=("command",)), guard=LoopGuard(30 * MS))
    stage.ready()
    stage.clock.time_ns = 10 * NS_PER_S
    stage.ask("perform")
    stage.put(Planned(1, (TimedEvent(stage.clock.now_s(), NoteOn(72, 50)),)))

    answer = play(stage, NoteOn(72, 50), NoteOff(72))

    assert answer == {"held": [], "pedal": False}
    assert stage.state == "performing"
    assert stage.ask("info")["counts"]["input_echoes"] == 1
    play(stage, NoteOn(72, 51))
    assert stage.state != "performing"


def test_a_flood_is_taken_in_and_leaves_nothing_behind(stage: StageByHand) -> None:
    for turn in range(20):
        play(stage, *[NoteOn(21 + (turn + place) % 88, 80) for place in range(256)])

    assert len(play(stage)["held"]) == 88
    stage.pass_s(LEASE_S + 1.0)
    assert play(stage) == {"held": [], "pedal": False}
    assert not stage.core.turns._phrase.held
