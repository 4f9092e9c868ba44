"""Measure the whole daemon from outside: hand-over and jitter, through real MIDI ports.

    python -m daemon.live_benchmark [--model FOLDER] [--json FILE] [--picture FILE]

Starts a daemon of its own on ports and addresses of its own, plays real music into it, and asks
it to perform again and again. Needs a MIDI system: `make bench` brings a private JACK server.
"""

import argparse
import contextlib
import json
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from daemon.figures import Panel, draw_panels, machine
from daemon.midi_ports import InputPort, OutputPort, open_input, open_output
from daemon.sockets import CommandClient, EventClient, NoAnswerError
from perceivers.atomic import atomic_path
from perceivers.errors import PerformerError
from perceivers.midi_files import message_bytes, read_performance

ROOT = Path(__file__).resolve().parents[1]
MUSIC = ROOT / "training" / "starter"
CONTEXTS = (256, 1024, 4096)
MESSAGES_PER_S = 300  # of the music that fills the context; faster than anybody plays
READY_WITHIN_S = 60.0
NOTE_WITHIN_S = 5.0
SETTLE_S = 0.05  # between hand-overs: what was sent has arrived
JITTER_TURN_S = 20.0


@dataclass(frozen=True, slots=True)
class HandOvers:
    """Times of many hand-overs at one length of context, in ms."""

    context_tokens: int
    outside_ms: list[float]
    """From sending the command to the first note-on at another client's port."""
    inside_ms: list[float]
    """From the trigger to the first note-on leaving, as the daemon itself measured it."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything measured."""

    machine: str
    model: str
    start_to_ready_s: float
    hand_overs: list[HandOvers]
    stop_to_silence_ms: list[float]
    send_late_ms_p50: float
    send_late_ms_p99: float
    step_ms: float


class LiveDaemon:
    """A daemon of our own, its sockets, and a client at each of its ports."""

    def __init__(self, model: Path, folder: Path) -> None:
        commands, events = (f"tcp://127.0.0.1:{port}" for port in _free_ports(2))
        config = folder / "config.yaml"
        names = {"client_in": "Measured In", "client_out": "Measured Out"}
        settings = {
            "midi": names,
            "performer": {"trigger": "command", "seed": 1},
            "engine": {"model": str(model.resolve())},
            "control": {"commands": commands, "events": events},
            "recording": {"enabled": False},
        }
        config.write_text(json.dumps(settings))  # every JSON document is YAML
        started_s = time.monotonic()
        self._log = folder / "daemon.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program and file names
                [sys.executable, "-m", "daemon", "--config", str(config)],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.commands = CommandClient(commands)
        self.events = EventClient(events)
        self.wait_for_state("listening", READY_WITHIN_S)
        self.start_to_ready_s = time.monotonic() - started_s
        self.keyboard: OutputPort = open_output("Measuring Out", names["client_in"])
        self.synthesizer: InputPort = open_input("Measuring In", names["client_out"])

    def close(self) -> None:
        """End the daemon and let go of everything."""
        self.keyboard.close()
        self.synthesizer.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)
        self.commands.close()
        self.events.close()

    def ask(self, command: str, **args: Any) -> dict[str, Any]:
        """Have a command carried out. Raises PerformerError when it is refused."""
        request = {"v": 1, "id": 1, "cmd": command, "args": args}
        reply = json.loads(self.commands.ask(json.dumps(request).encode(), 5.0))
        if not reply["ok"]:
            raise PerformerError(f"{command}: {reply['error']['message']}")
        result: dict[str, Any] = reply["result"]
        return result

    def wait_for_state(self, state: str, within_s: float) -> None:
        """Return as soon as this is the state."""
        deadline_s = time.monotonic() + within_s
        while time.monotonic() < deadline_s:
            if self._process.poll() is not None:
                last = self._log.read_text().strip().rpartition("\n")[2]
                raise PerformerError(f"the daemon did not start: {last}")
            with contextlib.suppress(NoAnswerError):
                if self.ask("state")["state"] == state:
                    return
            time.sleep(0.01)
        raise PerformerError(f"waited {within_s:g} s in vain for the state {state!r}")

    def next_event(self, topic: str, within_s: float) -> dict[str, Any]:
        """Return the next event of a topic, passing over others."""
        deadline_s = time.monotonic() + within_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            came = self.events.next_event(left_s)
            if came is not None and came[0] == topic:
                event: dict[str, Any] = json.loads(came[1])
                return event
        raise PerformerError(f"no event {topic!r} within {within_s:g} s")

    def wait_for_note_on(self) -> int:
        """Return the monotonic moment, in ns, at which a note-on arrives at our port."""
        deadline_ns = time.monotonic_ns() + int(NOTE_WITHIN_S * 1e9)
        while (now_ns := time.monotonic_ns()) < deadline_ns:
            came = self.synthesizer.receive()
            if came is None:
                time.sleep(0.0001)
            elif came[0][0] & 0xF0 == 0x90 and came[0][2] > 0:
                return now_ns
        raise PerformerError(f"no note within {NOTE_WITHIN_S:g} s of the command")

    def drain(self) -> None:
        """Pass over what waits at our port and among the events."""
        while self.synthesizer.receive() is not None:
            pass
        while self.events.next_event(0.0) is not None:
            pass


