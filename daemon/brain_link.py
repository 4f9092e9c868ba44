"""The brain process as the stage sees it: started, spoken to, watched, and started again."""

import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from daemon.messages import BrainFailed, BrainReady, FromBrain, Quit, ToBrain
from daemon.pipe_end import PipeEnd
from daemon.settings import Settings

logger = logging.getLogger(__name__)

BrainTarget = Callable[[Connection, Settings, int], None]

SILENT_FOR_S = 3.0
RESTARTS = 5
WITHIN_S = 60.0
_QUIT_S = 2.0


@dataclass(frozen=True, slots=True)
class FromBrainOf:
    """What the brain of a generation said; None: its pipe is closed."""

    generation: int
    message: FromBrain | None


@dataclass(frozen=True, slots=True)
class BrainGone:
    """The brain has ended or was killed, and why."""

    reason: str
    for_good: bool  # it is not started again


def run_brain(connection: Connection, settings: Settings, origin_ns: int) -> None:
    """Be the brain process."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the user's Ctrl-C is for the supervisor
    from daemon import brain  # noqa: PLC0415 - the stage shall not load the engine

    brain.run(connection, brain.options_of(settings, origin_ns))


def end_with_parent() -> None:
    """End this process when the one that started it does, however that ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


class BrainLink:
    """Owns the brain process. All methods belong to one thread; `deliver` is called from others.

    What is delivered goes to `receive`, which tells what it means.
    """

    def __init__(
        self,
        settings: Settings,
        origin_ns: int,
        deliver: Callable[[FromBrainOf], None],
        target: BrainTarget = run_brain,
    ) -> None:
        self._settings = settings
        self._origin_ns = origin_ns
        self._deliver = deliver
        self._target = target
        self._generation = 0
        self._process: SpawnProcess | None = None
        self._pipe: PipeEnd | None = None
        self._is_ready = False
        self._last_word_s = 0.0
        self._starts_s: deque[float] = deque(maxlen=RESTARTS)

    def start(self, now_s: float) -> None:
        """Start a brain."""
        self._generation += 1
        self._is_ready = False
        self._starts_s.append(now_s)
        generation = self._generation
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(
            target=self._target,
            args=(theirs, self._settings, self._origin_ns),
            name="performer-brain",
        )
        self._process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self._pipe = PipeEnd(
            "brain",
            ours,
            lambda message: self._deliver(FromBrainOf(generation, message)),
        )
        self._pipe.start()

    def say(self, message: ToBrain) -> None:
        """Tell the brain something; lost if it is gone."""
        if self._pipe is not None:
            self._pipe.send(message)

    def receive(self, said: FromBrainOf, now_s: float) -> FromBrain | BrainGone | None:
        """Tell what a delivery means; None if it comes from a brain of the past."""
        if said.generation != self._generation or self._process is None:
            return None
        self._last_word_s = now_s
        if said.message is None:
            self._process.join(_QUIT_S)
            code = self._process.exitcode
            return self._end(f"the model process has ended (exit code {code})", now_s)
        if isinstance(said.message, BrainFailed):
            return self._end(said.message.reason, now_s)
        if isinstance(said.message, BrainReady):
            self._is_ready = True
        return said.message

    def check(self, now_s: float) -> BrainGone | None:
        """Kill a brain that has fallen silent; one that still loads may take its time."""
        is_silent = self._is_ready and now_s - self._last_word_s > SILENT_FOR_S
        if self._process is None or not is_silent:
            return None
        return self._end(f"the model has not answered for {SILENT_FOR_S:g} s", now_s)

    def _end(self, reason: str, now_s: float) -> BrainGone:
        """Make sure that it is gone, and decide whether it is worth another start."""
        self._kill()
        tried = len(self._starts_s)
        is_hopeless = tried == RESTARTS and now_s - self._starts_s[0] < WITHIN_S
        if is_hopeless:
            reason += f"; that was {tried} times within a minute, and no more is tried"
        return BrainGone(reason, is_hopeless)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join(_QUIT_S)
            self._process = None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def stop(self) -> None:
        """Let the brain quit; kill it if it does not."""
        if self._process is not None and self._pipe is not None:
            self._pipe.send(Quit())
            self._process.join(_QUIT_S)
        self._kill()
