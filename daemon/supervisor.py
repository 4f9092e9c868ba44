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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.messages.child_process import RESTARTS, ChildProcess
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
    StageFailed,
    StageOptions,
    StopStage,
)
from daemon.midi.footprint import FOOTPRINT_SIZE
from daemon.recorder import Recorder, last_session
from daemon.settings import Settings
from daemon.stage.brain_link import BrainTarget, run_brain
from daemon.stage.past import HISTORY_EVENTS
from daemon.stage.process import SessionClock, run_silencer, run_stage
from perceivers.errors import PerformerError
from perceivers.events import TimedEvent

if TYPE_CHECKING:
    from daemon.page.keeper import PageKeeper

logger = logging.getLogger(__name__)

STARTS_WITHIN_S = 90.0  # a JACK server whose client was killed lets nobody in for most of a minute
ENDS_WITHIN_S = 10.0
RETRY_S = 2.0
RESUMED_S = -1.0  # when the last session ended, in seconds of this one
_LOOK_S = 0.5


class StageLostError(PerformerError):
    """The stage does not stay alive."""


@dataclass(frozen=True, slots=True)
class _StageOver:
    """The stage's process is over; everything it said came before this."""


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
        if settings.recording.resume is not None:
            self._history.extend(last_session(Path(settings.recording.folder), RESUMED_S))
        self._footprint: Any = self._context.RawArray("B", FOOTPRINT_SIZE)
        self._inbox: queue.SimpleQueue[FromStage | _StageOver | _StopAsked] = queue.SimpleQueue()
        inbox = self._inbox
        self._stage = ChildProcess("stage", run_stage, inbox.put, lambda: inbox.put(_StageOver()))
        self._page: PageKeeper | None = None
        self._was_ready = False
        self._stopping = False
        self._failure: str | None = None
        self._told_failure: str | None = None

    def run(self) -> int:
        """Work until a signal or a command ends the daemon. Return the exit code.

        Raises PerformerError when the stage cannot be kept alive.
        """
        with self._signals():
            try:
                self._start_page()
                self._start()
                while self._stage.is_there:
                    self._step()
            finally:
                self._stage.end()
                if self._page is not None:
                    self._page.stop()
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

    def _start_page(self) -> None:
        """Start the page, if there is to be one; where it cannot be, all else goes on without."""
        if not self._settings.page.enabled:
            return
        from daemon.page import keeper  # noqa: PLC0415 - who wants no page loads nothing of it

        try:
            self._page = keeper.PageKeeper(self._settings, verbose=self._verbose)
            self._page.start(self._now_s())
        except keeper.PageAddressError as error:
            logger.error("%s", error)
            without = replace(self._settings.page, enabled=False)
            self._settings = replace(self._settings, page=without)

    def _start(self) -> None:
        self._failure = None
        history = tuple(sorted(self._history, key=lambda timed: timed.time_s))
        options = StageOptions(self._settings, self._origin_ns, history, self._verbose)
        arguments = (self._footprint, options, self._brain_target)
        self._stage.start(self._now_s(), *arguments, within_s=STARTS_WITHIN_S)

    def _step(self) -> None:
        """Wait for something to happen, and see to it."""
        try:
            item = self._inbox.get(timeout=_LOOK_S)
        except queue.Empty:
            if self._stage.watch(self._now_s()):
                logger.error("the stage does not answer and is killed")
        else:
            self._take(item)
        if self._page is not None and self._page.look(self._now_s()):
            self._say(f"the page is at {self._page.address}")
        if self._recorder is not None:
            self._recorder.write_if_due()

    def _take(self, item: FromStage | _StageOver | _StopAsked) -> None:
        match item:
            case _StopAsked():
                self._stop()
            case _StageOver():
                self._ended()
            case _:
                self._stage.heard(self._now_s(), is_ready=isinstance(item, Beat))
                self._hear(item)

    def _hear(self, message: FromStage) -> None:
        match message:
            case Ready(lines):
                self._was_ready = True
                self._told_failure = None
                for line in lines:
                    self._say(line)
            case StageFailed(reason):
                self._failure = reason
            case Happened(_, timed):
                self._history.append(timed)
            case Forgot(history):
                self._history = deque(history, maxlen=HISTORY_EVENTS)
        if self._recorder is not None:
            _record(self._recorder, message)

    def _stop(self) -> None:
        """Ask the stage to end; asked twice, do not wait for it."""
        within_s = 0.0 if self._stopping else ENDS_WITHIN_S
        self._stopping = True
        self._stage.ask_to_end(StopStage(), self._now_s(), within_s)

    def _ended(self) -> None:
        """The stage is gone: end as well, or start another."""
        exit_code = self._stage.collect(ENDS_WITHIN_S)
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
        elif self._stage.is_hopeless(self._now_s()):
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

    def _silence(self) -> None:
        """Release what a stage that had to be killed has left sounding."""
        if any(self._footprint):
            process = self._context.Process(
                target=run_silencer, args=(self._footprint, self._settings)
            )
            process.start()
            process.join(STARTS_WITHIN_S)
            process.kill()


def _record(recorder: Recorder, message: FromStage) -> None:
    """Let the recorder write down what belongs into a recording."""
    match message:
        case Happened(part, timed):
            recorder.add(part, timed)
        case PlayedBy(opening):
            recorder.played_by(opening)
        case Noted(time_s, line):
            recorder.note(time_s, line)
        case HandedBack():
            recorder.write()
        case Captured(name, last_s):
            recorder.capture(name, last_s)
