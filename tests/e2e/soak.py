"""An hour with a random musician on real ports: python -m tests.e2e.soak --hours 1.

The musician is that of the simulated hours, and sits at a real daemon under a JACK server of its
own: plays through a port and as a client, gives every command, uses pedals, knobs, a clock and
loops, and kills the brain. Once a minute it takes the hands away and asks for silence: then nothing
may sound, every command must have been answered, and memory is looked at. Cables are not pulled
here (a recorder without a cable sees no release), and the stage is not killed, which JACK's server
does not outlive; the tests on JACK and ALSA do both.

Ctrl-C ends it with the report so far. Exit code 1: something hung, or memory grew.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from daemon.bench.live.drift import FEWEST, Drift, drift_of
from daemon.bench.live.processor_time import resident_mb
from daemon.bench.pictures import Panel, draw_panels, machine
from daemon.bench.results import tell, write_json
from daemon.control.commands import COMMANDS
from daemon.messages import turns as t
from daemon.messages.turns import Occurrence, State
from daemon.settings import EngineSettings
from perceivers.events import Event, NoteOff, NoteOn
from tests.page.measure import percentiles
from tests.support.jack_programs import Patchbay, Recorder, patched_recorder
from tests.support.keyboard import Keyboard
from tests.support.running_daemon import NoReplyError, RunningDaemon, running_daemon
from tests.support.simulation.musician import PERFORMER_CHANNEL, PLAYER_CHANNEL, Musician, bytes_of
from tests.support.wire import of_channel, pedal_is_down, sounding

INPUT, OUTPUT = "Performer In:in", "Performer Out:out"
REST_EVERY_S = 60.0
STARTS_WITHIN_S = 600.0
SILENT_WITHIN_S = 5.0
ANSWERED_WITHIN_S = 5.0
NAMES = {command.becomes: command.name for command in COMMANDS.values() if command.becomes}
NAMES[t.Perform] = "perform"
LENGTH_S = 5.0  # of an answer: many are more than long ones


@dataclass(slots=True)
class Sample:
    """What a rest has shown."""

    minute: float
    hanging: int  # keys and pedals that sound though nobody plays
    supervisor_mb: float
    stage_mb: float
    brain_mb: float
    context_tokens: int | None


@dataclass(slots=True)
class Found:
    """What was seen so far."""

    turns: int = 0
    notes: int = 0
    late_ms: list[float] = field(default_factory=list)
    asked: int = 0
    unanswered: int = 0
    deeds: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)


class RealStage:
    """A real daemon, as a musician sees it."""

    def __init__(self, daemon: RunningDaemon, keyboard: Keyboard, bay: Patchbay) -> None:
        self.found = Found()
        self._daemon = daemon
        self._keyboard = keyboard
        self._bay = bay
        self._state = State.LISTENING
        self._is_client = False
        self._told: list[tuple[str, dict[str, Any]]] = []

    @property
    def state(self) -> State:
        return self._state

    def look(self) -> None:
        """Take in what the daemon has told."""
        for topic, told in self._daemon.events():
            self._told.append((topic, told))
            if topic == "state":
                self._state = State(told["state"])
            elif topic == "turn":
                self.found.turns += 1
                self.found.notes += told["notes"]
                self.found.late_ms += late_ms(self._told)
                self._told.clear()

    def _ask(self, command: str, **arguments: Any) -> None:
        self.found.asked += 1
        try:
            self._daemon.try_to_ask(command, within_s=ANSWERED_WITHIN_S, **arguments)
        except NoReplyError:
            self.found.unanswered += 1
            tell(f"not answered: {command} {arguments}")

    def play(self, event: Event) -> None:
        if not self._is_client:
            self._keyboard.send(tuple(bytes_of(event)))
            return
        told: dict[str, Any] = {"event": "pedal", "down": getattr(event, "down", None)}
        if isinstance(event, NoteOn):
            told = {"event": "note_on", "pitch": event.pitch, "velocity": event.velocity}
        elif isinstance(event, NoteOff):
            told = {"event": "note_off", "pitch": event.pitch}
        self._ask("play", events=[told])

    def sit_at(self, *, is_client: bool) -> None:
        self._is_client = is_client

    def send(self, message: bytes) -> None:
        if message and message[0] >= 0x80:  # a port takes nothing else
            self._keyboard.send(tuple(message))

    def command(self, command: Occurrence) -> None:
        if isinstance(command, t.Adjust):
            self._ask("set", **command.changes)
        else:
            self._ask(NAMES[type(command)])

    def lose_brain(self) -> None:
        with contextlib.suppress(ValueError, FileNotFoundError, ProcessLookupError):
            os.kill(self._daemon.brain(), signal.SIGKILL)  # none, while it is replaced
            self.found.deeds["brain killed"] += 1

    def start_brain(self) -> None: ...

    def replace_stage(self) -> None:
        self.plug_input(False)  # JACK's synchronous server does not outlive a client that is killed

    def plug_input(self, plugged: bool) -> None:
        if not plugged:
            self._keyboard.send((0xB0, 123, 0))  # as one does that is switched off

    def plug_output(self, plugged: bool) -> None: ...

    def loop(self, is_loop: bool) -> None:
        if is_loop:
            self.found.deeds["loop closed"] += 1
            self._bay.connect(OUTPUT, INPUT)
        else:
            self._bay.disconnect(OUTPUT, INPUT)

    def connect(self) -> None:
        self._bay.connect(self._keyboard.port, INPUT)
        self._bay.connect(OUTPUT, Recorder.INPUT)


def late_ms(told: list[tuple[str, dict[str, Any]]]) -> list[float]:
    """Return how late each strike of the Performer's was, which was planned and not withdrawn."""
    planned: defaultdict[int, list[float]] = defaultdict(list)
    late = []
    for topic, event in told:
        if topic == "planned":
            for each in event["events"]:
                if each["event"] == "note_on":
                    planned[each["pitch"]].append(each["at_s"])
        elif topic == "note" and event["by"] == "performer" and event["event"] == "note_on":
            # Of a key that the player held, strikes were planned and did not leave.
            due_s = [each for each in planned[event["pitch"]] if each <= event["at_s"]]
            if due_s:
                late.append(1000 * (event["at_s"] - max(due_s)))
                planned[event["pitch"]].remove(max(due_s))
    return late


