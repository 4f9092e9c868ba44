"""Play a recorded session again: `python -m daemon --replay SESSION.mid`.

The brain is told once more what it was told, and takes each thing in at the token at which it did;
then its decisions must be the same. What it plans is compared with what really left.
"""

import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.brain.performer import Performer
from daemon.brain.telling import tell
from daemon.engine import Engine
from daemon.messages.brain import BeginTurn, EndTurn, Recall, Steer, Took
from daemon.messages.journal import Line, Opening, line_of
from daemon.settings import EngineSettings
from perceivers.errors import MidiFileError, PerformerError
from perceivers.events import NoteOn, TimedEvent
from perceivers.midi_files import read_markers

EARLY_S = 0.002  # what was sent cannot lie before its plan, but for rounding
LATE_S = 5.0  # the latest that a note may be sent, whatever the settings
MOST_RECORDINGS = 1000  # that go on from each other; more is a circle


class ReplayError(PerformerError):
    """A session cannot be played again."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The lines of one recorded file."""

    path: Path
    opening: Opening
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """One turn, played again."""

    turn: int
    seed: int | None
    notes: int  # that really left
    difference: str | None  # the first, in words


def read_recording(path: Path) -> Recording:
    """Read the journal of a recording; raise ReplayError where it has none."""
    lines = [line_of(text) for text in read_markers(path)]
    if not lines or not isinstance(lines[0], Opening):
        raise ReplayError(
            f"{path}: is no recording of a session: it does not begin with which model played it"
        )
    return Recording(path, lines[0], tuple(lines[1:]))


def with_what_came_before(path: Path) -> list[Recording]:
    """Return a recording and those that it goes on from, oldest first."""
    recordings = [read_recording(path)]
    while (before := recordings[-1].opening.before) is not None:
        if any(isinstance(line, Recall) for line in recordings[-1].lines[:1]):
            break  # everything was told anew
        if len(recordings) == MOST_RECORDINGS:
            raise ReplayError(f"{path}: goes on from more than {MOST_RECORDINGS} recordings")
        try:
            recordings.append(read_recording(path.with_name(Path(before).name)))
        except MidiFileError as error:
            raise ReplayError(f"{path} goes on from {before}, which is needed: {error}") from None
    return recordings[::-1]


class Replay:
    """Tells a performer again what a journal has."""

    def __init__(self, performer: Performer, lines: Sequence[Line]) -> None:
        self._performer = performer
        self._messages = [line for line in lines if not isinstance(line, Opening | Took)]
        self._took = _took_by_turn(lines)

    def turns(self) -> Iterator[Replayed]:
        """Play; yield each turn when it is over."""
        turn: BeginTurn | None = None
        took: deque[int] = deque()
        planned: list[TimedEvent] = []
        chose = False  # which of its ways on it took depended on time
        for message in self._messages:
            if isinstance(message, BeginTurn | Steer) and message.parameters.candidates > 1:
                chose = True
            if turn is not None and isinstance(message, BeginTurn | Recall):
                yield _unfinished(turn, "it was broken off: the model had to be started anew")
                turn = None
            if isinstance(message, BeginTurn):
                turn, planned, chose = message, [], message.parameters.candidates > 1
                took = self._took.popleft()
            elif turn is not None:
                if not took:
                    yield _unfinished(turn, "the recording does not say how it went on")
                    return
                steps = took.popleft()
                planned += [] if chose else self._plan_until(steps)
            tell(self._performer, message)
            if turn is not None and isinstance(message, EndTurn):
                yield (
                    _unfinished(turn, "it chose among candidates as far as there was time")
                    if chose
                    else _compared(turn, planned, message.performed)
                )
                turn = None
        if turn is not None:
            yield _unfinished(turn, "the recording ends before it does")

    def _plan_until(self, steps: int) -> list[TimedEvent]:
        planned: list[TimedEvent] = []
        performer = self._performer
        while performer.steps < steps and performer.planned_until_s is not None:
            planned += performer.plan(float("inf"), most_tokens=1)
        return planned


