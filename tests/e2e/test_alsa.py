"""The daemon on a real ALSA sequencer, played and recorded by alsa-utils.

Runs in the machine of tests/support/tools/alsa_vm.sh (`make test-alsa`), or wherever /dev/snd/seq
is. An emulated processor is slow: nothing here says how soon, only what and in which order.
"""

import os
import signal
import time
from pathlib import Path

import pytest

from daemon.stage.footswitch import DOUBLE_WITHIN_S
from tests.support.alsa_programs import Monitor, Recorder, play
from tests.support.keyboard import ALSA, Keyboard
from tests.support.opening import Key, opening, write_midi_file
from tests.support.running_daemon import (
    PERFORMER_CHANNEL,
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
    sounding,
)

pytestmark = pytest.mark.alsa

INPUT, OUTPUT = "Performer In:0", "Performer Out:0"
PATIENCE = 6.0


def assert_sane(turn: list[Seen]) -> None:
    assert note_ons(turn)
    assert of_channel(turn, PERFORMER_CHANNEL - 1) == turn
    assert_well_formed(turn)
    assert_notes_alternate(turn)
    assert_silent_at_the_end(turn)


def wait_for_notes(monitor: Monitor, count: int) -> None:
    before = len(note_ons(monitor.seen()))
    wait_until(
        lambda: len(note_ons(monitor.seen())) >= before + count,
        f"{count} notes sound",
        30 * PATIENCE,
    )


def play_and_wait_for_the_turn(daemon: RunningDaemon, file: Path) -> None:
    with play(file, INPUT) as player:
        assert player.wait(30 * PATIENCE) == 0
    wait_until(lambda: daemon.state() == "performing", "its turn has come", 10 * PATIENCE)


def test_it_answers_a_phrase_after_the_silence(tmp_path: Path, model_folder: Path) -> None:
    write_midi_file(tmp_path / "phrase.mid", opening(6.0))

    with (
        running_daemon(tmp_path, model_folder, PATIENCE, length=6, length_unit="notes") as daemon,
        Recorder(OUTPUT, tmp_path / "answer.mid") as recorder,
    ):
        play_and_wait_for_the_turn(daemon, tmp_path / "phrase.mid")
        daemon.wait_for_state("listening")

    assert_sane(recorder.seen())


def test_a_key_of_the_player_makes_it_yield(tmp_path: Path, model_folder: Path) -> None:
    write_midi_file(tmp_path / "phrase.mid", opening(2.0))
    write_midi_file(tmp_path / "key.mid", [Key(0.1, 100, 0.2)])

    with (
        running_daemon(tmp_path, model_folder, PATIENCE, length=600, phrase_notes=2) as daemon,
        Recorder(OUTPUT, tmp_path / "answer.mid") as recorder,
        Monitor(OUTPUT) as monitor,
    ):
        play_and_wait_for_the_turn(daemon, tmp_path / "phrase.mid")
        wait_for_notes(monitor, 3)
        with play(tmp_path / "key.mid", INPUT) as player:
            assert player.wait(10 * PATIENCE) == 0
        daemon.wait_for_state("capturing")

    assert_sane(recorder.seen())


def test_sigterm_in_mid_chord_leaves_nothing_sounding(tmp_path: Path, model_folder: Path) -> None:
    with (
        running_daemon(tmp_path, model_folder, PATIENCE, length=600, trigger="command") as daemon,
        Recorder(OUTPUT, tmp_path / "answer.mid") as recorder,
        Monitor(OUTPUT) as monitor,
    ):
        daemon.ask("perform")
        wait_for_notes(monitor, 3)
        wait_until(lambda: bool(sounding(monitor.seen())), "something sounds", 10 * PATIENCE)
        assert daemon.stop() == 0

    assert_sane(recorder.seen())


def test_a_killed_brain_is_released_told_and_replaced(tmp_path: Path, model_folder: Path) -> None:
    with (
        running_daemon(tmp_path, model_folder, PATIENCE, length=600, trigger="command") as daemon,
        Recorder(OUTPUT, tmp_path / "answer.mid") as recorder,
        Monitor(OUTPUT) as monitor,
    ):
        daemon.ask("perform")
        wait_for_notes(monitor, 3)
        os.kill(daemon.brain(), signal.SIGKILL)
        daemon.wait_for_state("degraded")
        wait_until(lambda: not sounding(monitor.seen()), "it is silent", 10 * PATIENCE)
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
        wait_until(lambda: bool(sounding(monitor.seen())), "something sounds", 10 * PATIENCE)
        os.kill(daemon.stage(), signal.SIGKILL)
        wait_until(lambda: not sounding(monitor.seen()), "it is silent", 30 * PATIENCE)
        daemon.wait_for_state("listening")
        daemon.ask("perform", length=2, length_unit="notes")
        wait_for_notes(monitor, 1)
        daemon.wait_for_state("listening")

    # The successor cannot know which releases arrived, so it sends some of them twice.
    assert_well_formed(recorder.seen())
    assert_silent_at_the_end(recorder.seen())


CHORD = (60, 64, 67)


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
        wait_until(lambda: passed_on() == {*CHORD}, "the chord passes on", 10 * PATIENCE)
        keyboard.unplug()
        daemon.wait_for_state("degraded")
        wait_until(lambda: not passed_on(), "its keys come up", 10 * PATIENCE)

        with Keyboard("stage piano", ALSA) as again:
            daemon.wait_for_state("capturing")  # what was heard before is still to be answered
            again.strike(*CHORD)
            wait_until(lambda: passed_on() == {*CHORD}, "a chord passes on", 10 * PATIENCE)
            again.release(*CHORD)
            again.send((0xB0, footswitch, 127), (0xB0, footswitch, 0))
            wait_until(
                lambda: bool(note_ons(of_channel(monitor.seen(), PERFORMER_CHANNEL - 1))),
                "it answers",
                30 * PATIENCE,
            )
            time.sleep(6 * DOUBLE_WITHIN_S)  # two quick taps ask for another take
            again.send((0xB0, footswitch, 127), (0xB0, footswitch, 0))
            daemon.wait_for_state("listening")
            wait_until(lambda: not sounding(monitor.seen()), "it is silent", 10 * PATIENCE)
