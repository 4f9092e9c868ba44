"""Stage, brain and supervisor as processes, under JACK: whatever is killed, nothing sounds on."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.midi.ports import InputPort, OutputPort, open_input, open_output
from perceivers.events import NoteOff, NoteOn
from perceivers.midi_files import read_performance
from tests.support.jack_server import running_jack_server
from tests.support.running_daemon import (
    RunningDaemon,
    running_daemon,
    scripted_daemon,
    wait_until,
)
from tests.support.wire import Seen, note_ons, pedal_is_down, sounding

pytestmark = pytest.mark.jack

PATIENCE_S = 100.0
ALL_NOTES_OFF_16 = bytes((0xBF, 123, 0))


@pytest.fixture(scope="module", autouse=True)
def _jack_server() -> Iterator[None]:
    """Run a server that lets go of killed clients in a few seconds.

    A synchronous one waits ten times as long as a client is given, for each; as much patience as
    the supervisor has with a stage is enough.
    """
    with running_jack_server(client_timeout_ms=300):
        yield


class Keyboard:
    """A player's keyboard and synthesizer, connected to the daemon."""

    def __init__(self) -> None:
        self.keys: OutputPort = open_output("Keyboard")
        self.synth: InputPort = open_input("Synth")
        self.heard: list[Seen] = []

    def connect(self) -> None:
        """Make the connections; again, after the daemon's ports were made anew."""
        pairs = (("Keyboard:out", "Performer In:in"), ("Performer Out:out", "Synth:in"))
        for source, sink in pairs:
            subprocess.run(
                ["jack_connect", source, sink], timeout=10, capture_output=True, check=False
            )

    def play(self, pitch: int, length_s: float = 0.05) -> None:
        self.keys.send(bytes((0x90, pitch, 64)))
        time.sleep(length_s)
        self.keys.send(bytes((0x80, pitch, 0)))

    def listen(self) -> list[Seen]:
        """Return everything heard so far."""
        while (received := self.synth.receive()) is not None:
            self.heard.append(Seen(time.monotonic(), received[0]))
        return self.heard

    def is_silent(self) -> bool:
        """Tell whether all that was heard has ended, the pedal included."""
        return not sounding(self.listen()) and not pedal_is_down(self.heard)

    def close(self) -> None:
        self.keys.close()
        self.synth.close()


