"""A daemon of our own under measurement: its process, its sockets, a client at each port."""

import contextlib
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from daemon.bench.live.daemon_process import DaemonProcess, plain_daemon
from daemon.bench.live.prepared_daemon import Preparation, command
from daemon.control.sockets import CommandClient, EventClient, NoAnswerError
from daemon.midi.ports import InputPort, OutputPort, open_input, open_output
from perceivers.errors import PerformerError
from perceivers.midi_numbers import NOTE_ON

READY_WITHIN_S = 60.0
ANSWER_WITHIN_S = 10.0
NOTE_WITHIN_S = 10.0
LOOK_S = 0.0001  # between looks at the port while a note is awaited


class MeasuredDaemon:
    """A daemon that performs on command alone, and records nothing. Use `measured_daemon`."""

    def __init__(
        self, model: Path, folder: Path, preparation: Preparation | None, timing: dict[str, Any]
    ) -> None:
        names = {"client_in": "Measured In", "client_out": "Measured Out"}
        settings: dict[str, dict[str, Any]] = {
            "midi": names,
            "performer": {"trigger": "command", "seed": 1},
            "timing": timing,
            "engine": {"model": str(model.resolve())},
            "recording": {"enabled": False},
        }
        start = plain_daemon if preparation is None else partial(command, preparation=preparation)
        started_s = time.monotonic()
        with contextlib.ExitStack() as undo:
            self._daemon = DaemonProcess(folder, settings, start)
            undo.callback(self._daemon.end)
            self._commands = CommandClient(self._daemon.commands)
            undo.callback(self._commands.close)
            self._events = EventClient(self._daemon.events)
            undo.callback(self._events.close)
            self.wait_for_state("listening", READY_WITHIN_S)
            self.start_to_ready_s = time.monotonic() - started_s
            self.keyboard: OutputPort = open_output("Measuring Out", names["client_in"])
            undo.callback(self.keyboard.close)
            self.synthesizer: InputPort = open_input("Measuring In", names["client_out"])
            undo.callback(self.synthesizer.close)
            self._undo = undo.pop_all()

    @property
    def pid(self) -> int:
        """The first of the daemon's processes."""
        return self._daemon.process.pid

    def close(self) -> None:
        """Let go of everything and end the daemon."""
        self._undo.close()

    def ask(self, command: str, **args: Any) -> dict[str, Any]:
        """Have a command carried out. Raises PerformerError when it is refused."""
        request = {"v": 1, "id": 1, "cmd": command, "args": args}
        reply = json.loads(self._commands.ask(json.dumps(request).encode(), ANSWER_WITHIN_S))
        if not reply["ok"]:
            raise PerformerError(f"{command}: {reply['error']['message']}")
        result: dict[str, Any] = reply["result"]
        return result

    def wait_for_state(self, state: str, within_s: float) -> None:
        """Return as soon as this is the state. Raises PerformerError when it does not come."""
        deadline_s = time.monotonic() + within_s
        while time.monotonic() < deadline_s:
            if self._daemon.process.poll() is not None:
                last = self._daemon.log.strip().rpartition("\n")[2]
                raise PerformerError(f"the daemon has ended: {last}")
            with contextlib.suppress(NoAnswerError):
                if self.ask("state")["state"] == state:
                    return
            time.sleep(0.01)
        raise PerformerError(f"waited {within_s:g} s in vain for the state {state!r}")

    def next_event(self, topic: str, within_s: float = ANSWER_WITHIN_S) -> dict[str, Any]:
        """Return the next event of a topic, passing over others. Raises PerformerError."""
        deadline_s = time.monotonic() + within_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            came = self._events.next_event(left_s)
            if came is not None and came[0] == topic:
                event: dict[str, Any] = json.loads(came[1])
                return event
        raise PerformerError(f"no event {topic!r} within {within_s:g} s")

    def fresh_metrics(self) -> dict[str, Any]:
        """Return measurements of the daemon's own that it takes from now on."""
        self.drain()
        return self.next_event("metrics")

    def wait_for_note_on(self) -> int:
        """Return the monotonic moment, in ns, at which a note-on arrives at our port."""
        deadline_ns = time.monotonic_ns() + int(NOTE_WITHIN_S * 1e9)
        while (now_ns := time.monotonic_ns()) < deadline_ns:
            came = self.synthesizer.receive()
            if came is None:
                time.sleep(LOOK_S)
            elif came[0][0] & 0xF0 == NOTE_ON and came[0][2] > 0:
                return now_ns
        raise PerformerError(f"no note within {NOTE_WITHIN_S:g} s of the command")

    def drain(self) -> None:
        """Pass over what waits at our port and among the events."""
        while self.synthesizer.receive() is not None:
            pass
        while self._events.next_event(0.0) is not None:
            pass


@contextlib.contextmanager
def measured_daemon(
    model: Path, preparation: Preparation | None = None, **timing: Any
) -> Iterator[MeasuredDaemon]:
    """Run a daemon; `timing` are settings of that section.

    Raises PerformerError without a MIDI system, and when the daemon fails.
    """
    with TemporaryDirectory() as folder:
        daemon = MeasuredDaemon(model, Path(folder), preparation, timing)
        try:
            yield daemon
        finally:
            daemon.close()