def measure(model: Path, contexts: Sequence[int], count: int) -> Report:
    """Run everything. Raises PerformerError without a MIDI system or when the daemon fails."""
    with tempfile.TemporaryDirectory() as folder:
        daemon = LiveDaemon(model, Path(folder))
        try:
            music = _messages()
            hand_overs, stops = [], []
            for context in contexts:
                _fill(daemon, music, context)
                measured, stopped = _hand_overs(daemon, count)
                hand_overs.append(measured)
                stops += stopped
            metrics = _jitter(daemon)
        finally:
            daemon.close()
    return Report(
        machine=machine(),
        model=str(model),
        start_to_ready_s=daemon.start_to_ready_s,
        hand_overs=hand_overs,
        stop_to_silence_ms=stops,
        send_late_ms_p50=metrics["send_late_ms_p50"],
        send_late_ms_p99=metrics["send_late_ms_p99"],
        step_ms=metrics["step_ms"],
    )


def _messages() -> Iterator[bytes]:
    """Yield the messages of real performances, one after another."""
    for path in sorted(MUSIC.rglob("*.mid")):
        for _, event in read_performance(path):
            yield message_bytes(event, 0)


def _fill(daemon: LiveDaemon, music: Iterator[bytes], context: int) -> None:
    """Play until the daemon remembers so many tokens and has fed them all."""
    daemon.drain()
    sent = 0
    while True:
        metrics = daemon.next_event("metrics", 10.0)
        if metrics["context_tokens"] >= context and metrics["lag_tokens"] == 0:
            break
        missing = context - metrics["context_tokens"]
        for _ in range(max(0, min(MESSAGES_PER_S, missing // 2 + 1))):
            daemon.keyboard.send(next(music))
            sent += 1
            time.sleep(1 / MESSAGES_PER_S)
    for pitch in range(128):
        daemon.keyboard.send(bytes((0x80, pitch, 0)))
        time.sleep(0.001)


def _hand_overs(daemon: LiveDaemon, count: int) -> tuple[HandOvers, list[float]]:
    """Ask for a turn so often, and stop it at its first note."""
    outside_ms, inside_ms, stop_ms = [], [], []
    for _ in range(count):
        time.sleep(SETTLE_S)
        daemon.drain()
        asked_ns = time.monotonic_ns()
        daemon.ask("perform")
        outside_ms.append((daemon.wait_for_note_on() - asked_ns) / 1e6)
        stopped_ns = time.monotonic_ns()
        daemon.ask("stop")
        stop_ms.append((time.monotonic_ns() - stopped_ns) / 1e6)
        inside_ms.append(float(daemon.next_event("turn", 10.0)["first_note_ms"]))
    metrics = daemon.next_event("metrics", 10.0)
    return HandOvers(metrics["context_tokens"], outside_ms, inside_ms), stop_ms


def _jitter(daemon: LiveDaemon) -> dict[str, Any]:
    """Let a whole turn be played; return the daemon's measurements of it."""
    daemon.ask("perform", length=JITTER_TURN_S)
    daemon.drain()
    daemon.next_event("turn", 2 * JITTER_TURN_S)
    return daemon.next_event("metrics", 10.0)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for free in sockets:
        free.bind(("127.0.0.1", 0))
    ports = [int(free.getsockname()[1]) for free in sockets]
    for free in sockets:
        free.close()
    return ports


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return p50, p95 and p99."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


def print_report(report: Report) -> None:
    """Print tables."""
    lines = [
        f"{report.machine}; {report.model}; ready {report.start_to_ready_s:.1f} s after the start",
        f"trigger to first note-on, ms {'p50':>14} {'p95':>7} {'p99':>7}   (hand-overs)",
    ]
    for measured in report.hand_overs:
        for name, values in (("outside", measured.outside_ms), ("inside", measured.inside_ms)):
            p50, p95, p99 = percentiles(values)
            lines.append(
                f"  {measured.context_tokens:>7} tokens, {name:<8} {p50:>16.1f} {p95:>7.1f} "
                f"{p99:>7.1f}   ({len(values)})"
            )
    p50, p95, p99 = percentiles(report.stop_to_silence_ms)
    lines += [
        f"stop to acknowledged, ms {p50:>18.1f} {p95:>7.1f} {p99:>7.1f}",
        f"notes sent after their moment, ms: p50 {report.send_late_ms_p50:.2f}, "
        f"p99 {report.send_late_ms_p99:.2f}; {report.step_ms:.2f} ms per token while performing",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def draw(report: Report, path: Path) -> None:
    """Draw the hand-overs as cumulative shares."""
    curves = {}
    for measured in report.hand_overs:
        values = sorted(measured.outside_ms)
        shares = [(i + 1) / len(values) for i in range(len(values))]
        curves[f"{measured.context_tokens} tokens of context"] = (values, shares)
    panel = Panel("trigger to first note-on at another client", "ms", "share of hand-overs", curves)
    draw_panels(path, [panel])


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "small")
    parser.add_argument("--contexts", type=int, nargs="+", default=list(CONTEXTS), metavar="TOKENS")
    parser.add_argument("--hand-overs", type=int, default=60, help="for each context")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    parser.add_argument("--picture", type=Path, help="draw a PNG here")
    options = parser.parse_args(arguments)
    try:
        report = measure(options.model, options.contexts, options.hand_overs)
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    print_report(report)
    if options.json:
        with atomic_path(options.json) as partial:
            partial.write_text(json.dumps(asdict(report), indent=1) + "\n")
    if options.picture:
        draw(report, options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
