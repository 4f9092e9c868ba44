"""The stage without threads and processes: its core, moved on by hand, and a clock that stands.

What a player does comes in as bytes, what leaves is seen as bytes; the brain is what a test says.
"""

import queue
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon.control.commands import COMMANDS, Result
from daemon.control.mapping_file import MappingFile
from daemon.control.requests import Request
from daemon.messages.brain import BrainReady, FromBrain, ToBrain
from daemon.messages.stage import FromStage
from daemon.midi.footprint import FOOTPRINT_SIZE
from daemon.midi.latency import NONE, Latency
from daemon.midi.listener import Listener
from daemon.midi.loop_guard import LoopGuard
from daemon.midi.schedule import Schedule
from daemon.midi.sending import Sending
from daemon.parameters import Parameters
from daemon.stage.brain_link import BrainGone, BrainOver
from daemon.stage.core import Core
from daemon.stage.inbox import Asked, Inbox, Item, playing_into, presence_into
from daemon.stage.turns import Turns
from perceivers.errors import PerformerError
from tests.support.midi_ports import RecordingOutput, ScriptedInput

NS_PER_S = 1_000_000_000
READY = BrainReady("model", "script", "none", 1.0, 1024, 0.5, 0.1)


class StandingClock:
    """Seconds of the session, which pass when a test lets them."""

    def __init__(self) -> None:
        self.time_ns = 0

    def now_s(self) -> float:
        return self.seconds(self.time_ns)

    def seconds(self, time_ns: int) -> float:
        return time_ns / NS_PER_S

    def nanoseconds(self, time_s: float) -> int:
        return round(time_s * NS_PER_S)


class ScriptedBrain:
    """The link to a brain: it keeps what it is told, and ends as a test says."""

    def __init__(self) -> None:
        self.told: list[ToBrain] = []
        self.heard_of: list[FromBrain] = []
        self.starts = 0
        self.silent: str | None = None
        self.gone = BrainGone("the brain is over")

    def start(self, now_s: float) -> None:
        self.starts += 1

    def say(self, message: ToBrain) -> None:
        self.told.append(message)

    def heard(self, said: FromBrain, now_s: float) -> None:
        self.heard_of.append(said)

    def watch(self, now_s: float) -> str | None:
        silent, self.silent = self.silent, None
        return silent

    def over(self, now_s: float) -> BrainGone:
        return self.gone


class Audience:
    """The world, which writes down what it is told."""

    addresses = ("commands", "events")

    def __init__(self) -> None:
        self.events: list[tuple[str, Mapping[str, Any]]] = []

    def publish(self, topic: str, payload: Mapping[str, Any]) -> None:
        self.events.append((topic, payload))

    def of(self, topic: str) -> list[Mapping[str, Any]]:
        return [payload for name, payload in self.events if name == topic]


class OutputByHand(Sending):
    """An output that sends when it is told to work, not by a thread of its own."""

    def __init__(
        self,
        port: RecordingOutput,
        guard: LoopGuard,
        inbox: Inbox,
        clock: StandingClock,
        latency: Latency,
    ) -> None:
        footprint = bytearray(FOOTPRINT_SIZE)
        schedule = Schedule(late_after_ns=NS_PER_S, latency=latency)
        super().__init__(port, schedule, guard, inbox.put, footprint, lambda: clock.time_ns)
        self.port = port


class StageByHand:
    """A core between ports, a brain and a world that the test holds."""

    def __init__(
        self,
        parameters: Parameters | None = None,
        guard: LoopGuard | None = None,
        mappings: Path | None = None,
        latency: Latency = NONE,
    ) -> None:
        guard = guard or LoopGuard(0)
        self.clock = StandingClock()
        self.inbox: Inbox = queue.SimpleQueue()
        self.wire = RecordingOutput()
        self.keyboard = ScriptedInput()
        self.brain = ScriptedBrain()
        self.world = Audience()
        self.reports: list[FromStage] = []
        self.output = OutputByHand(self.wire, guard, self.inbox, self.clock, latency)
        self._listener = Listener(self.keyboard, guard, pass_on=self.output.pass_on)
        self._played = playing_into(self.inbox, self.clock.seconds)
        self._present = presence_into(self.inbox, self.keyboard)
        latency_s = latency.common_ns / NS_PER_S
        turns = Turns(parameters or Parameters(), latency_s=latency_s)
        self.core = Core(
            turns, self.clock, self.inbox, self._listener, self.output, MappingFile(mappings)
        )
        self.core.begin(self.brain, self.world, self.reports.append)

    def settle(self) -> None:
        """Let everything happen that waits or is due, until nothing does."""
        self._threads_work()
        while not self.inbox.empty():
            self.core.take(self.inbox.get())
            if self.inbox.empty():
                self.core.keep_watch()
            self.core.keep_time()
            self._threads_work()

    def _threads_work(self) -> None:
        """Do what the threads of input and output do."""
        self.output.work()
        while (taken := self._listener.take(self.clock.time_ns)) is not None:
            self._played(*taken)

    def look(self) -> None:
        """Do what the core does when nothing has come in for a while."""
        self.core.keep_watch()
        self.core.keep_time()
        self.settle()

    def put(self, *items: Item) -> None:
        """Hand items in, in this order; and see to what follows."""
        for item in items:
            self.inbox.put(item)
        self.settle()

    def pass_s(self, seconds: float, step_s: float = 0.01) -> None:
        """Let time pass, in small steps."""
        for _ in range(round(seconds / step_s)):
            self.clock.time_ns += round(step_s * NS_PER_S)
            self.settle()
            self.look()

    def play(self, *messages: tuple[int, int, int]) -> None:
        """Let the player do something."""
        self.keyboard.waiting.extend((bytes(message), 0.0) for message in messages)
        self.settle()

    def input_is_there(self, is_there: bool) -> None:
        """Unplug the input, or plug it in again."""
        self._present(is_there)
        self.settle()

    def ready(self) -> None:
        """Let the brain be ready."""
        self.put(READY)

    def brain_dies(self) -> None:
        """Let the brain's process end."""
        self.put(BrainOver())

    def asked(self, command: str, client: str = "", **values: Any) -> Asked:
        """Have a command wait in the inbox; nobody has seen it yet."""
        asked = Asked(Request(1, COMMANDS[command], values, client))
        self.inbox.put(asked)
        return asked

    def ask(self, command: str, client: str = "", **values: Any) -> Result:
        """Have a command carried out; return its answer or raise its refusal."""
        asked = self.asked(command, client, **values)
        self.settle()
        outcome = asked.reply.get_nowait()
        if isinstance(outcome, PerformerError):
            raise outcome
        return outcome

    @property
    def state(self) -> str:
        return self.core.turns.state.value
