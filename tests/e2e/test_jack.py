"""The daemon under JACK, played and recorded by programs that are not ours."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import mido
import pytest

from daemon.__main__ import main
from tests.support.jack_programs import PERIOD_S, Patchbay, Player, Recorder
from tests.support.opening import Key, opening
from tests.support.running_daemon import (
    PERFORMER_CHANNEL,
    SILENCE_S,
    RunningDaemon,
    running_daemon,
    wait_until,
)
from tests.support.wire import (
    Seen,
    assert_notes_alternate,
    assert_silent_at_the_end,
    assert_well_formed,
    note_ons,
    of_channel,
    pedal_is_down,
    sounding,
)

pytestmark = pytest.mark.jack

INPUT, OUTPUT = "Performer In:in", "Performer Out:out"
YIELD_WITHIN_S = 0.05
CHORD_S, CLOSING_S = 0.03, 2.0  # a chord is struck whole, and its keys have so long to come up
KEY = 60  # with which the player takes the turn back
STRUCK_S = 1.5  # and when; by then the answer sounds
PLANNED_AHEAD_S = 1.0  # more than the lead of the plan
TICK_S = 0.002  # of a recording
FAST = 4.0  # where it does not matter when a note comes


Start = Callable[..., AbstractContextManager[RunningDaemon]]


@pytest.fixture
def start(tmp_path: Path, model_folder: Path, patchbay: Patchbay, recorder: Recorder) -> Start:
    """Return what starts a daemon that the recorder listens to."""

    @contextmanager
    def started(**performer: Any) -> Iterator[RunningDaemon]:
        with running_daemon(tmp_path, model_folder, **performer) as daemon:
            patchbay.connect(OUTPUT, Recorder.INPUT)
            recorder.wait_for_everything()  # by then the connection carries what is sent
            yield daemon

    return started


def performed(recorder: Recorder) -> list[Seen]:
    """Return all that the Performer has sent."""
    return of_channel(recorder.seen(), PERFORMER_CHANNEL - 1)


def played(recorder: Recorder) -> list[Seen]:
    """Return all that the player has."""
    return of_channel(recorder.seen(), 0)


def wait_for_notes(recorder: Recorder, count: int) -> None:
    before = len(note_ons(performed(recorder)))
    wait_until(
        lambda: len(note_ons(performed(recorder))) >= before + count, f"{count} notes sound", 30
    )


def wait_for_silence(recorder: Recorder) -> None:
    try:
        wait_until(lambda: not sounding(performed(recorder)), "it is silent", 10)
    except AssertionError:
        wire = [(seen.time_s, seen.data.hex(" ")) for seen in performed(recorder)]
        raise AssertionError(f"{sounding(performed(recorder))} sound on after {wire}") from None


def pitches(seen: list[Seen]) -> list[int]:
    return [message.data[1] for message in note_ons(seen)]


def recorded_times_s(daemon: RunningDaemon) -> tuple[list[float], list[float]]:
    """Return when the player's and the Performer's notes began and ended, by the recording."""
    (file,) = daemon.recordings.rglob("*.mid")
    recording = mido.MidiFile(file)
    parts = []
    for track in recording.tracks:
        ticks, times_s = 0, []
        for message in track:
            ticks += message.time
            if message.type in ("note_on", "note_off"):
                times_s.append(mido.tick2second(ticks, recording.ticks_per_beat, 500_000))
        parts.append(times_s)
    played_s, performed_s = (times_s for times_s in parts if times_s)
    return played_s, performed_s


def answer(daemon: RunningDaemon, recorder: Recorder, **parameters: float | str) -> list[Seen]:
    """Return what a turn taken by command sends, until it is over."""
    before = len(performed(recorder))
    daemon.ask("perform", **parameters)
    wait_until(lambda: daemon.state() != "performing", "the turn is over", 60)
    daemon.wait_for_state("listening")
    recorder.wait_for_everything()
    return performed(recorder)[before:]


def test_it_answers_a_phrase_after_the_silence(
    start: Start, recorder: Recorder, patchbay: Patchbay
) -> None:
    with (
        start(length=12, length_unit="notes") as daemon,
        Player(patchbay, opening(4.0), INPUT, Recorder.INPUT),
    ):
        wait_until(lambda: daemon.state() == "performing", "its turn has come", 30)
        daemon.wait_for_state("listening")
        assert daemon.stop() == 0
    recorder.wait_for_everything()

    assert len(played(recorder)) == 2 * len(opening(4.0))
    turn = performed(recorder)
    assert len(note_ons(turn)) == 12
    assert turn[0].time_s > played(recorder)[-1].time_s
    # JACK counts periods, and on a crowded machine it loses some: silence has the daemon's clock.
    played_s, performed_s = recorded_times_s(daemon)
    assert performed_s[0] >= played_s[-1] + SILENCE_S - TICK_S
    assert_well_formed(turn)
    assert_notes_alternate(turn)
    assert_silent_at_the_end(turn)


def test_both_parts_are_recorded_on_tracks_of_their_own(
    start: Start, recorder: Recorder, patchbay: Patchbay
) -> None:
    with (
        start(length=8, length_unit="notes") as daemon,
        Player(patchbay, opening(3.0), INPUT, Recorder.INPUT),
    ):
        wait_until(lambda: daemon.state() == "performing", "its turn has come", 30)
        daemon.wait_for_state("listening")
        assert daemon.stop() == 0
    recorder.wait_for_everything()

    (file,) = daemon.recordings.rglob("*.mid")
    strokes = [
        sum(message.type == "note_on" and message.velocity > 0 for message in track)
        for track in mido.MidiFile(file).tracks
    ]
    assert [count for count in strokes if count] == [
        len(note_ons(played(recorder))),
        len(note_ons(performed(recorder))),
    ]


def test_a_recorded_session_is_played_again_to_the_same_notes(
    start: Start,
    recorder: Recorder,
    patchbay: Patchbay,
    model_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with (
        start(length=3.0, precision="fp32") as daemon,
        Player(patchbay, opening(3.0), INPUT, Recorder.INPUT),
    ):
        wait_until(lambda: daemon.state() == "performing", "its turn has come", 30)
        daemon.ask("set", temperature=1.3, transpose=12, tempo_scale=1.5)
        daemon.wait_for_state("listening")
        answer(daemon, recorder, length=2.0)
        assert daemon.stop() == 0
    (session,) = daemon.recordings.glob("*.mid")

    code = main(["--replay", str(session), "--model", str(model_folder)])

    told = capsys.readouterr().out
    assert (code, told.count("notes, the same")) == (0, 2), told


def test_keys_that_the_player_holds_are_left_alone(
    start: Start, recorder: Recorder, patchbay: Patchbay
) -> None:
    held = [Key(3.5 + pitch / 1000, pitch, 60.0) for pitch in range(53, 77, 2)]
    with (
        start(trigger="command", length=12, length_unit="notes", tempo_scale=FAST) as daemon,
        Player(patchbay, [*opening(3.0), *held], INPUT, Recorder.INPUT),
    ):
        wait_until(lambda: len(sounding(played(recorder))) == len(held), "the keys are down", 30)
        daemon.ask("perform")
        wait_until(lambda: daemon.state() != "performing", "the turn is over", 60)
        daemon.wait_for_state("capturing")
        recorder.wait_for_everything()

        turn = performed(recorder)
        assert note_ons(turn)
        assert not {message.data[1] for message in turn if message.kind < 0xA0} & {
            key.pitch for key in held
        }
        assert_notes_alternate(turn)
        assert_silent_at_the_end(turn)


def test_the_length_can_be_set_while_it_runs(start: Start, recorder: Recorder) -> None:
    with start(trigger="command", tempo_scale=FAST) as daemon:
        daemon.ask("set", length=3, length_unit="notes")
        assert len(note_ons(answer(daemon, recorder))) == 3

        daemon.ask("set", length=7)
        assert len(note_ons(answer(daemon, recorder))) == 7

        assert len(note_ons(answer(daemon, recorder, length=2))) == 2  # this once
        assert daemon.ask("get", names=["length"])["parameters"] == {"length": 7}


def test_the_temperature_changes_what_follows(start: Start, recorder: Recorder) -> None:
    with (
        start(trigger="command", length=6, length_unit="notes", seed=5, tempo_scale=FAST) as daemon,
    ):
        first = pitches(answer(daemon, recorder))
        daemon.ask("reset")
        again = pitches(answer(daemon, recorder))
        daemon.ask("reset")
        daemon.ask("set", temperature=2.0)
        warmer = pitches(answer(daemon, recorder))

    assert first == again
    assert first != warmer


def test_a_key_of_the_player_cuts_the_answer_if_that_is_asked_for(
    start: Start, recorder: Recorder, patchbay: Patchbay
) -> None:
    with (
        start(trigger="command", length=60, hand_back="cut") as daemon,
        Player(patchbay, [Key(STRUCK_S, KEY, 0.1)], INPUT, Recorder.INPUT),
    ):
        daemon.ask("perform")
        wait_until(lambda: len(played(recorder)) == 2, "the key was struck", 30)
        daemon.wait_for_state("capturing")
        recorder.wait_for_everything()

        struck_s = played(recorder)[0].time_s
        turn = performed(recorder)
        assert note_ons([message for message in turn if message.time_s < struck_s])
        assert_silent_at_the_end(turn)
        # What sounded of that key itself is the player's to end. Elsewhere: one period on the way
        # in, one on the way out.
        last_s = max(message.time_s for message in turn if message.data[1] != KEY)
        assert last_s - struck_s <= YIELD_WITHIN_S + 2 * PERIOD_S


@pytest.mark.parametrize(("policy", "notes_within_s"), [("natural", CHORD_S), ("phrase", 2.0)])
def test_a_key_of_the_player_ends_the_answer_and_its_keys_come_up(
    start: Start, recorder: Recorder, patchbay: Patchbay, policy: str, notes_within_s: float
) -> None:
    with (
        start(trigger="command", length=60, hand_back=policy) as daemon,
        Player(patchbay, [Key(STRUCK_S, KEY, 0.1)], INPUT, Recorder.INPUT),
    ):
        daemon.ask("perform")
        wait_until(lambda: len(played(recorder)) == 2, "the key was struck", 30)
        daemon.wait_for_state("capturing")
        recorder.wait_for_everything()

        struck_s = played(recorder)[0].time_s
        turn = performed(recorder)
        assert note_ons([message for message in turn if message.time_s < struck_s])
        assert_notes_alternate(turn)
        assert_silent_at_the_end(turn)
        last_onset_s = max(message.time_s for message in note_ons(turn))
        assert last_onset_s - struck_s <= notes_within_s + YIELD_WITHIN_S + 2 * PERIOD_S
        gesture_s = max(message.time_s for message in turn) - struck_s
        assert gesture_s <= notes_within_s + CLOSING_S + YIELD_WITHIN_S + 2 * PERIOD_S


@pytest.mark.parametrize("policy", ["overlap", "duck", "ignore"])
def test_an_answer_may_go_on_under_the_players_keys(
    start: Start, recorder: Recorder, patchbay: Patchbay, policy: str
) -> None:
    keys = [Key(STRUCK_S + 0.25 * number, 58 + number, 0.2) for number in range(8)]
    with (
        start(trigger="command", length=60, when_played_over=policy) as daemon,
        Player(patchbay, keys, INPUT, Recorder.INPUT),
    ):
        daemon.ask("perform")
        wait_until(lambda: len(played(recorder)) == 2 * len(keys), "the keys were struck", 30)
        wait_for_notes(recorder, 2)
        assert daemon.state() == "performing"
        daemon.ask("stop")
        daemon.wait_for_state("listening")
        recorder.wait_for_everything()

        turn = performed(recorder)
        assert_notes_alternate(turn)
        assert_silent_at_the_end(turn)


def test_another_take_begins_in_the_middle_of_the_one_before_and_undo_takes_it_back(
    start: Start, recorder: Recorder, patchbay: Patchbay
) -> None:
    with (
        start(trigger="command", length=12, length_unit="notes", tempo_scale=FAST) as daemon,
        Player(patchbay, opening(2.0), INPUT, Recorder.INPUT),
    ):
        wait_until(lambda: len(played(recorder)) == 2 * len(opening(2.0)), "it was played", 30)
        daemon.ask("perform", seed=7)
        wait_for_notes(recorder, 4)
        rejected = pitches(performed(recorder))
        assert daemon.ask("another_take")["turn"] == 1  # it is being cut
        wait_until(lambda: daemon.ask("state")["turn"] == 2, "the other has begun", 10)
        first = len(performed(recorder))
        daemon.wait_for_state("listening")
        recorder.wait_for_everything()

        take = performed(recorder)[first:]
        assert len(note_ons(take)) == 12
        assert pitches(take)[: len(rejected)] != rejected
        assert_notes_alternate(performed(recorder))
        assert_silent_at_the_end(performed(recorder))
        daemon.ask("undo")
        again = daemon.ask_raw(b'{"v":1,"id":99,"cmd":"another_take"}')
        assert again["error"]["code"] == "refused"


def test_a_key_that_stands_for_a_footswitch_takes_the_turn_and_is_no_music(
    start: Start, recorder: Recorder, patchbay: Patchbay
) -> None:
    switch = 108
    keys = [*opening(2.0), Key(3.0, switch, 0.1), Key(5.0, switch, 0.1)]
    with (
        start(trigger="command", length=60, hand_back="cut", trigger_key=switch) as daemon,
        Player(patchbay, keys, INPUT, Recorder.INPUT),
    ):
        wait_until(lambda: daemon.state() == "performing", "the first press takes the turn", 30)
        daemon.wait_for_state("listening")  # by the second press
        recorder.wait_for_everything()

        assert note_ons(performed(recorder))
        assert_silent_at_the_end(performed(recorder))
        heard = [
            told["pitch"]
            for topic, told in daemon.events()
            if topic == "note" and told["by"] == "player" and told["event"] == "note_on"
        ]
        assert heard == [key.pitch for key in opening(2.0)]


def test_no_note_begins_after_stop_is_acknowledged(start: Start, recorder: Recorder) -> None:
    with start(trigger="command", length=60) as daemon:
        for _ in range(3):
            daemon.ask("perform")
            wait_for_notes(recorder, 4)
            daemon.ask("stop")
            recorder.wait_for_everything()
            acknowledged = performed(recorder)
            time.sleep(PLANNED_AHEAD_S)  # by then whatever had been planned would have sounded
            assert performed(recorder) == acknowledged
            assert_notes_alternate(acknowledged)
            assert_silent_at_the_end(acknowledged)


def test_bad_commands_do_not_stop_the_music(start: Start, recorder: Recorder) -> None:
    with start(trigger="command", length=60) as daemon:
        daemon.ask("perform")
        wait_for_notes(recorder, 2)
        for frame in (b"", b"\xff\x00", b"[]", b"{", b'{"v":1,"id":1,"cmd":"explode"}'):
            assert not daemon.ask_raw(frame)["ok"]
        refused = daemon.ask_raw(b'{"v":1,"id":2,"cmd":"set","args":{"temperature":50}}')
        assert refused["error"]["field"] == "temperature"
        assert daemon.state() == "performing"
        wait_for_notes(recorder, 3)
    recorder.wait_for_everything()

    assert_well_formed(performed(recorder))


def test_sigterm_in_mid_chord_leaves_nothing_sounding(start: Start, recorder: Recorder) -> None:
    with start(trigger="command", length=60) as daemon:
        daemon.ask("perform")
        wait_for_notes(recorder, 4)
        wait_until(lambda: bool(sounding(performed(recorder))), "something sounds", 10)
        assert daemon.stop() == 0
        wait_for_silence(recorder)
    recorder.wait_for_everything()

    turn = performed(recorder)
    assert_notes_alternate(turn)
    assert_silent_at_the_end(turn)


def test_a_killed_brain_is_released_told_and_replaced(start: Start, recorder: Recorder) -> None:
    with start(trigger="command", length=60) as daemon:
        daemon.ask("perform")
        wait_for_notes(recorder, 4)
        daemon.events()
        os.kill(daemon.brain(), signal.SIGKILL)
        wait_for_silence(recorder)
        daemon.wait_for_state("listening", 60)

        states = [told["state"] for topic, told in daemon.events() if topic == "state"]
        assert "degraded" in states
        assert not pedal_is_down(performed(recorder))
        assert len(note_ons(answer(daemon, recorder, length=2, length_unit="notes"))) == 2
        assert_notes_alternate(performed(recorder))
