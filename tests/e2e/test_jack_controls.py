"""The daemon under JACK, and a keyboard with pedals, knobs and a clock that may be unplugged."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daemon.stage.footswitch import DOUBLE_WITHIN_S
from tests.support.jack_programs import Patchbay, Player, Recorder
from tests.support.keyboard import Keyboard
from tests.support.opening import Key
from tests.support.running_daemon import (
    PERFORMER_CHANNEL,
    RunningDaemon,
    running_daemon,
    wait_until,
)
from tests.support.wire import (
    Seen,
    assert_silent_at_the_end,
    note_ons,
    of_channel,
    pedal_is_down,
    sounding,
)

pytestmark = pytest.mark.jack

INPUT, OUTPUT = "Performer In:in", "Performer Out:out"
CLOCK, START, STOP = b"\xf8", b"\xfa", b"\xfc"
KNOB, FOOTSWITCH = 20, 67
BEAT_S = 0.5
CHORD = (60, 64, 67)


@contextmanager
def patched_daemon(
    folder: Path, model: Path, bay: Patchbay, recorder: Recorder, **settings: Any
) -> Iterator[tuple[RunningDaemon, Keyboard]]:
    """Run a daemon between a keyboard and the recorder."""
    with (
        Keyboard("keyboard") as keyboard,
        running_daemon(folder, model, **settings) as daemon,
    ):
        bay.connect(keyboard.port, INPUT)
        bay.connect(OUTPUT, Recorder.INPUT)
        recorder.wait_for_everything()
        yield daemon, keyboard


def performed(recorder: Recorder) -> list[Seen]:
    return of_channel(recorder.seen(), PERFORMER_CHANNEL - 1)


def passed_on(recorder: Recorder) -> list[Seen]:
    return of_channel(recorder.seen(), 0)


def times_s(seen: list[Seen], message: bytes) -> list[float]:
    return [each.time_s for each in seen if each.data == message]


def test_a_footswitch_takes_the_turn_and_gives_it_back(
    tmp_path: Path, model_folder: Path, patchbay: Patchbay, recorder: Recorder
) -> None:
    asked = {"trigger": "command", "length": 60, "hand_back": "cut"}
    with patched_daemon(
        tmp_path, model_folder, patchbay, recorder, trigger_controller=FOOTSWITCH, **asked
    ) as (daemon, keyboard):
        keyboard.strike(*CHORD)
        keyboard.release(*CHORD)
        keyboard.send((0xB0, FOOTSWITCH, 127), (0xB0, FOOTSWITCH, 0))
        wait_until(lambda: bool(note_ons(performed(recorder))), "it answers", 30, daemon)
        time.sleep(3 * DOUBLE_WITHIN_S)  # two quick taps ask for another take

        keyboard.send((0xB0, FOOTSWITCH, 127), (0xB0, FOOTSWITCH, 0))
        daemon.wait_for_state("listening")
        recorder.wait_for_everything()

        assert_silent_at_the_end(performed(recorder))


def test_a_change_of_program_takes_the_turn(
    tmp_path: Path, model_folder: Path, patchbay: Patchbay, recorder: Recorder
) -> None:
    with patched_daemon(
        tmp_path, model_folder, patchbay, recorder, trigger="command", trigger_program=7, length=1
    ) as (daemon, keyboard):
        keyboard.strike(*CHORD)
        keyboard.release(*CHORD)
        keyboard.send((0xC0, 8))
        keyboard.send((0xC0, 7))
        wait_until(lambda: bool(note_ons(performed(recorder))), "it answers", 30, daemon)
        daemon.wait_for_state("listening")


@pytest.mark.parametrize("held_keys", ["wait", "release"])
def test_an_answer_waits_for_the_players_keys_or_takes_them_for_released(
    tmp_path: Path, model_folder: Path, patchbay: Patchbay, recorder: Recorder, held_keys: str
) -> None:
    with patched_daemon(
        tmp_path, model_folder, patchbay, recorder, trigger="command", held_keys=held_keys, length=1
    ) as (daemon, keyboard):
        keyboard.strike(*CHORD)
        daemon.wait_for_state("capturing")
        daemon.ask("perform")
        if held_keys == "wait":
            time.sleep(0.5)
            assert daemon.state() == "armed"
            assert not performed(recorder)
            keyboard.release(*CHORD)
        wait_until(lambda: daemon.state() == "performing", "it answers", 30, daemon)
        wait_until(lambda: daemon.state() != "performing", "it has answered", 30, daemon)
        recorder.wait_for_everything()

        struck = {seen.data[1] for seen in note_ons(performed(recorder))}
        assert held_keys == "wait" or not struck & {*CHORD}  # they are down under the fingers
        assert_silent_at_the_end(performed(recorder))


def test_a_knob_learns_a_parameter_and_is_told_its_value(
    tmp_path: Path, model_folder: Path, patchbay: Patchbay, recorder: Recorder
) -> None:
    sections = {"midi": {"mappings": str(tmp_path / "mappings.json")}}
    with patched_daemon(
        tmp_path, model_folder, patchbay, recorder, sections=sections, lamp_mappings=True
    ) as (daemon, keyboard):

        def value() -> float:
            return float(daemon.ask("get", names=["length"])["parameters"]["length"])

        daemon.ask("learn", target="length", lowest=1, highest=128)
        keyboard.send((0xB0, KNOB, 1))
        wait_until(lambda: bool(daemon.ask("mappings")["mappings"]), "it is learnt", 10, daemon)
        keyboard.send((0xB0, KNOB, 99))
        wait_until(lambda: value() == 100, "the knob turns it", 10, daemon)

        daemon.ask("set", length=50)
        lamp = bytes((0xBF, KNOB, 49))
        wait_until(lambda: lamp in [seen.data for seen in recorder.seen()], "it is told", 10)


def test_an_answer_begins_on_a_bar_of_the_clock_that_comes_in(
    tmp_path: Path, model_folder: Path, patchbay: Patchbay, recorder: Recorder
) -> None:
    with patched_daemon(
        tmp_path, model_folder, patchbay, recorder, trigger="command", entry="bar", length=2
    ) as (daemon, keyboard):
        patchbay.connect(keyboard.port, Recorder.INPUT)
        keyboard.send((0xFA,))
        start_s = time.monotonic()
        for tick in range(24 * 12):
            time.sleep(max(0.0, start_s + tick * BEAT_S / 24 - time.monotonic()))
            keyboard.send((0xF8,))
            if tick == 24 * 5 + 12:  # in the second bar
                daemon.ask("perform")
        daemon.wait_for_state("listening")
        recorder.wait_for_everything()

        ticks_s = times_s(recorder.seen(), CLOCK)
        first_s = note_ons(performed(recorder))[0].time_s
        assert first_s == pytest.approx(ticks_s[24 * 8], abs=0.05)


def test_an_answer_sends_a_clock_of_the_players_pulse(
    tmp_path: Path, model_folder: Path, patchbay: Patchbay, recorder: Recorder
) -> None:
    beats = [Key(beat * BEAT_S, 60, BEAT_S / 2) for beat in range(5)]  # JACK's own clock plays them
    with (
        patched_daemon(
            tmp_path, model_folder, patchbay, recorder, trigger="command", clock_out=True, length=3
        ) as (daemon, _),
        Player(patchbay, beats, INPUT, Recorder.INPUT),
    ):
        wait_until(lambda: len(passed_on(recorder)) == 2 * len(beats), "the beats were played", 30)
        daemon.ask("perform")
        daemon.wait_for_state("listening")
        recorder.wait_for_everything()

        seen = recorder.seen()
        ticks_s = times_s(seen, CLOCK)
        in_order = [each.data for each in seen if each.data in (START, CLOCK, STOP)]
        assert in_order == [START, *[CLOCK] * len(ticks_s), STOP]
        tick_s = (ticks_s[-1] - ticks_s[0]) / (len(ticks_s) - 1)
        assert tick_s == pytest.approx(BEAT_S / 24, rel=0.1)


def test_what_is_played_passes_on_and_comes_up_when_the_keyboard_is_unplugged_in_mid_chord(
    tmp_path: Path, model_folder: Path, patchbay: Patchbay, recorder: Recorder
) -> None:
    with (
        Keyboard("stage piano") as keyboard,
        running_daemon(
            tmp_path,
            model_folder,
            sections={"midi": {"input": "stage piano", "output": None}},
            trigger="command",
            thru="between",
            length=2,
        ) as daemon,
    ):
        patchbay.connect(OUTPUT, Recorder.INPUT)
        recorder.wait_for_everything()
        keyboard.strike(*CHORD)
        keyboard.send((0xB0, 64, 90))
        wait_until(lambda: sounding(passed_on(recorder)) == {*CHORD}, "the chord passes on", 10)
        assert pedal_is_down(passed_on(recorder))

        keyboard.unplug()
        daemon.wait_for_state("degraded")
        recorder.wait_for_everything()
        assert_silent_at_the_end(passed_on(recorder))
        assert "input" in daemon.ask("state")["missing"]

        with Keyboard("stage piano") as again:
            wait_until(lambda: not daemon.ask("state")["missing"], "it is there again", 30, daemon)
            again.strike(*CHORD)
            wait_until(lambda: sounding(passed_on(recorder)) == {*CHORD}, "a chord passes on", 10)
            again.release(*CHORD)
            daemon.ask("perform")
            wait_until(lambda: bool(note_ons(performed(recorder))), "it answers", 30, daemon)
            daemon.wait_for_state("listening")
            recorder.wait_for_everything()
            assert_silent_at_the_end(passed_on(recorder))
            assert_silent_at_the_end(performed(recorder))
