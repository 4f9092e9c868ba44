"""The brain: the process that owns tokens, engine and sampling, at the other end of one pipe.

It feeds what was heard ahead of need, and plans a turn ahead of its time. It never touches a port.
"""

import contextlib
import gc
import math
import os
import signal
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from daemon.brain.candidates import SEGMENT_S
from daemon.brain.choosing_performer import ChoosingPerformer
from daemon.brain.memory import Logits
from daemon.brain.pace import advice, full_step_ms, notes_per_s
from daemon.brain.telling import tell
from daemon.engine import Engine
from daemon.engine.runtime import CPU
from daemon.messages.brain import (
    BeginTurn,
    BrainFailed,
    BrainReady,
    Conclude,
    EndTurn,
    FromBrain,
    Hear,
    PlanComplete,
    Planned,
    Pulse,
    Quit,
    Recall,
    Return,
    ToBrain,
    Took,
)
from daemon.settings import Settings
from perceivers.errors import PerformerError
from perceivers.vocabulary import BOS

NICENESS = 5
PULSE_S = 0.5
FEED_CHUNK = 32  # tokens of a backlog fed before the pipe is looked at again
LONG_BACKLOG = 4096  # fed at once: of so many tokens, the engine looks most up
WARM_UP_STEPS = 24
RECENT_STEPS = 256


@dataclass(frozen=True, slots=True)
class BrainOptions:
    """What the brain is started with."""

    model: Path
    provider: str
    precision: str
    threads: int
    lead_s: float  # how far ahead of the clock a turn is planned
    feed_after_s: float | None  # how long what is heard may wait; None: until a turn begins
    origin_ns: int  # the monotonic instant that is second 0 of the session


def options_of(settings: Settings, origin_ns: int) -> BrainOptions:
    """Return what the settings ask of a brain."""
    feed_after_ms = settings.timing.feed_after_ms
    return BrainOptions(
        model=Path(settings.engine.model),
        provider=settings.engine.provider,
        precision=settings.engine.precision,
        threads=settings.engine.threads,
        lead_s=settings.timing.lead_ms / 1000 + settings.midi.most_latency_s,
        feed_after_s=None if feed_after_ms is None else feed_after_ms / 1000,
        origin_ns=origin_ns,
    )


class TimedEngine:
    """An engine that keeps the times of its last single-token steps.

    `after_run()` is called whenever it has read a little of what it is fed.
    """

    def __init__(self, engine: Engine, after_run: Callable[[], None]) -> None:
        self._engine = engine
        self._after_run = after_run
        self._steps_ms: deque[float] = deque(maxlen=RECENT_STEPS)
        self.mark = engine.mark
        self.rewind = engine.rewind
        self.reset = engine.reset

    def feed(self, tokens: Sequence[int]) -> Logits:
        """Read tokens; return the logits (V,) of the one that follows."""
        if len(tokens) == 1:
            return self._step(tokens)
        for logits in self._engine.feeding(tokens):
            last: Logits = logits[-1]
            self._after_run()
        return last.copy()

    def _step(self, token: Sequence[int]) -> Logits:
        started_ns = time.monotonic_ns()
        logits = self._engine.feed(token)
        self._steps_ms.append((time.monotonic_ns() - started_ns) / 1e6)
        return logits

    @property
    def step_ms(self) -> float:
        """Median time of the last single-token steps."""
        return statistics.median(self._steps_ms) if self._steps_ms else 0.0


MakePerformer = Callable[[TimedEngine, int], ChoosingPerformer]
"""Makes what remembers and plays, from an engine and the tokens that its context holds."""


