"""The process that the user starts: it keeps a stage running, and the recording of what is played.

It touches no MIDI and loads no model, so nothing that hangs there can hang it.
"""

import contextlib
import logging
import multiprocessing
import queue
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from daemon.brain_link import BrainTarget, run_brain
from daemon.output import FOOTPRINT_SIZE
from daemon.pipe_end import PipeEnd
from daemon.recorder import Recorder
from daemon.settings import Settings
from daemon.stage import SessionClock, run_silencer, run_stage
from daemon.stage_messages import (
    Beat,
    Forgot,
    FromStage,
    HandedBack,
    Happened,
    Ready,
    StageFailed,
    StageOptions,
    StopStage,
)
from daemon.turns import HISTORY_EVENTS
from perceivers.errors import PerformerError
from perceivers.events import TimedEvent

logger = logging.getLogger(__name__)

SILENT_FOR_S = 3.0
STARTS_WITHIN_S = 90.0  # a JACK server whose client was killed lets nobody in for most of a minute
ENDS_WITHIN_S = 10.0
RESTARTS = 5
WITHIN_S = 60.0
RETRY_S = 2.0
_LOOK_S = 0.5


class StageLostError(PerformerError):
    """The stage does not stay alive."""


@dataclass(frozen=True, slots=True)
class _FromStageOf:
    """What the stage of a generation said; None: its pipe is closed."""

    generation: int
    message: FromStage | None


@dataclass(frozen=True, slots=True)
class _StopAsked:
    """A signal asks the daemon to end."""


class Supervisor:
    """Starts the stage, watches it, starts it again, and ends it. `say` tells the user a line."""

    def __init__(
        self,
        settings: Settings,
        say: Callable[[str], None],
        *,
        brain_target: BrainTarget = run_brain,
        verbose: bool = False,
    ) -> None:
        self._settings = settings
        self._say = say
        self._brain_target = brain_target
        self._verbose = verbose
        self._context = multiprocessing.get_context("spawn")
        self._origin_ns = time.monotonic_ns()
        clock = SessionClock(self._origin_ns)
        self._now_s = clock.now_s
        self._recorder = (
            Recorder(Path(settings.recording.folder), clock.now_s)
            if settings.recording.enabled
            else None
        )
        self._history: deque[TimedEvent] = deque(maxlen=HISTORY_EVENTS)
        self._footprint: Any = self._context.RawArray("B", FOOTPRINT_SIZE)
        self._inbox: queue.SimpleQueue[_FromStageOf | _StopAsked] = queue.SimpleQueue()
        self._generation = 0
        self._process: SpawnProcess | None = None
        self._pipe: PipeEnd | None = None
        self._deadline_s = 0.0  # by when the stage must say something, or have ended
        self._was_ready = False
        self._stopping = False
        self._failure: str | None = None
        self._told_failure: str | None = None
        self._starts_s: deque[float] = deque(maxlen=RESTARTS)

    def run(self) -> int:
        """Work until a signal or a command ends the daemon. Return the exit code.

        Raises PerformerError when the stage cannot be kept alive.
        """
        with self._signals():
            try:
                self._start()
                while self._process is not None:
                    self._step()
            finally:
                self._kill()
                self._silence()
                if self._recorder is not None:
                    self._recorder.write()
        return 0

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self._on_signal) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _on_signal(self, *_: object) -> None:
        self._inbox.put(_StopAsked())

    def _start(self) -> None:
        self._generation += 1
        self._failure = None
        self._starts_s.append(self._now_s())
        generation = self._generation
        history = tuple(sorted(self._history, key=lambda timed: timed.time_s))
        options = StageOptions(self._settings, self._origin_ns, history, self._verbose)
        ours, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=run_stage,
            args=(theirs, self._footprint, options, self._brain_target),
            name="performer-stage",
        )
        self._process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self._pipe = PipeEnd(
            "stage", ours, lambda message: self._inbox.put(_FromStageOf(generation, message))
        )
        self._pipe.start()
        self._deadline_s = self._now_s() + STARTS_WITHIN_S

    def _step(self) -> None:
        """Wait for something to happen, and see to it."""
        try:
            item = self._inbox.get(timeout=_LOOK_S)
        except queue.Empty:
            if self._now_s() > self._deadline_s:
                self._overdue()
        else:
            if isinstance(item, _StopAsked):
                self._stop()
            elif item.generation == self._generation:
                self._hear(item.message)
        if self._recorder is not None:
            self._recorder.write_if_due()

    def _hear(self, message: FromStage | None) -> None:
        if not self._stopping:
            self._deadline_s = max(self._deadline_s, self._now_s() + SILENT_FOR_S)
        match message:
            case None:
                self._ended()
            case Beat():
                self._deadline_s = self._now_s() + SILENT_FOR_S
            case Ready(lines):
                self._was_ready = True
                self._told_failure = None
                for line in lines:
                    self._say(line)
            case StageFailed(reason):
                self._failure = reason
            case _:
                self._take_down(message)

    def _take_down(self, message: Happened | HandedBack | Forgot) -> None:
        match message:
            case Happened(part, timed):
                self._history.append(timed)
                if self._recorder is not None:
                    self._recorder.add(part, timed)
            case HandedBack():
                if self._recorder is not None:
                    self._recorder.write()
            case Forgot():
                self._history.clear()

    def _stop(self) -> None:
        """Ask the stage to end; asked twice, do not wait for it."""
        if self._stopping or self._pipe is None:
            self._deadline_s = self._now_s()
            return
        self._stopping = True
        self._deadline_s = self._now_s() + ENDS_WITHIN_S
        self._pipe.send(StopStage())

    def _overdue(self) -> None:
        logger.error("the stage does not answer and is killed")
        self._kill()
        self._ended()

    def _ended(self) -> None:
        """The stage is gone: end as well, or start another."""
        exit_code = self._join()
        if exit_code == 0 or self._stopping:
            return
        if self._failure is not None and not self._was_ready:
            raise StageLostError(self._failure)
        if self._recorder is not None:
            self._recorder.all_released()
            self._recorder.write()
        self._start_again(exit_code)

    def _start_again(self, exit_code: int | None) -> None:
        if self._failure is not None:  # a port is missing, say: it may come back
            if self._failure != self._told_failure:
                logger.error("%s; trying again until it is there", self._failure)
            self._told_failure = self._failure
            self._pause()
        elif len(self._starts_s) == RESTARTS and self._now_s() - self._starts_s[0] < WITHIN_S:
            raise StageLostError(
                f"the stage has ended {RESTARTS} times within a minute; its log above says why"
            )
        else:
            logger.error("the stage has ended (exit code %s) and is started again", exit_code)
        if not self._stopping:
            self._start()

    def _pause(self) -> None:
        """Wait a little before another try, unless a signal comes."""
        with contextlib.suppress(queue.Empty):
            until_s = self._now_s() + RETRY_S
            while (left_s := until_s - self._now_s()) > 0 and not self._stopping:
                self._stopping = isinstance(self._inbox.get(timeout=left_s), _StopAsked)

    def _join(self) -> int | None:
        """Wait for the process to be gone; return its exit code."""
        process, self._process = self._process, None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if process is None:
            return None
        process.join(ENDS_WITHIN_S)
        if process.exitcode is None:
            process.kill()
            process.join()
        return process.exitcode

    def _silence(self) -> None:
        """Release what a stage that had to be killed has left sounding."""
        if any(self._footprint):
            process = self._context.Process(
                target=run_silencer, args=(self._footprint, self._settings)
            )
            process.start()
            process.join(STARTS_WITHIN_S)
            process.kill()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._join()
