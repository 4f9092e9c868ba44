"""A brain that improvises at random, and keeps the protocol that the real one keeps."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from daemon.messages.brain import (
    HAND_OVERS,
    BeginTurn,
    Conclude,
    EndTurn,
    FromBrain,
    Hear,
    PlanComplete,
    Planned,
    Recall,
    Return,
    Steer,
    ToBrain,
)
from perceivers.events import Event, NoteOff, NoteOn, Pedal, TimedEvent
from tests.support.simulation.time_line import TimeLine

LEAD_S = 0.3
LONGEST_TURN_S = 3.0
STALLS = 0.1  # the share of conclusions of which nothing is heard
CLUMSY = 0.05  # the share of strikes that do not care what sounds


class ProtocolError(AssertionError):
    """The stage said what makes no sense."""


@dataclass(slots=True)
class _Improvisation:
    begin: BeginTurn
    held: set[int]
    until_s: float
    now_s: float
    heard: list[TimedEvent] = field(default_factory=list)
    down: dict[int, float] = field(default_factory=dict)  # own keys, and when each comes up
    pedal: bool = False
    complete: bool = False
    number: int = 0  # of the plan
    concluding: bool = False
    planned: list[TimedEvent] = field(default_factory=list)


class ImprovisingBrain:
    """Hears, and plans a turn a little ahead of the clock. `say` speaks to the stage."""

    def __init__(
        self,
        line: TimeLine,
        rng: random.Random,
        say: Callable[[FromBrain], None],
        lead_s: float = LEAD_S,
    ) -> None:
        self.memory: list[TimedEvent] = []
        """What was heard by both, in order of time."""
        self.begun: list[BeginTurn] = []
        self._line = line
        self._rng = rng
        self._say = say
        self._lead_s = lead_s
        self._turn: _Improvisation | None = None
        self._hand_overs: list[list[TimedEvent]] = []  # what was heard before each turn
        self._alive = True

    @property
    def in_turn(self) -> bool:
        return self._turn is not None

    def die(self) -> None:
        self._alive = False

    def take(self, message: ToBrain) -> None:
        """Carry out what the stage says."""
        if not self._alive:
            return
        match message:
            case Hear(events):
                self._hear(events)
            case BeginTurn():
                self._begin(message)
            case Conclude(turn, from_s):
                self._conclude(turn, from_s)
            case EndTurn(turn, performed, heard):
                self._end(turn, [*performed, *heard])
            case Recall(history):
                self._turn = None
                self._hand_overs.clear()
                self.memory = list(history)
            case Return(turns, by_s):
                self._return_to(turns, by_s)
            case Steer():
                pass
            case _:
                raise ProtocolError(f"{message} is nothing that the brain knows")

    def _hear(self, events: tuple[TimedEvent, ...]) -> None:
        if self._turn is None:
            self.memory.extend(events)
            return
        self._turn.heard.extend(events)
        for _, event in events:
            if isinstance(event, NoteOff):
                self._turn.held.discard(event.pitch)
            elif isinstance(event, NoteOn):
                self._turn.held.add(event.pitch)
                self._turn.down.pop(event.pitch, None)

    def _return_to(self, turns: int, by_s: float) -> None:
        if self._turn is not None or not 1 <= turns <= len(self._hand_overs):
            raise ProtocolError(f"a return by {turns} turns, which is not possible")
        later = [
            [TimedEvent(time_s + by_s, event) for time_s, event in memory]
            for memory in self._hand_overs
        ]
        self._hand_overs, self.memory = later[:-turns], later[-turns]

    def _begin(self, begin: BeginTurn) -> None:
        if self._turn is not None:
            raise ProtocolError("a turn within a turn")
        self._hand_overs = [*self._hand_overs, [*self.memory]][-HAND_OVERS:]
        self.begun.append(begin)
        until_s = begin.start_s + self._rng.uniform(0.1, LONGEST_TURN_S)
        self._turn = _Improvisation(begin, set(begin.held), until_s, begin.start_s)
        self._plan_soon(self._turn, 0.0, 0.05)

    def _plan_soon(self, turn: _Improvisation, least_s: float, most_s: float) -> None:
        begin, number = turn.begin.turn, turn.number
        delay_s = self._rng.uniform(least_s, most_s)
        self._line.after(delay_s, lambda: self._plan(begin, number))

    def _conclude(self, number: int, from_s: float | None) -> None:
        turn = self._turn
        if turn is None or turn.begin.turn != number:
            raise ProtocolError(f"the conclusion of turn {number}, which is not under way")
        if turn.concluding:
            raise ProtocolError(f"turn {number} is concluded twice")
        turn.concluding = True
        if from_s is None:
            turn.until_s = min(turn.until_s, turn.now_s + self._rng.uniform(0.0, 2.0))
            return
        turn.number += 1
        turn.planned = [timed for timed in turn.planned if timed.time_s <= from_s]
        turn.down, turn.pedal = {}, False
        for timed in turn.planned:
            _keep_account(turn, timed.event)
        turn.now_s, turn.complete = from_s, False
        turn.until_s = from_s + self._rng.choice((0.0, 0.3, 1.0, 2.0))
        if self._rng.random() > STALLS:
            self._plan_soon(turn, 0.0, 0.05)

    def _end(self, number: int, happened: list[TimedEvent]) -> None:
        turn = self._turn
        if turn is None or turn.begin.turn != number:
            raise ProtocolError(f"the end of turn {number}, which is not under way")
        self._turn = None
        self.memory.extend(sorted([*turn.heard, *happened], key=lambda timed: timed.time_s))

    def _plan(self, begin: int, number: int) -> None:
        turn = self._turn
        if not self._alive or turn is None or (turn.begin.turn, turn.number) != (begin, number):
            return
        if turn.complete:
            return
        horizon_s = self._line.now_s + self._lead_s
        events: list[TimedEvent] = []
        while turn.now_s < min(horizon_s, turn.until_s):
            events += self._gesture(turn)
        if turn.now_s >= turn.until_s:
            turn.complete = True
            events += _let_go(turn)
        turn.planned += events
        for part in self._parts([*events]):
            self._say(Planned(begin, part, number))
        if turn.complete:
            self._say(PlanComplete(begin, "length", number))
        else:
            self._plan_soon(turn, 0.01, 0.1)

    def _parts(self, events: list[TimedEvent]) -> Iterator[tuple[TimedEvent, ...]]:
        """Cut a plan as chance has it."""
        while events:
            count = self._rng.randint(1, 6)
            yield tuple(events[:count])
            events = events[count:]

    def _gesture(self, turn: _Improvisation) -> list[TimedEvent]:
        """Return a chord or a move of the pedal, with what came up before it."""
        turn.now_s += self._rng.choice((0.0, 0.02, 0.1, 0.3, 0.7))
        events = [
            TimedEvent(turn.now_s, NoteOff(pitch))
            for pitch, up_s in turn.down.items()
            if up_s <= turn.now_s
        ]
        for _, event in events:
            assert isinstance(event, NoteOff)
            del turn.down[event.pitch]
        if turn.number:  # it concludes: nothing new
            return events
        if self._rng.random() < 0.15:
            turn.pedal = not turn.pedal
            return [*events, TimedEvent(turn.now_s, Pedal(turn.pedal))]
        for _ in range(self._rng.choice((1, 1, 1, 2, 4))):
            pitch = self._rng.randint(55, 75)
            is_clumsy = self._rng.random() < CLUMSY
            if (pitch not in turn.down or is_clumsy) and pitch not in turn.held:
                turn.down[pitch] = turn.now_s + self._rng.choice((0.05, 0.3, 1.0, 9.0))
                events.append(TimedEvent(turn.now_s, NoteOn(pitch, self._rng.randint(1, 127))))
        return events


def _keep_account(turn: _Improvisation, event: Event) -> None:
    match event:
        case NoteOn(pitch=pitch):
            turn.down[pitch] = 0.0
        case NoteOff(pitch=pitch):
            turn.down.pop(pitch, None)
        case Pedal(down=down):
            turn.pedal = down


def _let_go(turn: _Improvisation) -> list[TimedEvent]:
    events = [TimedEvent(turn.now_s, NoteOff(pitch)) for pitch in turn.down]
    if turn.pedal:
        events.append(TimedEvent(turn.now_s + 0.2, Pedal(False)))
    return events