class Brain:
    """Carries out what the stage says. Whatever it reads, it says twice a second that it lives."""

    def __init__(
        self, connection: Connection, options: BrainOptions, make_performer: MakePerformer
    ) -> None:
        self._connection = connection
        self._options = options
        started_ns = time.monotonic_ns()
        engine = Engine.open(
            options.model,
            precision=options.precision,
            provider=options.provider,
            threads=options.threads,
        )
        self._next_pulse_s = math.inf  # until it is ready
        self._engine = TimedEngine(engine, self._show_life)
        for _ in range(WARM_UP_STEPS):
            self._engine.feed([BOS])
        architecture = engine.manifest.architecture
        self._performer = make_performer(self._engine, architecture.context)
        self._turn: int | None = None
        self._plan = 0  # of this turn
        self._feed_within(0.0)
        step_ms = self._engine.step_ms
        full_ms, told = step_ms, None  # a device reads its memory in no time
        if engine.provider == CPU.provider:
            full_ms = full_step_ms(engine.manifest, engine.precision, step_ms)
            told = advice(options.model, engine.manifest, engine.precision, full_ms)
        self.ready = BrainReady(
            model=str(options.model),
            provider=engine.provider,
            precision=engine.precision,
            parameters_million=engine.manifest.parameters / 1e6,
            context=architecture.context,
            step_ms=step_ms,
            load_s=(time.monotonic_ns() - started_ns) / 1e9,
            notes_per_s=notes_per_s(step_ms),
            full_notes_per_s=notes_per_s(full_ms),
            advice=told,
            checkpoint_sha256=engine.manifest.checkpoint_sha256,
        )

    def serve(self) -> None:
        """Work until told to quit or until the stage is gone."""
        self._say(self.ready)
        self._next_pulse_s = self._now_s()
        while True:
            self._show_life()
            idle_s = 0.0 if self._work(self._now_s()) else self._idle_s()
            if self._connection.poll(idle_s) and not self._listen():
                return

    def _listen(self) -> bool:
        """Carry out everything that waits in the pipe; return False when it is time to end."""
        while True:
            message: ToBrain = self._connection.recv()
            if isinstance(message, Quit):
                return False
            self._carry_out(message)
            if not self._connection.poll(0):
                return True

    def _carry_out(self, message: ToBrain) -> None:
        if isinstance(message, Conclude | EndTurn) and message.turn != self._turn:
            return
        if self._turn is not None:
            self._say(Took(self._turn, self._performer.steps))
        match message:
            case Hear():
                self._will_hear()
            case BeginTurn(turn=turn):
                self._turn, self._plan = turn, 0
            case Conclude(from_s=from_s):
                self._plan += from_s is not None
            case EndTurn() | Recall():
                self._turn = None
        tell(self._performer, message, self._show_life)
        if isinstance(message, BeginTurn | EndTurn | Recall | Return):
            self._feed_within(0.0)

    def _will_hear(self) -> None:
        """Settle when it is fed: in a turn at once, with what is planned next."""
        if not self._performer.lag_tokens:
            after_s = self._options.feed_after_s or 0.0
            self._feed_within(0.0 if self._turn is not None else after_s)

    def _feed_within(self, after_s: float) -> None:
        """Let what waits, and what joins it, be fed so soon; or when a turn begins."""
        waits_for_turn = self._options.feed_after_s is None and self._turn is None
        self._feed_at_s = math.inf if waits_for_turn else self._now_s() + after_s

    def _work(self, now_s: float) -> bool:
        """Do one small piece of work; return whether more may be waiting."""
        lag_tokens = self._performer.lag_tokens
        if lag_tokens and now_s >= self._feed_at_s:
            self._performer.digest(lag_tokens if lag_tokens >= LONG_BACKLOG else FEED_CHUNK)
            return True
        planned_until_s = self._performer.planned_until_s
        horizon_s = now_s + self._options.lead_s
        if self._turn is None or planned_until_s is None:
            return False
        if planned_until_s < horizon_s:
            events = self._performer.plan(horizon_s, most_tokens=1)  # what is ready leaves at once
        elif self._performer.chooses and planned_until_s < horizon_s + SEGMENT_S:
            events = self._performer.ponder(most_tokens=1)
        else:
            return False
        if events:
            self._say(Planned(self._turn, tuple(events), self._plan))
        if self._performer.planned_until_s is None:
            self._say(PlanComplete(self._turn, "length", self._plan))
        return True

    def _idle_s(self) -> float:
        """Return how long nothing is to be done unless the stage speaks."""
        now_s = self._now_s()
        wait_s = self._next_pulse_s - now_s
        if self._performer.lag_tokens:
            wait_s = min(wait_s, self._feed_at_s - now_s)
        planned_until_s = self._performer.planned_until_s
        if planned_until_s is not None:
            ahead_s = self._options.lead_s + SEGMENT_S * self._performer.chooses
            wait_s = min(wait_s, planned_until_s - ahead_s - now_s)
        return max(0.0, wait_s)

    def _show_life(self) -> None:
        """Say how it does, if that is due: who is silent for long is taken to hang."""
        now_s = self._now_s()
        if now_s < self._next_pulse_s:
            return
        self._next_pulse_s = now_s + PULSE_S
        planned_until_s = self._performer.planned_until_s
        self._say(
            Pulse(
                position=self._performer.position,
                lag_tokens=self._performer.lag_tokens,
                step_ms=self._engine.step_ms,
                lead_s=None if planned_until_s is None else planned_until_s - now_s,
            )
        )

    def _now_s(self) -> float:
        return (time.monotonic_ns() - self._options.origin_ns) / 1e9

    def _say(self, message: FromBrain) -> None:
        self._connection.send(message)


def run(
    connection: Connection, options: BrainOptions, make_performer: MakePerformer = ChoosingPerformer
) -> None:
    """Be the brain process, until the stage says so or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides when to end
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    try:
        brain = Brain(connection, options, make_performer)
        gc.collect()
        gc.freeze()
        brain.serve()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the stage is gone
    except PerformerError as error:
        connection.send(BrainFailed(str(error)))
