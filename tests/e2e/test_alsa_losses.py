"""A loss on a real ALSA sequencer: a process of the daemon killed, a keyboard unplugged."""

import os
import signal
import time
from pathlib import Path

import pytest

from daemon.stage.footswitch import DOUBLE_WITHIN_S
from tests.support.alsa_daemon import (
    OUTPUT,
    PATIENCE,
    answering_daemon,
    assert_sane,
    wait_for_notes,
    wait_patiently,
)
from tests.support.alsa_programs import Monitor, Recorder
from tests.support.keyboard import ALSA, Keyboard
from tests.support.running_daemon import PERFORMER_CHANNEL, running_daemon
from tests.support.wire import (
    assert_silent_at_the_end,
    assert_well_formed,
    note_ons,
    of_channel,
    sounding,
)

pytestmark = pytest.mark.alsa

CHORD = (60, 64, 67)


def test_a_killed_brain_is_released_told_and_replaced(tmp_path: Path, model_folder: Path) -> None:
    with answering_daemon(tmp_path, model_folder) as (daemon, recorder, monitor):
        os.kill(daemon.brain(), signal.SIGKILL)
        daemon.wait_for_state("degraded")
        wait_patiently(lambda: not sounding(monitor.seen()), "it is silent")
        daemon.wait_for_state("listening")
        daemon.ask("perform", length=2, length_unit="notes")
        wait_for_notes(monitor, 1)
        daemon.wait_for_state("listening")

    assert_sane(recorder.seen())


def test_a_killed_stage_is_replaced_and_what_it_left_is_silenced(
    tmp_path: Path, model_folder: Path
) -> None:
    through = "Midi Through:0"  # a port that outlives the daemon's own
    with (
        running_daemon(
            tmp_path,
            model_folder,
            PATIENCE,
            output="Midi Through",
            length=600,
            trigger="command",
        ) as daemon,
        Recorder(through, tmp_path / "answer.mid") as recorder,
        Monitor(through) as monitor,
    ):
        daemon.ask("perform")
        wait_for_notes(monitor, 3)
        wait_patiently(lambda: bool(sounding(monitor.seen())), "something sounds")
        os.kill(daemon.stage(), signal.SIGKILL)
        wait_patiently(lambda: not sounding(monitor.seen()), "it is silent", 30 * PATIENCE)
        daemon.wait_for_state("listening")
        daemon.ask("perform", length=2, length_unit="notes")
        wait_for_notes(monitor, 1)
        daemon.wait_for_state("listening")

    # The successor cannot know which releases arrived, so it sends some of them twice.
    assert_well_formed(recorder.seen())
    assert_silent_at_the_end(recorder.seen())


def test_a_keyboard_may_be_unplugged_in_mid_chord_and_its_pedal_takes_the_turn(
    tmp_path: Path, model_folder: Path
) -> None:
    footswitch = 67
    with (
        Keyboard("stage piano", ALSA) as keyboard,
        running_daemon(
            tmp_path,
            model_folder,
            PATIENCE,
            sections={"midi": {"input": "stage piano"}},
            trigger="command",
            trigger_controller=footswitch,
            hand_back="cut",
            thru="between",
            length=600,
        ) as daemon,
        Monitor(OUTPUT) as monitor,
    ):

        def passed_on() -> set[int]:
            return sounding(of_channel(monitor.seen(), 0))

        keyboard.strike(*CHORD)
        wait_patiently(lambda: passed_on() == {*CHORD}, "the chord passes on")
        keyboard.unplug()
        daemon.wait_for_state("degraded")
        wait_patiently(lambda: not passed_on(), "its keys come up")

        with Keyboard("stage piano", ALSA) as again:
            daemon.wait_for_state("capturing")  # what was heard before is still to be answered
            again.strike(*CHORD)
            wait_patiently(lambda: passed_on() == {*CHORD}, "a chord passes on")
            again.release(*CHORD)
            again.send((0xB0, footswitch, 127), (0xB0, footswitch, 0))
            wait_patiently(
                lambda: bool(note_ons(of_channel(monitor.seen(), PERFORMER_CHANNEL - 1))),
                "it answers",
                30 * PATIENCE,
            )
            time.sleep(6 * DOUBLE_WITHIN_S)  # two quick taps ask for another take
            again.send((0xB0, footswitch, 127), (0xB0, footswitch, 0))
            daemon.wait_for_state("listening")
            wait_patiently(lambda: not sounding(monitor.seen()), "it is silent")
