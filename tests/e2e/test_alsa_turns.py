"""Turns of the daemon on a real ALSA sequencer, played and recorded by alsa-utils."""

from pathlib import Path

import pytest

from tests.support.alsa_daemon import (
    INPUT,
    OUTPUT,
    PATIENCE,
    answering_daemon,
    assert_sane,
    wait_for_notes,
    wait_patiently,
)
from tests.support.alsa_programs import Monitor, Recorder, play
from tests.support.opening import Key, opening, write_midi_file
from tests.support.running_daemon import RunningDaemon, running_daemon
from tests.support.wire import sounding

pytestmark = pytest.mark.alsa

SILENCE_S = 2.0  # a player of an emulated processor falters


def play_and_wait_for_the_turn(daemon: RunningDaemon, file: Path) -> None:
    with play(file, INPUT) as player:
        assert player.wait(30 * PATIENCE) == 0
    wait_patiently(lambda: daemon.state() == "performing", "its turn has come")


def test_it_answers_a_phrase_after_the_silence(tmp_path: Path, model_folder: Path) -> None:
    write_midi_file(tmp_path / "phrase.mid", opening(6.0))

    with (
        running_daemon(
            tmp_path,
            model_folder,
            PATIENCE,
            length=6,
            length_unit="notes",
            silence_s=SILENCE_S,
        ) as daemon,
        Recorder(OUTPUT, tmp_path / "answer.mid") as recorder,
    ):
        play_and_wait_for_the_turn(daemon, tmp_path / "phrase.mid")
        daemon.wait_for_state("listening")

    assert_sane(recorder.seen())


def test_a_key_of_the_player_makes_it_yield(tmp_path: Path, model_folder: Path) -> None:
    write_midi_file(tmp_path / "phrase.mid", opening(2.0))
    write_midi_file(tmp_path / "key.mid", [Key(0.1, 100, 0.2)])

    with (
        running_daemon(
            tmp_path,
            model_folder,
            PATIENCE,
            length=600,
            phrase_notes=2,
            silence_s=SILENCE_S,
        ) as daemon,
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
    with answering_daemon(tmp_path, model_folder) as (daemon, recorder, monitor):
        wait_patiently(lambda: bool(sounding(monitor.seen())), "something sounds")
        assert daemon.stop() == 0

    assert_sane(recorder.seen())
