"""The whole daemon but for the model: a brain that plays a scale and writes down what it is told.

    python -m tests.support.scripted_daemon config.yaml

`engine.model` names the file into which the brain writes what it is told, one message a line.
"""

import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

from daemon.log import set_up_logging
from daemon.messages.brain import (
    BeginTurn,
    BrainReady,
    EndTurn,
    PlanComplete,
    Planned,
    Pulse,
    Quit,
    ToBrain,
)
from daemon.messages.pipe_end import end_with_parent
from daemon.settings import Settings, load_settings
from daemon.supervisor import Supervisor
from perceivers.errors import PerformerError
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent

NOTE_S = 0.05
LEAD_S = 0.3
LOWEST, NOTES_IN_SCALE = 72, 12


def scripted_brain(connection: Connection, settings: Settings, origin_ns: int) -> None:
    """Be the brain: the pedal down, then one note after the other until the length is reached."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection.send(BrainReady("scripted", "script", "none", 0.0, 1024, 0.01, 0.0))
    turn: BeginTurn | None = None
    planned = 0
    with Path(settings.engine.model).open("a", encoding="utf-8") as log:
        while True:
            now_s = (time.monotonic_ns() - origin_ns) / 1e9
            connection.send(Pulse(0, 0, 0.01, None))
            if turn is not None:
                planned = _plan(connection, turn, planned, now_s + LEAD_S)
                if planned * NOTE_S >= turn.parameters.length:
                    connection.send(PlanComplete(turn.turn, "length"))
                    turn = None
            if connection.poll(NOTE_S):
                message: ToBrain = connection.recv()
                log.write(f"{message!r}\n")
                log.flush()
                if isinstance(message, Quit):
                    return
                if isinstance(message, BeginTurn):
                    turn, planned = message, 0
                elif isinstance(message, EndTurn):
                    turn = None


def _plan(connection: Connection, turn: BeginTurn, planned: int, until_s: float) -> int:
    """Plan notes that begin before an instant; return how many are planned by now."""
    events: list[TimedEvent] = []
    while (start_s := turn.start_s + planned * NOTE_S) < until_s:
        if planned * NOTE_S >= turn.parameters.length:
            break
        if planned == 0:
            events.append(TimedEvent(start_s, Pedal(True)))
        pitch = LOWEST + planned % NOTES_IN_SCALE
        events.append(TimedEvent(start_s, NoteOn(pitch, 64)))
        events.append(TimedEvent(start_s + NOTE_S * 0.9, NoteOff(pitch)))
        planned += 1
    if events:
        connection.send(Planned(turn.turn, tuple(events)))
    return planned


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the daemon with this brain."""
    set_up_logging(verbose=True)
    settings = load_settings(Path(sys.argv[1]))
    supervisor = Supervisor(settings, _say, brain_target=scripted_brain)
    try:
        return supervisor.run()
    except PerformerError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
