"""Stage, brain and supervisor as processes, under JACK: whatever is killed, nothing sounds on."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
import zmq

from daemon.midi.ports import InputPort, OutputPort, open_input, open_output
from perceivers.events import NoteOff, NoteOn
from perceivers.midi_files import read_performance

pytestmark = [pytest.mark.jack, pytest.mark.usefixtures("jack_server")]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 100.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain until {what}"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """Return the child processes, without the helpers that Python itself starts."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return [pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


class Keyboard:
    """A player's keyboard and synthesizer, connected to the daemon."""

    def __init__(self) -> None:
        self.keys: OutputPort = open_output("Keyboard")
        self.synth: InputPort = open_input("Synth")
        self.heard: list[bytes] = []

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

    def listen(self) -> list[bytes]:
        """Return everything heard so far."""
        while (received := self.synth.receive()) is not None:
            self.heard.append(received[0])
        return self.heard

    def sounding(self) -> set[int]:
        """Return what sounds by now: pitches, and -1 for the pedal."""
        sounding: set[int] = set()
        for message in self.listen():
            kind = message[0] & 0xF0
            if kind == 0x90:
                sounding.add(message[1])
            elif kind == 0x80:
                sounding.discard(message[1])
            elif message[1] == 64:
                (sounding.add if message[2] else sounding.discard)(-1)
        return sounding

    def close(self) -> None:
        self.keys.close()
        self.synth.close()


class Daemon:
    """The scripted daemon as a process, with its control socket."""

    def __init__(self, folder: Path, **performer: object) -> None:
        self.recordings = folder / "recordings"
        self.told = folder / "told"
        self._log = folder / "log"
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            commands, events = (f"tcp://127.0.0.1:{s.getsockname()[1]}" for s in (one, other))
        config = folder / "config.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "performer": {"silence_s": 0.5, **performer},
                    "engine": {"model": str(self.told)},
                    "control": {"commands": commands, "events": events},
                    "recording": {"folder": str(self.recordings)},
                    "page": {"enabled": False},
                }
            )
        )
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.scripted_daemon", str(config)],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._context = zmq.Context()
        self._commands = self._context.socket(zmq.DEALER)
        self._commands.set(zmq.LINGER, 0)
        self._commands.connect(commands)
        self._number = 0

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def stage(self) -> int:
        (pid,) = children(self.process.pid)
        return pid

    @property
    def brain(self) -> int:
        (pid,) = children(self.stage)
        return pid

    def ask(self, command: str, **args: object) -> dict[str, Any]:
        """Have a command carried out; return the whole reply to it."""
        self._number += 1
        request = {"v": 1, "id": self._number, "cmd": command, "args": args}
        self._commands.send_json(request)
        while self._commands.poll(PATIENCE_S * 1000):
            reply: dict[str, Any] = json.loads(self._commands.recv_multipart()[-1])
            if reply["id"] == self._number:
                return reply
        raise AssertionError(f"no reply to {command}")

    def recorded(self) -> list[Path]:
        """Return the recordings that are whole; one that is being written is hidden."""
        return [*self.recordings.glob("[!.]*.mid")]

    def state(self) -> str:
        return str(self.ask("state")["result"]["state"])

    def wait_for(self, state: str) -> None:
        wait_until(lambda: self.state() == state, f"the daemon is {state}")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                for pid in [self.process.pid, *children(self.process.pid)]:
                    os.kill(pid, signal.SIGKILL)
        self._context.destroy()


@pytest.fixture
def keyboard() -> Iterator[Keyboard]:
    keyboard = Keyboard()
    yield keyboard
    keyboard.close()


@pytest.fixture
def daemon(tmp_path: Path, keyboard: Keyboard) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    try:
        daemon.wait_for("listening")
        keyboard.connect()
        yield daemon
    finally:
        daemon.close()
        sys.stdout.write(daemon.log)


def performing(daemon: Daemon, keyboard: Keyboard) -> None:
    """Have a long turn under way."""
    assert daemon.ask("perform", length=60)["ok"]
    wait_until(lambda: len(keyboard.listen()) > 6, "notes are heard")