@pytest.fixture
def keyboard() -> Iterator[Keyboard]:
    keyboard = Keyboard()
    yield keyboard
    keyboard.close()


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Return the file into which the brain writes what it is told."""
    return tmp_path / "told"


@pytest.fixture
def daemon(tmp_path: Path, told: Path, keyboard: Keyboard) -> Iterator[RunningDaemon]:
    with running_daemon(tmp_path, told, command=scripted_daemon) as daemon:
        keyboard.connect()
        yield daemon


def performing(daemon: RunningDaemon, keyboard: Keyboard) -> None:
    """Have a long turn under way."""
    daemon.ask("perform", length=60)
    wait_until(lambda: len(keyboard.listen()) > 6, "notes are heard")


def recorded(daemon: RunningDaemon) -> list[Path]:
    """Return the recordings that are whole; one that is being written is hidden."""
    return [*daemon.recordings.glob("[!.]*.mid")]


def jack_ports() -> list[str]:
    listed = subprocess.run(["jack_lsp"], timeout=10, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_phrase_and_silence_bring_an_answer_and_both_are_recorded(
    daemon: RunningDaemon, keyboard: Keyboard
) -> None:
    daemon.ask("set", length=1)
    for pitch in (60, 62, 64):
        keyboard.play(pitch)

    wait_until(lambda: len(keyboard.listen()) >= 42, "the whole answer is heard")
    daemon.wait_for_state("listening")

    assert keyboard.is_silent()
    wait_until(lambda: len(recorded(daemon)) == 1, "the recording is there")
    (path,) = recorded(daemon)
    events = [event for _, event in read_performance(path)]
    assert events[:2] == [NoteOn(60, 64), NoteOff(60)]
    assert sum(isinstance(event, NoteOn) for event in events) == 3 + 20


def test_a_note_of_the_player_silences_the_answer(
    daemon: RunningDaemon, keyboard: Keyboard
) -> None:
    performing(daemon, keyboard)

    keyboard.keys.send(bytes((0x90, 48, 64)))

    daemon.wait_for_state("capturing")
    assert keyboard.is_silent()
    heard = len(keyboard.listen())
    time.sleep(0.3)
    assert len(keyboard.listen()) == heard


def test_a_refused_command_says_why(daemon: RunningDaemon, keyboard: Keyboard) -> None:
    performing(daemon, keyboard)

    reply = daemon.ask_raw(b'{"v":1,"id":"again","cmd":"perform"}')

    assert reply["error"]["code"] == "refused"
    assert "stop it first" in reply["error"]["message"]


def test_panic_answers_when_every_channel_was_told(
    daemon: RunningDaemon, keyboard: Keyboard
) -> None:
    performing(daemon, keyboard)

    daemon.ask("panic")

    wait_until(
        lambda: any(seen.data == ALL_NOTES_OFF_16 for seen in keyboard.listen()),
        "the last message is heard",
    )
    assert keyboard.is_silent()


def test_a_signal_ends_it_with_nothing_sounding_and_all_recorded(
    daemon: RunningDaemon, keyboard: Keyboard
) -> None:
    performing(daemon, keyboard)
    processes = [daemon.stage(), daemon.brain()]

    daemon.process.send_signal(signal.SIGINT)

    assert daemon.process.wait(PATIENCE_S) == 0
    assert all(is_gone(pid) for pid in processes)
    wait_until(keyboard.is_silent, "nothing sounds")
    (path,) = recorded(daemon)
    events = [event for _, event in read_performance(path)]
    struck = sum(isinstance(event, NoteOn) for event in events)
    assert struck == len(note_ons(keyboard.heard))
    assert struck == sum(isinstance(event, NoteOff) for event in events)


def test_the_command_shutdown_ends_it(daemon: RunningDaemon, keyboard: Keyboard) -> None:
    performing(daemon, keyboard)

    daemon.ask("shutdown")

    assert daemon.process.wait(PATIENCE_S) == 0
    wait_until(keyboard.is_silent, "nothing sounds")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_brain_that_dies_or_hangs_is_replaced_and_told_what_was_played(
    daemon: RunningDaemon, keyboard: Keyboard, told: Path, how: signal.Signals
) -> None:
    keyboard.play(60)
    performing(daemon, keyboard)
    brain = daemon.brain()

    os.kill(brain, how)

    daemon.wait_for_state("listening")
    assert is_gone(brain)
    assert keyboard.is_silent()
    wait_until(lambda: "Recall" in told.read_text(), "the new brain is told")
    recall = told.read_text().splitlines()[-1]
    assert recall.count("NoteOn") == 1 + len(note_ons(keyboard.heard))
    assert daemon.ask("perform", length=1)["turn"] is not None


def test_a_stage_that_hangs_is_killed_and_replaced_and_its_notes_are_released(
    daemon: RunningDaemon, keyboard: Keyboard, told: Path
) -> None:
    performing(daemon, keyboard)
    stage, brain = daemon.stage(), daemon.brain()

    os.kill(stage, signal.SIGSTOP)

    wait_until(lambda: is_gone(stage) and is_gone(brain), "both are gone")
    assert not keyboard.is_silent()  # nobody was there to release it
    daemon.wait_for_state("listening", PATIENCE_S)
    keyboard.connect()
    wait_until(keyboard.is_silent, "what was left is released")
    assert "Recall" in told.read_text()


def test_nothing_is_left_behind_when_the_supervisor_is_killed(
    daemon: RunningDaemon, keyboard: Keyboard
) -> None:
    performing(daemon, keyboard)
    processes = [daemon.stage(), daemon.brain()]
    assert not keyboard.is_silent()  # the pedal at least: it is down until the turn ends

    daemon.process.kill()

    assert daemon.process.wait(PATIENCE_S) == -signal.SIGKILL
    wait_until(lambda: all(is_gone(pid) for pid in processes), "all are gone")
    wait_until(keyboard.is_silent, "nothing sounds")
    heard = len(keyboard.listen())
    time.sleep(0.3)
    assert len(keyboard.listen()) == heard
    assert not any("Performer" in port for port in jack_ports())
