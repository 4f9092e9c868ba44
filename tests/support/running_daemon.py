"""The daemon as a process, and its control sockets, spoken to without any of its own code."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import zmq

from daemon.bench.live.daemon_process import ENDS_WITHIN_S, DaemonProcess, plain_daemon

ROOT = Path(__file__).resolve().parents[2]
PERFORMER_CHANNEL = 2  # as musicians count: the player's is 1
SILENCE_S = 0.5
POLL_S = 0.01

Command = Callable[[Path], list[str]]
Sections = Mapping[str, Mapping[str, Any]]  # of settings, in place of those that are usual here


def scripted_daemon(config: Path) -> list[str]:
    """Return the command that starts a daemon whose brain plays a scale."""
    return [sys.executable, "-m", "tests.support.scripted_daemon", str(config)]


def wait_until(
    condition: Callable[[], bool],
    what: str,
    timeout_s: float = 60.0,
    daemon: "RunningDaemon | None" = None,
    every_s: float = POLL_S,
) -> None:
    """Return as soon as the condition holds; fail after `timeout_s`, with what a daemon said."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            said = f"; the daemon says:\n{daemon.log}" if daemon else ""
            raise AssertionError(f"waited {timeout_s:g} s in vain until {what}{said}")
        time.sleep(every_s)


class NoReplyError(AssertionError):
    """The daemon did not answer a request in time."""


class RunningDaemon:
    """A started daemon. `patience` stretches every wait, for slow machines."""

    def __init__(
        self,
        folder: Path,
        model: Path,
        patience: float = 1.0,
        output: str | None = None,
        command: Command = plain_daemon,
        *,
        page: bool = False,
        precision: str = "auto",
        sections: Sections | None = None,
        environment: Mapping[str, str] | None = None,
        **performer: Any,
    ) -> None:
        self.patience = patience
        self.recordings = folder / "recordings"
        settings: dict[str, Mapping[str, Any]] = {
            "midi": {"output": output},
            "performer": {"channel": PERFORMER_CHANNEL, "silence_s": SILENCE_S, **performer},
            # On a crowded machine a note shall come late rather than not at all: tests count them.
            "timing": {"late_after_ms": 5000},
            "engine": {"model": str(model), "precision": precision},
            "recording": {"folder": str(self.recordings)},
            "page": {"enabled": page},
        }
        settings |= sections or {}
        self._daemon = DaemonProcess(folder, settings, command, environment)
        self.process = self._daemon.process
        self.page = f"http://{self._daemon.page}/"
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.connect(self._daemon.commands)
        self._events = self._context.socket(zmq.SUB)
        self._events.set(zmq.LINGER, 0)
        self._events.set(zmq.SUBSCRIBE, b"")
        self._events.connect(self._daemon.events)
        self._requests = 0

    @property
    def log(self) -> str:
        return self._daemon.log

    def ask_raw(self, frame: bytes, timeout_s: float = 30.0) -> Any:
        """Send a frame as it is; return the reply."""
        self._socket.send(frame)
        return self._reply(timeout_s)

    def _reply(self, timeout_s: float) -> Any:
        if not self._socket.poll(int(timeout_s * self.patience * 1000)):
            raise NoReplyError(f"no reply in {timeout_s} s; the daemon says:\n{self.log}")
        return json.loads(self._socket.recv_multipart()[-1])

    def ask(self, command: str, *, within_s: float = 30.0, **args: Any) -> Any:
        """Have a command carried out; return its result."""
        reply = self.try_to_ask(command, within_s=within_s, **args)
        assert reply["ok"], reply
        return reply["result"]

    def try_to_ask(self, command: str, *, within_s: float = 30.0, **args: Any) -> Any:
        """Give a command; return the reply, which may be a refusal."""
        self._requests += 1
        request = {"v": 1, "id": self._requests, "cmd": command, "args": args}
        reply = self.ask_raw(json.dumps(request).encode(), within_s)
        while reply["id"] != self._requests:  # to an earlier request that nobody waits for
            reply = self._reply(within_s)
        return reply

    def state(self) -> str:
        """Return the state; "silent" while nobody answers, as when a process is replaced."""
        try:
            return str(self.ask("state", within_s=2.0)["state"])
        except NoReplyError:
            return "silent"

    def wait_for_state(self, state: str, timeout_s: float = 30.0) -> None:
        """Return as soon as this is the state."""

        def reached() -> bool:
            assert self.process.poll() is None, f"the daemon ended:\n{self.log}"
            return self.state() == state

        wait_until(
            reached,
            f"the daemon is {state}",
            timeout_s * self.patience,
            every_s=POLL_S * self.patience,
        )

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the events that came since the last call."""
        came = []
        while self._events.poll(0):
            topic, body = self._events.recv_multipart()
            came.append((topic.decode(), json.loads(body)))
        return came

    @property
    def addresses(self) -> tuple[str, str]:
        """Where it takes commands and where it tells events."""
        return self._daemon.commands, self._daemon.events

    def children(self) -> list[int]:
        """Return the processes that the supervisor has started."""
        return _children(self.process.pid)

    def descendants(self) -> list[int]:
        """Return the processes that the daemon started, and those that they started."""
        found = [self.process.pid]
        for parent in found:
            found += _children(parent)
        return found[1:]

    def stage(self) -> int:
        """Return the process that has the MIDI library loaded."""
        (found,) = [
            pid
            for pid in _spawned(self.process.pid)
            if "_rtmidi" in Path(f"/proc/{pid}/maps").read_text()
        ]
        return found

    def brain(self) -> int:
        """Return the process that the stage has started."""
        (found,) = _spawned(self.stage())
        return found

    def page_process(self) -> int:
        """Return the process that serves the page: beside the stage the only one."""
        (found,) = {*_spawned(self.process.pid)} - {self.stage()}
        return found

    def stop(self) -> int:
        """End the daemon as a service manager would; return its exit code."""
        return self._daemon.end(ENDS_WITHIN_S * self.patience)

    def close(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
        leftover = self.descendants() if self.process.poll() is None else []
        for pid in [self.process.pid, *leftover] if leftover else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._socket.close()
        self._events.close()
        self._context.term()


def _children(pid: int) -> list[int]:
    children = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children += [int(child) for child in task.read_text().split()]
    return children


def _spawned(pid: int) -> list[int]:
    """Return the child processes, without the helpers that Python itself starts."""
    return [
        child
        for child in _children(pid)
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


@contextlib.contextmanager
def running_daemon(
    folder: Path,
    model: Path,
    patience: float = 1.0,
    output: str | None = None,
    command: Command = plain_daemon,
    *,
    page: bool = False,
    **performer: Any,
) -> Iterator[RunningDaemon]:
    """Start a daemon that listens; what it said is shown when the test fails."""
    daemon = RunningDaemon(folder, model, patience, output, command, page=page, **performer)
    try:
        daemon.wait_for_state("listening", 60)
        yield daemon
    finally:
        daemon.close()
        sys.stdout.write(daemon.log)