def rest(stage: RealStage, daemon: RunningDaemon, recorder: Recorder, minute: float) -> Sample:
    """Wait until nothing is played; return what sounds for all that, and what memory is held."""
    silent_by_s = time.monotonic() + SILENT_WITHIN_S
    hanging = 1
    while hanging and time.monotonic() < silent_by_s:
        time.sleep(0.5)
        recorder.wait_for_everything()
        stage.look()
        seen = recorder.seen()
        parts = [of_channel(seen, channel) for channel in (PERFORMER_CHANNEL - 1, PLAYER_CHANNEL)]
        hanging = sum(len(sounding(part)) + pedal_is_down(part) for part in parts)
    metrics = [told for topic, told in daemon.events() if topic == "metrics"]
    return Sample(
        minute,
        hanging,
        resident_mb(daemon.process.pid),
        resident_mb(daemon.stage()),
        resident_mb(daemon.brain()),
        metrics[-1]["context_tokens"] if metrics else None,
    )


def soak(hours: float, seed: int, model: Path) -> Iterator[Found]:
    """Let the musician play; yield what was found, at every rest."""
    rng = random.Random(seed)
    os.environ["JACK_TEST_TIMEOUT_S"] = str(round(3600 * hours + STARTS_WITHIN_S))
    with (
        tempfile.TemporaryDirectory() as folder,
        patched_recorder() as (bay, recorder),
        Keyboard("pianist") as keyboard,
        running_daemon(
            Path(folder),
            model,
            sections={"midi": {"mappings": None}, "timing": {}},
            length=LENGTH_S,
        ) as daemon,
    ):
        stage = RealStage(daemon, keyboard, bay)
        stage.connect()
        musician = Musician(rng, stage)
        playing = musician.play()
        started_s = time.monotonic()
        rest_at_s = started_s + REST_EVERY_S
        while time.monotonic() < started_s + 3600 * hours:
            _wait(stage, next(playing))
            if time.monotonic() < rest_at_s:
                continue
            stage.loop(False)
            for pause_s in musician.take_hands_away():
                _wait(stage, pause_s)
            stage.command(t.Stop())
            daemon.wait_for_state("listening")
            minute = (time.monotonic() - started_s) / 60
            stage.found.samples.append(rest(stage, daemon, recorder, minute))
            yield stage.found
            rest_at_s = time.monotonic() + REST_EVERY_S


def _wait(stage: RealStage, pause_s: float) -> None:
    until_s = time.monotonic() + pause_s
    stage.look()
    while (left_s := until_s - time.monotonic()) > 0:
        time.sleep(min(left_s, 0.05))
        stage.look()


def drifts(samples: list[Sample]) -> dict[str, Drift]:
    """Return how memory changed, in MB a minute: the supervisor is never replaced."""
    if len(samples) < FEWEST:
        return {}
    minutes = [sample.minute for sample in samples]
    return {
        name: drift_of(minutes, [getattr(sample, name) for sample in samples])
        for name in ("supervisor_mb", "stage_mb", "brain_mb")
    }


def draw(samples: list[Sample], path: Path) -> None:
    """Draw memory over the run."""
    minutes = [sample.minute for sample in samples]
    lines = {
        name: (minutes, [getattr(sample, f"{name}_mb") for sample in samples])
        for name in ("supervisor", "stage", "brain")
    }
    draw_panels(path, [Panel("resident memory", "minutes", "MB", lines)])


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.e2e.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, default=Path(EngineSettings().model))
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write everything measured here")
    parser.add_argument("--picture", type=Path, help="draw a PNG here")
    options = parser.parse_args(arguments)
    found = Found()
    try:
        for found in soak(options.hours, options.seed, options.model):
            last = found.samples[-1]
            tell(
                f"{last.minute:6.1f} min  {found.turns:5} turns  {found.notes:6} notes"
                f"  {last.hanging} hanging  {found.unanswered} unanswered"
                f"  {last.supervisor_mb:.1f} + {last.stage_mb:.1f} + {last.brain_mb:.1f} MB"
            )
    except KeyboardInterrupt:
        tell("ended early")
    grown = drifts(found.samples)
    hanging = sum(sample.hanging for sample in found.samples)
    report = {
        "machine": machine(),
        "model": str(options.model),
        "seed": options.seed,
        "minutes": found.samples[-1].minute if found.samples else 0.0,
        "turns": found.turns,
        "notes": found.notes,
        "late_ms": percentiles(found.late_ms),
        "commands": found.asked,
        "unanswered": found.unanswered,
        "deeds": dict(found.deeds),
        "hanging": hanging,
        "memory": {name: asdict(drift) for name, drift in grown.items()},
        "samples": [asdict(sample) for sample in found.samples],
    }
    tell(json.dumps({name: value for name, value in report.items() if name != "samples"}, indent=1))
    if options.json:
        write_json(options.json, report)
    if options.picture and found.samples:
        draw(found.samples, options.picture)
    return int(hanging > 0 or found.unanswered > 0)


if __name__ == "__main__":
    sys.exit(main())
