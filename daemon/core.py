"""The core of the stage: one thread and one inbox, through which everything that happens passes.

It lets the turns decide and carries out what they answer.
"""

import contextlib
import gc
import logging
import queue
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from daemon import descriptions
from daemon import turn_messages as t
from daemon.brain_link import BrainGone, BrainLink, FromBrainOf
from daemon.inbox import (
    Ask,
    AskInfo,
    AskState,
    End,
    FromInput,
    Inbox,
    InputPresent,
    Item,
    Question,
    ThreadFailed,
)
from daemon.input import Listener
from daemon.messages import BrainReady, PlanComplete, Planned, Pulse
from daemon.output import Output, OutputBack, OutputLost, Panicked, Report, Sent
from daemon.stage_messages import Beat, Forgot, FromStage, HandedBack, Happened, Ready
from daemon.turns import Turns
from perceivers.errors import PerformerError
from perceivers.events import TimedEvent

logger = logging.getLogger(__name__)

BEAT_S = 0.5
COLLECT_EVERY_S = 60.0
PLAYER, PERFORMER = "player", "performer"


class RefusedError(PerformerError):
    """A command cannot be carried out now."""


class BrainFailedError(PerformerError):
    """The model cannot be used."""


class Clock(Protocol):
    """The clock of the session."""

    def now_s(self) -> float:
        """Return the seconds since the start of the session."""

    def seconds(self, time_ns: int) -> float:
        """Return a moment of the monotonic clock as seconds of the session."""

    def nanoseconds(self, time_s: float) -> int:
        """Return seconds of the session as a moment of the monotonic clock."""


class World(Protocol):
    """Who listens to what the stage tells."""

    @property
    def addresses(self) -> tuple[str, str]:
        """Where commands are taken and where events are told."""

    def publish(self, topic: str, payload: Mapping[str, Any]) -> None:
        """Tell everybody; never wait."""


