"""The stage without threads, sockets and real ports: turns, listener and sending, as they are."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from daemon.control.mapping import Assignment, Mappings
from daemon.control.mapping_file import MappingFile
from daemon.control.played import PlayedEvent
from daemon.messages import turns as t
from daemon.messages.brain import FromBrain, PlanComplete, Planned, ToBrain
from daemon.messages.turns import ControlKind
from daemon.midi.footprint import FOOTPRINT_SIZE
from daemon.midi.latency import NONE, Latency
from daemon.midi.listener import Listener
from daemon.midi.loop_guard import LoopGuard
from daemon.midi.ports import SendError
from daemon.midi.reports import (
    OutputBack,
    OutputLost,
    Panicked,
    Report,
    Sent,
)
from daemon.midi.schedule import Schedule
from daemon.midi.sending import Sending
from daemon.parameters import Parameters
from daemon.stage.instrument import Instrument
from daemon.stage.learnt import Learnt
from daemon.stage.past import HISTORY_EVENTS
from daemon.stage.players import Players
from daemon.stage.surroundings import switch_of
from daemon.stage.turns import Turns
from perceivers.events import Event, NoteOn, TimedEvent
from tests.support.midi_ports import ScriptedInput
from tests.support.simulation.brain import LEAD_S, ImprovisingBrain
from tests.support.simulation.laws import Witness
from tests.support.simulation.time_line import NS_PER_S, Lane, TimeLine

MS = 1_000_000
LATE_AFTER_MS = 100
GUARD_MS = 30
INSTRUMENTS = (
    *(NONE, NONE),
    Latency(120 * MS),
    Latency(20 * MS, ((1, 80 * MS), (127, 0))),
)
RETRY_S = 0.5
THREAD_S = 0.002  # what waits for a thread waits no longer than this
HICCUP = 0.002  # the share of wake-ups that come much too late
HICCUP_S = 0.2
CLIENT = "client"


@dataclass(slots=True)
class Wire:
    """The output port: what it is sent, the witness sees, and some of it comes back."""

    line: TimeLine
    witness: Witness
    hear_again: Callable[[bytes], None]
    name: str = "wire"
    plugged: bool = True
    is_loop: bool = False

    def send(self, message: bytes) -> None:
        if not self.plugged:
            self.witness.refused(message)
            raise SendError("unplugged")
        self.witness.on_wire(message, self.line.now_s)
        if self.is_loop:
            self.hear_again(message)

    def is_present(self) -> bool:
        return self.plugged

    def reopen(self) -> bool:
        return self.plugged

    def close(self) -> None: ...


@dataclass(slots=True)
class Kept:
    """What outlives a stage: its parameters, the footprint, and what the supervisor was told."""

    parameters: Parameters
    history: deque[TimedEvent] = field(default_factory=lambda: deque(maxlen=HISTORY_EVENTS))
    footprint: bytearray = field(default_factory=lambda: bytearray(FOOTPRINT_SIZE))


@dataclass(slots=True)
class SimulatedClock:
    """The clock of the session, which is that of the line of time."""

    line: TimeLine

    def now_s(self) -> float:
        return self.line.now_s

    def seconds(self, time_ns: int) -> float:
        return time_ns / NS_PER_S

    def nanoseconds(self, time_s: float) -> int:
        return round(time_s * NS_PER_S)


class LearntBefore(MappingFile):
    """What controllers and keys have learnt, without a file."""

    def __init__(self) -> None:
        super().__init__(None)

    def read(self) -> Mappings:
        return Mappings(
            [
                Assignment(ControlKind.CONTROLLER, 20, "temperature"),
                Assignment(ControlKind.CONTROLLER, 21, "hand_back"),
                Assignment(ControlKind.CONTROLLER, 22, "perform"),
                Assignment(ControlKind.CONTROLLER, 22, "stop"),
                Assignment(ControlKind.KEY, 100, "another_take"),
            ]
        )


class SimulatedStage:
    """Lets what happens pass through one inbox, lets the turns decide, and does what they answer.

    It does what `daemon.stage.core` and the threads around it do.
    """

    make_turns = staticmethod(Turns)
    make_schedule = staticmethod(Schedule)
    make_guard = staticmethod(LoopGuard)
    make_listener = staticmethod(Listener)
    make_instrument = staticmethod(Instrument)

    def __init__(self, line: TimeLine, rng: random.Random, witness: Witness, kept: Kept) -> None:
        self.line = line
        self._rng = rng
        self._witness = witness
        self._kept = kept
        self._core = Lane(line, rng, THREAD_S)
        self._input_port = ScriptedInput()
        self._last_put_ns = 0
        self._players = Players()
        guard = self.make_guard(GUARD_MS * MS)
        self.wire = Wire(line, witness, self._hear_again)
        self._listener = self.make_listener(self._input_port, guard, pass_on=self._pass_on)
        history = sorted(kept.history, key=lambda timed: timed.time_s)
        self._learnt = Learnt(LearntBefore(), lambda: self._listener.parser)
        self._latency = rng.choice(INSTRUMENTS)
        most_ns = self._latency.of(NoteOn(60, 1))
        self._latency_s = most_ns / NS_PER_S
        schedule = self.make_schedule(LATE_AFTER_MS * MS, self._latency)
        first_seed = rng.randrange(2**31)
        self.turns = self.make_turns(
            kept.parameters, history, first_seed=first_seed, latency_s=self._latency_s
        )
        self.sending = Sending(
            self.wire, schedule, guard, self._report, kept.footprint, lambda: line.now_ns
        )
        self.alive = True
        self._back_s = 0.0  # what comes back by a loop, last of all
        self._work_at_ns: int | None = None
        self._tick_at_s: float | None = None
        self._panicking: list[Callable[[], None]] = []
        self.brain: ImprovisingBrain | None = None
        self._pipe = Lane(line, rng, THREAD_S)
        self._instrument = self.make_instrument(self.sending, SimulatedClock(line))
        witness.watch(self.turns, self.sending, self._latency)
        self.sending.take_over()
        self._see_to_output()

    # What reaches the stage.

    def receive(self, message: bytes) -> None:
        """A MIDI message comes in."""
        delta_ns = self.line.now_ns - self._last_put_ns
        self._last_put_ns = self.line.now_ns
        self._input_port.waiting.append((message, delta_ns / NS_PER_S))
        self.line.after(self._rng.random() * THREAD_S, self._poll)

    def play_as_client(self, event: Event) -> None:
        """A client plays, as by the command `play`."""
        self._core.hand(lambda: self._client_plays(event))

    def _client_plays(self, event: Event) -> None:
        if not self._listener.is_echo(event, self.line.now_ns):
            for timed in self._players.by_client(CLIENT, [PlayedEvent(event)], self.line.now_s):
                self._handle(t.Heard(timed))

    def command(self, command: t.Occurrence, done: Callable[[], None]) -> None:
        """Somebody asks for something; `done` is called when it is answered."""
        self._core.hand(lambda: self._carry_out(command, done))

    def input_present(self, present: bool) -> None:
        if not present:
            self._input_port.waiting.clear()
            self._listener.lost()
        part = t.Part.INPUT
        self._hand(t.Back(part) if present else t.Lost(part, "the input is gone"))

    def start_brain(self) -> None:
        """Let a new brain be ready, if there is none."""
        self._core.hand(self._brain_ready)

    def _brain_ready(self) -> None:
        if self.brain is None and self.alive:
            brain = ImprovisingBrain(
                self.line,
                self._rng,
                lambda said: self._brain_said(brain, said),
                LEAD_S + self._latency_s,
            )
            self.brain = brain
            self._pipe = Lane(self.line, self._rng, THREAD_S)
            self._handle(t.Back(t.Part.MODEL))

    def lose_brain(self) -> None:
        """The brain dies; a moment later the core sees it."""
        if self.brain is not None:
            self.brain.die()
            self._core.hand(self._brain_gone)

    def _brain_gone(self) -> None:
        self.brain = None
        self._handle(t.Lost(t.Part.MODEL, "the brain has died"))

    def beat(self) -> None:
        """Nothing has happened for a while. Who plays as a client is there all the time."""
        self._players.asked(CLIENT, self.line.now_s)
        assert self._players.lapsed(self.line.now_s) == []
        self._hand(t.Tick())

    def kill(self) -> None:
        """Nothing that it had in mind happens any more."""
        self.alive = False
        if self.brain is not None:
            self.brain.die()

    def _hear_again(self, message: bytes) -> None:
        """A loop brings a message back, after all that it brought before."""
        back_s = self.line.now_s + self._rng.uniform(0.0, 0.02)
        self._back_s = max(self._back_s, back_s)
        self.line.at(round(self._back_s * NS_PER_S), lambda: self.receive(message))

    def _poll(self) -> None:
        while self.alive and (taken := self._listener.take(self.line.now_ns)) is not None:
            time_ns, played = taken
            if isinstance(played, t.LetGo):
                self._hand(played)
            elif isinstance(played, t.Moved):
                self._core.hand(lambda moved=played: self._move(moved))
            elif isinstance(played, t.Switched | t.ProgramChanged | t.Clocked):
                self._hand(replace(played, at_s=time_ns / NS_PER_S))
            else:
                timed = TimedEvent(time_ns / NS_PER_S, played)
                self._core.hand(lambda timed=timed: self._port_plays(timed))

    def _pass_on(self, message: bytes) -> None:  # to what does not exist yet when this is named
        self.sending.pass_on(message)

    def _move(self, moved: t.Moved) -> None:
        self._instrument.moved(moved.control, moved.place)
        parameters, nobody = self.turns.parameters, lambda topic, told: None
        for commanded in self._learnt.moved(moved.control, moved.place, parameters, nobody):
            self._handle(commanded)

    def _port_plays(self, timed: TimedEvent) -> None:
        heard = self._players.at_port(timed)
        if heard is not None:
            self._handle(t.Heard(heard))

    def _brain_said(self, brain: ImprovisingBrain, said: FromBrain) -> None:
        assert isinstance(said, Planned | PlanComplete)
        if brain is self.brain:  # the link forgets what a brain of the past says
            self._core.hand(lambda: self._handle(said) if brain is self.brain else None)

    def _report(self, report: Report) -> None:
        match report:
            case Sent(time_ns, event):
                self._hand(t.Performed(TimedEvent(time_ns / NS_PER_S, event)))
            case t.Released():
                self._hand(report)
            case Panicked():
                self._core.hand(self._panicked)
            case OutputLost(reason):
                self._hand(t.Lost(t.Part.OUTPUT, reason))
            case OutputBack():
                self._core.hand(self._output_back)

    def _output_back(self) -> None:
        self._instrument.plugged_in()
        self._let_instrument_follow()
        self._handle(t.Back(t.Part.OUTPUT))

    def _let_instrument_follow(self) -> None:
        parameters, state = self.turns.parameters, self.turns.state
        self._instrument.follows(parameters, state, self._learnt.assignments)

    def _panicked(self) -> None:
        for done in self._panicking:
            done()
        self._panicking.clear()

    # What the core does.

    def _hand(self, happened: t.Occurrence) -> None:
        self._core.hand(lambda: self._handle(happened))

    def _carry_out(self, command: t.Occurrence, done: Callable[[], None]) -> None:
        if not self.alive:
            return
        actions = self._handle(command)
        if t.SilenceAll() in actions:
            self._panicking.append(done)
        else:
            done()

    def _handle(self, happened: t.Occurrence) -> list[t.Action]:
        if not self.alive:
            return []
        if isinstance(happened, t.Heard | t.Performed):  # the supervisor knows, as from the core
            self._kept.history.append(happened.event)
        actions = self._happen(happened)
        match happened:
            case t.LetGo() | t.Lost(t.Part.INPUT):  # the turns have lifted the hands themselves
                self._instrument.player_is_gone()
                self._kept.history.extend(self._players.all_lifted(self.line.now_s))
        self._happen(t.Tick())
        self._see_to_deadline()
        return actions

    def _happen(self, happened: t.Occurrence) -> list[t.Action]:
        now_s = self.line.now_s
        self._witness.before(happened, now_s)
        actions = self.turns.handle(happened, now_s)
        self._kept.parameters = self.turns.parameters
        self._listener.parser.switch = switch_of(self.turns.parameters)
        self._witness.decided(happened, actions, now_s)
        for action in actions:
            self._do(action)
        self._witness.after(now_s, self.brain, quiet=self.is_quiet)
        return actions

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is under way between the threads."""
        return not self._core.waiting and not self._pipe.waiting

    def _do(self, action: t.Action) -> None:
        brain = self.brain
        if isinstance(action, ToBrain):
            if brain is not None:
                self._pipe.hand(lambda: brain.take(action))
        elif isinstance(action, t.Forget):
            self._kept.history = deque(action.history, maxlen=HISTORY_EVENTS)
        elif isinstance(action, t.Enter | t.Changed):
            self._let_instrument_follow()
        elif isinstance(action, t.ToOutput):
            self._instrument.do(action)
        self.line.after(self._wake_s(), self._work)

    def _see_to_deadline(self) -> None:
        deadline_s = self.turns.next_deadline_s
        if deadline_s is not None and deadline_s != self._tick_at_s:
            self._tick_at_s = deadline_s
            self.line.at(round(deadline_s * NS_PER_S) + 1, lambda: self._handle(t.Tick()))

    # What the output thread does.

    def _wake_s(self) -> float:
        if self._rng.random() < HICCUP:
            return self._rng.random() * HICCUP_S
        return self._rng.random() * 0.001

    def _work(self) -> None:
        if self.alive:
            self.sending.work()
            self._see_to_output()

    def _see_to_output(self) -> None:
        """Wake the output thread when the next thing is due."""
        if self.sending.lost:
            due_ns: int | None = self.line.now_ns + round(RETRY_S * NS_PER_S)
        else:
            due_ns = self.sending.next_due_ns()
        if due_ns is None or (self._work_at_ns is not None and self._work_at_ns <= due_ns):
            return
        self._work_at_ns = due_ns
        wake_ns = round(self._wake_s() * NS_PER_S)
        self.line.at(due_ns + wake_ns, self._woken)

    def _woken(self) -> None:
        self._work_at_ns = None
        self._work()

    def leave(self) -> None:
        """End, as the daemon does: turns, then the output."""
        self._handle(t.Shutdown())
        self.sending.leave()
        self.sending.work()
        self.sending.tell_all()
        self.alive = False
