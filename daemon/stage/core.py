"""The core of the stage: one thread and one inbox, through which everything that happens passes.

It lets the turns decide and carries out what they answer.
"""

import contextlib
import gc
import logging
import math
import queue
from collections.abc import Callable, Sequence

from daemon.control.commands import Answers
from daemon.control.mapping_file import MappingFile
from daemon.control.replies import changed
from daemon.messages import turns as t
from daemon.messages.brain import (
    BrainFailed,
    BrainReady,
    FromBrain,
    PlanComplete,
    Planned,
    Pulse,
    ToBrain,
    Took,
)
from daemon.messages.stage import (
    Beat,
    Captured,
    Forgot,
    FromStage,
    HandedBack,
    Happened,
    Noted,
    PlayedBy,
    Ready,
)
from daemon.midi.listener import Listener
from daemon.midi.output import Output
from daemon.midi.reports import OutputBack, OutputLost, Panicked, Report, Sent
from daemon.stage import descriptions
from daemon.stage.answering import Answering
from daemon.stage.brain_link import BrainLink, BrainOver
from daemon.stage.inbox import Asked, End, FromInput, Inbox, Item, ThreadFailed
from daemon.stage.instrument import Instrument
from daemon.stage.learnt import Learnt
from daemon.stage.players import Players
from daemon.stage.surroundings import Clock, World, switch_of
from daemon.stage.turns import Turns
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