class Core:
    """Carries out what the turns decide. Everything here runs in the thread that calls `run`."""

    def __init__(
        self, turns: Turns, clock: Clock, inbox: Inbox, listener: Listener, output: Output
    ) -> None:
        self.turns = turns
        self._clock = clock
        self._inbox = inbox
        self._listener = listener
        self._output = output
        self._model: BrainReady | None = None
        self._pulse: Pulse | None = None
        self._panicking: list[Question] = []
        self._ended = False
        self._beat_at_s = 0.0
        self._collect_at_s = 0.0

    def run(self, brain: BrainLink, world: World, report: Callable[[FromStage], None]) -> None:
        """Work until told to end. `report` tells the supervisor."""
        self._brain = brain
        self._world = world
        self._report = report
        brain.start(self._clock.now_s())
        while not self._ended:
            with contextlib.suppress(queue.Empty):
                self._take(self._inbox.get(timeout=self._wait_s()))
            if self._inbox.empty():  # otherwise the brain's word may be waiting there
                self._keep_watch()
            self._keep_time()

    def drain(self) -> None:
        """Report what was sent after the end, when every other thread has ended."""
        with contextlib.suppress(queue.Empty):
            while True:
                item = self._inbox.get_nowait()
                if isinstance(item, Sent):
                    self._output_reported(item)

    def _wait_s(self) -> float:
        deadline_s = self.turns.next_deadline_s
        if deadline_s is None:
            return BEAT_S
        return min(BEAT_S, max(0.0, deadline_s - self._clock.now_s()))

    def _keep_watch(self) -> None:
        """Look after the brain."""
        gone = self._brain.check(self._clock.now_s())
        if gone is not None:
            self._brain_gone(gone)

    def _keep_time(self) -> None:
        now_s = self._clock.now_s()
        self._happened(t.Tick())
        if now_s >= self._beat_at_s:
            self._beat_at_s = now_s + BEAT_S
            self._report(Beat())
            lateness_ms = tuple(self._output.lateness_ms)
            metrics = descriptions.metrics(self.turns, self._pulse, lateness_ms, self._counts())
            self._world.publish("metrics", metrics)
        is_quiet = self.turns.state in (t.State.LISTENING, t.State.DEGRADED)
        if is_quiet and now_s >= self._collect_at_s:
            self._collect_at_s = now_s + COLLECT_EVERY_S
            gc.collect()

    def _take(self, item: Item) -> None:
        match item:
            case FromInput() | InputPresent():
                self._input_reported(item)
            case Sent() | t.Released() | Panicked() | OutputLost() | OutputBack():
                self._output_reported(item)
            case FromBrainOf():
                self._brain_reported(item)
            case Ask() | AskState() | AskInfo():
                self._asked(item)
            case ThreadFailed(name, error):
                logger.error("the %s thread has failed", name)
                raise error
            case End(reason):
                logger.info("ending: %s", reason)
                self._happened(t.Shutdown())
                self._ended = True

    def _input_reported(self, report: FromInput | InputPresent) -> None:
        if isinstance(report, InputPresent):
            reason = f"MIDI input {self._listener.port.name!r} is gone"
            part = t.Part.INPUT
            self._happened(t.Back(part) if report.present else t.Lost(part, reason))
        elif isinstance(report.played, t.LetGo):
            self._happened(report.played)
        else:
            timed = TimedEvent(self._clock.seconds(report.time_ns), report.played)
            self._happened(t.Heard(timed))
            self._tell_played(PLAYER, timed)

    def _output_reported(self, report: Report) -> None:
        match report:
            case Sent(time_ns, event):
                timed = TimedEvent(self._clock.seconds(time_ns), event)
                self._happened(t.Performed(timed))
                self._tell_played(PERFORMER, timed)
            case t.Released():
                self._happened(report)
            case Panicked():
                for question in self._panicking:
                    question.reply.put(descriptions.state(self.turns))
                self._panicking.clear()
            case OutputLost(reason):
                self._happened(t.Lost(t.Part.OUTPUT, reason))
            case OutputBack():
                self._happened(t.Back(t.Part.OUTPUT))

    def _tell_played(self, part: str, timed: TimedEvent) -> None:
        self._report(Happened(part, timed))
        self._world.publish("note", descriptions.played(part, timed))

    def _brain_reported(self, report: FromBrainOf) -> None:
        said = self._brain.receive(report, self._clock.now_s())
        match said:
            case BrainReady():
                self._model = said
                self._happened(t.Back(t.Part.MODEL))
                lines = descriptions.ready_lines(said, self._ports(), self._world.addresses)
                self._report(Ready(tuple(lines)))
            case Planned() | PlanComplete():
                self._happened(said)
            case Pulse():
                self._pulse = said
            case BrainGone():
                self._brain_gone(said)

    def _brain_gone(self, gone: BrainGone) -> None:
        if self._model is None:  # it never worked: the user has to mend something
            raise BrainFailedError(gone.reason)
        logger.error("%s", gone.reason)
        self._pulse = None
        self._happened(t.Lost(t.Part.MODEL, gone.reason))
        if not gone.for_good:
            self._brain.start(self._clock.now_s())

    def _asked(self, question: Question) -> None:
        match question:
            case AskState():
                question.reply.put(descriptions.state(self.turns))
            case AskInfo():
                info = descriptions.info(self._model, self._ports(), self._counts())
                question.reply.put(info)
            case Ask(command):
                self._carry_out(command, question)

    def _carry_out(self, command: t.Input, question: Ask) -> None:
        refused = self._happened(command)
        if isinstance(command, t.Reset):
            self._report(Forgot())
        if isinstance(command, t.Panic):
            self._panicking.append(question)  # answered when its messages have left
        else:
            question.reply.put(refused or descriptions.state(self.turns))

    def _happened(self, happened: t.Input) -> PerformerError | None:
        """Let the turns decide, and do it; return why they refused, if they did."""
        refused = None
        for action in self.turns.handle(happened, self._clock.now_s()):
            if isinstance(action, t.Refuse):
                refused = RefusedError(action.reason)
            elif isinstance(action, t.Enter | t.TurnEnded):
                self._tell(action)
            else:
                self._do(action)
        return refused

    def _do(self, action: t.Action) -> None:
        match action:
            case t.Tell(message):
                self._brain.say(message)
            case t.Play(events, channel):
                nanoseconds = self._clock.nanoseconds
                self._output.play([(nanoseconds(at_s), event) for at_s, event in events], channel)
            case t.Hold(pitches):
                self._output.hold(pitches)
            case t.Release():
                self._output.release()
            case t.ReleaseAfterPlan():
                self._output.finish()
            case t.SilenceAll():
                self._output.panic()

    def _tell(self, action: t.Enter | t.TurnEnded) -> None:
        if isinstance(action, t.Enter):
            logger.info("%s (%s)", action.state, action.reason)
            told = {"state": action.state.value, "reason": action.reason}
            self._world.publish("state", told)
        else:
            logger.info("turn %d: %d notes, %s", action.turn, action.notes, action.reason)
            self._world.publish("turn", descriptions.turn_ended(action))
            self._report(HandedBack())

    def _ports(self) -> tuple[str, str]:
        return self._listener.port.name, self._output.port.name

    def _counts(self) -> dict[str, int]:
        """Return what was not heard and what was not sent, by reason."""
        heard = self._listener.parser.counts | {"echoes": self._listener.echoes}
        return {f"input_{reason}": count for reason, count in heard.items()} | {
            f"output_{reason}": count for reason, count in self._output.counts.items()
        }