def jack_ports() -> list[str]:
    listed = subprocess.run(["jack_lsp"], timeout=10, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_phrase_and_silence_bring_an_answer_and_both_are_recorded(
    daemon: Daemon, keyboard: Keyboard
) -> None:
    assert daemon.ask("set", length=1)["ok"]
    for pitch in (60, 62, 64):
        keyboard.play(pitch)

    wait_until(lambda: len(keyboard.listen()) >= 42, "the whole answer is heard")
    daemon.wait_for("listening")

    assert keyboard.sounding() == set()
    wait_until(lambda: len(daemon.recorded()) == 1, "the recording is there")
    (path,) = daemon.recorded()
    events = [event for _, event in read_performance(path)]
    assert events[:2] == [NoteOn(60, 64), NoteOff(60)]
    assert sum(isinstance(event, NoteOn) for event in events) == 3 + 20


def test_a_note_of_the_player_silences_the_answer(daemon: Daemon, keyboard: Keyboard) -> None:
    performing(daemon, keyboard)

    keyboard.keys.send(bytes((0x90, 48, 64)))

    daemon.wait_for("capturing")
    assert keyboard.sounding() == set()
    heard = len(keyboard.listen())
    time.sleep(0.3)
    assert len(keyboard.listen()) == heard


def test_a_refused_command_says_why(daemon: Daemon, keyboard: Keyboard) -> None:
    performing(daemon, keyboard)

    reply = daemon.ask("perform")

    assert reply["error"]["code"] == "refused"
    assert "stop it first" in reply["error"]["message"]


def test_panic_answers_when_every_channel_was_told(daemon: Daemon, keyboard: Keyboard) -> None:
    performing(daemon, keyboard)

    assert daemon.ask("panic")["ok"]

    wait_until(lambda: bytes((0xBF, 123, 0)) in keyboard.listen(), "the last message is heard")
    assert keyboard.sounding() == set()


def test_a_signal_ends_it_with_nothing_sounding_and_all_recorded(
    daemon: Daemon, keyboard: Keyboard
) -> None:
    performing(daemon, keyboard)
    processes = [daemon.stage, daemon.brain]

    daemon.process.send_signal(signal.SIGINT)

    assert daemon.process.wait(PATIENCE_S) == 0
    assert all(is_gone(pid) for pid in processes)
    wait_until(lambda: keyboard.sounding() == set(), "nothing sounds")
    (path,) = daemon.recorded()
    events = [event for _, event in read_performance(path)]
    struck = sum(isinstance(event, NoteOn) for event in events)
    assert struck == sum(message[0] == 0x90 for message in keyboard.heard)
    assert struck == sum(isinstance(event, NoteOff) for event in events)


def test_the_command_shutdown_ends_it(daemon: Daemon, keyboard: Keyboard) -> None:
    performing(daemon, keyboard)

    assert daemon.ask("shutdown")["ok"]

    assert daemon.process.wait(PATIENCE_S) == 0
    wait_until(lambda: keyboard.sounding() == set(), "nothing sounds")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_brain_that_dies_or_hangs_is_replaced_and_told_what_was_played(
    daemon: Daemon, keyboard: Keyboard, how: signal.Signals
) -> None:
    keyboard.play(60)
    performing(daemon, keyboard)
    brain = daemon.brain

    os.kill(brain, how)

    daemon.wait_for("listening")
    assert is_gone(brain)
    assert keyboard.sounding() == set()
    wait_until(lambda: "Recall" in daemon.told.read_text(), "the new brain is told")
    recall = daemon.told.read_text().splitlines()[-1]
    assert recall.count("NoteOn") == 1 + sum(m[0] == 0x90 for m in keyboard.heard)
    assert daemon.ask("perform", length=1)["ok"]


def test_a_stage_that_hangs_is_killed_and_replaced_and_its_notes_are_released(
    daemon: Daemon, keyboard: Keyboard
) -> None:
    """Takes 40 s: so long a synchronous JACK server takes to let go of clients that were killed."""
    performing(daemon, keyboard)
    stage, brain = daemon.stage, daemon.brain

    os.kill(stage, signal.SIGSTOP)

    wait_until(lambda: is_gone(stage) and is_gone(brain), "both are gone")
    assert keyboard.sounding()  # nobody was there to release it
    wait_until(lambda: bool(children(daemon.process.pid)), "another stage is there")
    daemon.wait_for("listening")
    keyboard.connect()
    wait_until(lambda: keyboard.sounding() == set(), "what was left is released")
    assert "Recall" in daemon.told.read_text()


def test_nothing_is_left_behind_when_the_supervisor_is_killed(
    daemon: Daemon, keyboard: Keyboard
) -> None:
    performing(daemon, keyboard)
    processes = [daemon.stage, daemon.brain]
    assert keyboard.sounding()  # the pedal at least: it is down until the turn ends

    daemon.process.kill()

    assert daemon.process.wait(PATIENCE_S) == -signal.SIGKILL
    wait_until(lambda: all(is_gone(pid) for pid in processes), "all are gone")
    wait_until(lambda: keyboard.sounding() == set(), "nothing sounds")
    heard = len(keyboard.listen())
    time.sleep(0.3)
    assert len(keyboard.listen()) == heard
    assert not any("Performer" in port for port in jack_ports())