def _took_by_turn(lines: Sequence[Line]) -> deque[deque[int]]:
    """Return for each turn, in order, after how many steps it took in what it was told.

    Numbers of turns begin anew with a stage that was started again.
    """
    turns: deque[deque[int]] = deque()
    latest: dict[int, deque[int]] = {}
    for line in lines:
        if isinstance(line, BeginTurn):
            latest[line.turn] = deque()
            turns.append(latest[line.turn])
        elif isinstance(line, Took) and line.turn in latest:
            latest[line.turn].append(line.steps)
    return turns


def _unfinished(turn: BeginTurn, why: str) -> Replayed:
    return Replayed(turn.turn, turn.parameters.seed, 0, why)


def _compared(
    turn: BeginTurn, planned: Sequence[TimedEvent], performed: Sequence[TimedEvent]
) -> Replayed:
    """Compare what is planned now with what left then; what is late or withdrawn did not leave."""
    left = [timed for timed in performed if isinstance(timed.event, NoteOn)]
    open_ones = [timed for timed in planned if isinstance(timed.event, NoteOn)]
    for number, sent in enumerate(left, start=1):
        same = next((each for each in open_ones if _is_that(each, sent)), None)
        if same is None:
            difference = _difference(turn, number, sent, open_ones)
            return Replayed(turn.turn, turn.parameters.seed, len(left), difference)
        open_ones.remove(same)
    return Replayed(turn.turn, turn.parameters.seed, len(left), None)


def _is_that(planned: TimedEvent, sent: TimedEvent) -> bool:
    late_s = sent.time_s - planned.time_s
    return planned.event == sent.event and -EARLY_S <= late_s <= LATE_S


def _difference(
    turn: BeginTurn, number: int, sent: TimedEvent, planned: Sequence[TimedEvent]
) -> str:
    near = min(planned, key=lambda each: abs(each.time_s - sent.time_s), default=None)
    now = "nothing" if near is None else _said(near, turn)
    return f"differs at note {number}: then {_said(sent, turn)}, now {now}"


def _said(timed: TimedEvent, turn: BeginTurn) -> str:
    assert isinstance(timed.event, NoteOn)
    note = timed.event
    return f"key {note.pitch} ({note.velocity}) after {timed.time_s - turn.start_s:.2f} s"


def replay(path: Path, settings: EngineSettings) -> int:
    """Play a session again and say, turn by turn, if it is the same; return the exit code.

    0: everything is the same; 1: something differs. Raises PerformerError where it cannot be tried.
    """
    recordings = with_what_came_before(path)
    opening = recordings[-1].opening
    precision = opening.precision if settings.precision == "auto" else settings.precision
    engine = Engine.open(
        Path(settings.model),
        precision=precision,
        provider=settings.provider,
        threads=settings.threads,
    )
    found = engine.manifest.checkpoint_sha256
    if found != opening.checkpoint_sha256:
        raise ReplayError(
            f"{path} was played by another model, {opening.model}"
            f" ({opening.checkpoint_sha256[:12]}); {settings.model} is {found[:12]}:"
            " name the right one with --model"
        )
    performer = Performer(engine, engine.manifest.architecture.context)
    if precision != opening.precision:
        _say(f"played in {opening.precision}, now in {precision}: small differences are likely")
    started_s, differing, turns = time.monotonic(), 0, 0
    for recording in recordings:
        for replayed in Replay(performer, recording.lines).turns():
            if recording.path != path:
                continue
            turns += 1
            differing += replayed.difference is not None
            told = replayed.difference or f"{replayed.notes} notes, the same"
            _say(f"turn {replayed.turn} (seed {replayed.seed}): {told}")
    took_s = time.monotonic() - started_s
    _say(f"{turns} turns, {differing} differ ({precision} on {engine.provider}, {took_s:.1f} s)")
    return 1 if differing else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