class Core:
    """Carries out what the turns decide. Everything here runs in the thread that calls `run`."""

    def __init__(
        self,
        turns: Turns,
        clock: Clock,
        inbox: Inbox,
        listener: Listener,
        output: Output,
        mapping_file: MappingFile,
    ) -> None:
        self.turns = turns
        self._clock = clock
        self._inbox = inbox
        self._listener = listener
        self._learnt = Learnt(mapping_file, lambda: listener.parser)
        self._players = Players()
        self._output = output
        self._instrument = Instrument(output, clock)
        self._answering = Answering(turns, clock, listener, output, self._players, self._learnt)
        self._pulse: Pulse | None = None
        self._silencing: list[Asked] = []  # answered when every channel was told to be silent
        self.has_ended = False
        """Whether all is done."""
        self._brain_at_s = math.inf  # when another is to be started
        self._beat_at_s = 0.0
        self._collect_at_s = 0.0

    def run(self, brain: BrainLink, world: World, report: Callable[[FromStage], None]) -> None:
        """Work until told to end. `report` tells the supervisor."""
        self.begin(brain, world, report)
        while not self.has_ended:
            with contextlib.suppress(queue.Empty):
                self.take(self._inbox.get(timeout=self._wait_s()))
            if self._inbox.empty():  # otherwise the brain's word may be waiting there
                self.keep_watch()
            self.keep_time()

    def begin(self, brain: BrainLink, world: World, report: Callable[[FromStage], None]) -> None:
        """Start the brain."""
        self._brain = brain
        self._world = world
        self._report = report
        self._listener.parser.switch = switch_of(self.turns.parameters)
        now_s = self._clock.now_s()
        self._collect_at_s = now_s + COLLECT_EVERY_S
        brain.start(now_s)

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

    def keep_watch(self) -> None:
        """Look after the brain."""
        silent = self._brain.watch(self._clock.now_s())
        if silent is not None:
            self._happened(t.Lost(t.Part.MODEL, silent))

    def keep_time(self) -> None:
        """Do what is due by now."""
        self._start_brain_if_due()
        now_s = self._clock.now_s()
        self._clients_play(self._players.lapsed(now_s))
        self._happened(t.Tick())
        if now_s >= self._beat_at_s:
            self._beat_at_s = now_s + BEAT_S
            self._report(Beat())
            lateness_ms = tuple(self._output.lateness_ms)
            metrics = descriptions.metrics(
                self.turns, self._pulse, lateness_ms, self._answering.counts
            )
            self._world.publish("metrics", metrics)
        is_quiet = self.turns.state in (t.State.LISTENING, t.State.DEGRADED)
        if is_quiet and now_s >= self._collect_at_s:
            self._collect_at_s = now_s + COLLECT_EVERY_S
            gc.collect()

    def take(self, item: Item) -> None:
        """See to what has come in."""
        match item:
            case t.Heard() | t.LetGo() | t.Lost() | t.Back() | t.Clocked():
                self._input_said(item)
            case t.Switched() | t.Moved() | t.ProgramChanged():
                self._input_said(item)
            case Sent() | t.Released() | Panicked() | OutputLost() | OutputBack():
                self._output_reported(item)
            case BrainReady() | Planned() | PlanComplete() | Took() | Pulse() | BrainFailed():
                self._brain.heard(item, self._clock.now_s())
                self._brain_said(item)
            case BrainOver():
                self._brain_over()
            case Asked():
                self._asked(item)
            case ThreadFailed() | End():
                self._ended(item)

    def _input_said(self, item: FromInput) -> None:
        match item:
            case t.Heard(timed):
                heard = self._players.at_port(timed)
                self._heard([] if heard is None else [heard])
            case t.LetGo() | t.Lost(t.Part.INPUT):
                self._happened(item)  # the turns lift the hands themselves
                self._instrument.player_is_gone()
                for timed in self._players.all_lifted(self._clock.now_s()):
                    self._tell_played(PLAYER, timed)
            case t.Moved(control, place):
                parameters, publish = self.turns.parameters, self._world.publish
                self._instrument.moved(control, place)
                for commanded in self._learnt.moved(control, place, parameters, publish):
                    self._happened(commanded)
            case _:
                self._happened(item)

    def _ended(self, item: ThreadFailed | End) -> None:
        match item:
            case ThreadFailed(name, error):
                logger.error("the %s thread has failed", name)
                raise error
            case End(reason):
                logger.info("ending: %s", reason)
                self._happened(t.Shutdown())

    def _output_reported(self, report: Report) -> None:
        match report:
            case Sent(time_ns, event):
                timed = TimedEvent(self._clock.seconds(time_ns), event)
                self._happened(t.Performed(timed))
                self._tell_played(PERFORMER, timed)
            case t.Released():
                self._happened(report)
            case Panicked():
                for asked in self._silencing:
                    self._reply(asked)
                self._silencing.clear()
            case OutputLost(reason):
                self._happened(t.Lost(t.Part.OUTPUT, reason))
            case OutputBack():
                self._instrument.plugged_in()
                self._let_instrument_follow()
                self._happened(t.Back(t.Part.OUTPUT))

    def _heard(self, played: Sequence[TimedEvent]) -> None:
        for timed in played:
            self._happened(t.Heard(timed))
            self._tell_played(PLAYER, timed)

    def _clients_play(self, played: Sequence[TimedEvent]) -> None:
        self._heard(played)
        for timed in played:
            self._instrument.pass_on(timed.event, self.turns.parameters.channel - 1)

    def _let_instrument_follow(self) -> None:
        parameters, state = self.turns.parameters, self.turns.state
        assignments = self._learnt.assignments
        self._listener.passes = self._instrument.follows(parameters, state, assignments)

    def _tell_played(self, part: str, timed: TimedEvent) -> None:
        self._report(Happened(part, timed))
        self._world.publish("note", descriptions.played(part, timed))

    def _brain_said(self, said: FromBrain) -> None:
        match said:
            case BrainReady():
                self._answering.model = said
                self._report(PlayedBy(descriptions.opening(said)))
                self._happened(t.Back(t.Part.MODEL))
                lines = descriptions.ready_lines(said, self._answering.ports, self._world.addresses)
                self._report(Ready(tuple(lines)))
            case Planned() | PlanComplete():
                self._happened(said)
            case Took():
                self._report(Noted(self._clock.now_s(), said))
            case Pulse():
                self._pulse = said

    def _brain_over(self) -> None:
        now_s = self._clock.now_s()
        gone = self._brain.over(now_s)
        if self._answering.model is None:  # it never worked: the user has to mend something
            raise BrainFailedError(gone.reason)
        logger.error("%s", gone.reason)
        self._pulse = None
        self._happened(t.Lost(t.Part.MODEL, gone.reason))
        self._brain_at_s = now_s + gone.rests_s
        self._start_brain_if_due()

    def _start_brain_if_due(self) -> None:
        now_s = self._clock.now_s()
        if now_s >= self._brain_at_s:
            self._brain_at_s = math.inf
            self._brain.start(now_s)

    def _asked(self, asked: Asked) -> None:
        request = asked.request
        self._players.asked(request.client, self._clock.now_s())
        if request.command.answers is Answers.HELD:
            self._play(asked)
            return
        command = request.happening()
        actions = [] if command is None else self._happened(command)
        refused = [action.reason for action in actions if isinstance(action, t.Refuse)]
        if refused:
            asked.reply.put(RefusedError(refused[0]))
        elif t.SilenceAll() in actions:
            self._silencing.append(asked)
        else:
            self._reply(asked, actions)

    def _play(self, asked: Asked) -> None:
        """Let a client be the player; refused, it has played nothing."""
        request, now_s = asked.request, self._clock.now_s()
        now_ns = self._clock.nanoseconds(now_s)
        events = [
            played
            for played in request.values["events"]
            if not self._listener.is_echo(played.event, now_ns)
        ]
        try:
            played = self._players.by_client(request.client, events, now_s)
        except PerformerError as error:
            asked.reply.put(error)
            return
        self._clients_play(played)
        self._reply(asked)

    def _reply(self, asked: Asked, actions: Sequence[t.Action] = ()) -> None:
        asked.reply.put(self._answering.outcome(asked.request, self._world.publish, actions))

    def _happened(self, happened: t.Occurrence) -> list[t.Action]:
        """Let the turns decide, and do it; return what they decided."""
        actions = self.turns.handle(happened, self._clock.now_s())
        for action in actions:
            self._do(action)
        withdrawn = descriptions.withdrawn(self.turns.turn, actions)
        if withdrawn is not None:
            self._world.publish("withdrawn", withdrawn)
        return actions

    def _do(self, action: t.Action) -> None:
        if isinstance(action, ToBrain):
            self._brain.say(action)
            self._report(Noted(self._clock.now_s(), action))
            return
        if isinstance(action, t.Enter | t.TurnEnded | t.Changed | t.Forget | t.Keep):
            self._tell(action)
        elif not isinstance(action, t.Refuse):
            self._instrument.do(action)
            if isinstance(action, t.Play):
                told = descriptions.planned(self.turns.turn, action.events)
                self._world.publish("planned", told)

    def _tell(self, action: t.Enter | t.TurnEnded | t.Changed | t.Forget | t.Keep) -> None:
        match action:
            case t.Enter(state, reason):
                logger.info("%s (%s)", state, reason)
                self._world.publish("state", {"state": state.value, "reason": reason})
                self._let_instrument_follow()
                self.has_ended = self.has_ended or state is t.State.STOPPING
            case t.TurnEnded(turn, reason, notes):
                logger.info("turn %d: %d notes, %s", turn, notes, reason)
                self._world.publish("turn", descriptions.turn_ended(action))
                self._report(HandedBack())
            case t.Changed(names):
                self._listener.parser.switch = switch_of(self.turns.parameters)
                self._let_instrument_follow()
                self._world.publish("parameters", changed(self.turns.parameters, names))
            case t.Forget(history):
                self._report(Forgot(history))
            case t.Keep(name, last_s):
                self._report(Captured(name, last_s))
