"""A process that this one starts, hears and watches, whatever it does: hang, die, flood or stay.

It is over when its pipe says so, after everything that it said; so no word of one process is ever
taken for a word of the next.
"""

import math
import multiprocessing
import threading
from collections import deque
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from typing import Any

from daemon.messages.pipe_end import PipeEnd

RESTARTS = 5
WITHIN_S = 60.0
"""Who has been started so often within so little time is not worth another start."""
SILENT_FOR_S = 3.0
"""Who is ready and has not been heard of for so long is taken to hang."""
KILLED_WITHIN_S = 2.0
"""After this time a process that was killed and does not go, held by a driver say, is given up."""


class _Line:
    """What one process says, until it is over or given up."""

    def __init__(self, deliver: Callable[[Any], None], over: Callable[[], None]) -> None:
        self._deliver = deliver
        self._over = over
        self._is_closed = False
        self._lock = threading.Lock()

    def take(self, message: Any) -> None:
        """Hand a message on; None closes the line, once."""
        with self._lock:
            if self._is_closed:
                return
            if message is None:
                self._is_closed = True
                self._over()
            else:
                self._deliver(message)


class ChildProcess:
    """Owns a process and its successors. All methods belong to one thread.

    `target` is called in the new process with its end of the pipe and what `start` is given.
    `deliver(message)` and, after the last one, `over()` are called from a thread of the pipe; or
    `over()` from the owner's, where it gives a process up. Times are seconds of any clock that
    never goes back.
    """

    def __init__(
        self,
        name: str,
        target: Callable[..., None],
        deliver: Callable[[Any], None],
        over: Callable[[], None],
        silent_for_s: float = SILENT_FOR_S,
    ) -> None:
        self._name = name
        self._target = target
        self._deliver = deliver
        self._over = over
        self._silent_for_s = silent_for_s
        self._context = multiprocessing.get_context("spawn")
        self._process: SpawnProcess | None = None
        self._pipe: PipeEnd | None = None
        self._line = _Line(deliver, over)
        self._deadline_s = math.inf  # by when it must be heard from, or be over
        self._is_ready = self._is_ending = self._is_killed = self._is_given_up = False
        self._starts_s: deque[float] = deque(maxlen=RESTARTS)

    @property
    def is_there(self) -> bool:
        """Whether it was started and `collect` has not yet been called for it."""
        return self._process is not None

    def start(self, now_s: float, *arguments: Any, within_s: float = math.inf) -> None:
        """Start it; it must be heard from within so many seconds."""
        assert self._process is None
        self._starts_s.append(now_s)
        self._deadline_s = now_s + within_s
        self._is_ready = self._is_ending = self._is_killed = self._is_given_up = False
        self._line = _Line(self._deliver, self._over)
        ours, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=self._target, args=(theirs, *arguments), name=f"performer-{self._name}"
        )
        self._process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self._pipe = PipeEnd(self._name, ours, self._line.take)
        self._pipe.start()

    def send(self, message: object) -> None:
        """Tell it something, without waiting for it; lost if there is nobody."""
        if self._pipe is not None:
            self._pipe.send(message)

    def heard(self, now_s: float, *, is_ready: bool = False) -> None:
        """Take note that it has spoken. Once it is ready it must go on to do so."""
        self._is_ready = self._is_ready or is_ready
        if self._is_ending or self._is_killed:
            return
        until_s = now_s + self._silent_for_s
        self._deadline_s = until_s if self._is_ready else max(self._deadline_s, until_s)

    def ask_to_end(self, message: object, now_s: float, within_s: float) -> None:
        """Ask it to end by a message; it must be over within so many seconds."""
        if not self._is_ending:
            self.send(message)
        self._is_ending = True
        if not self._is_killed:
            self._deadline_s = now_s + within_s

    def watch(self, now_s: float) -> bool:
        """Kill it if it is overdue; tell whether it was killed now."""
        if self._process is None or now_s <= self._deadline_s:
            return False
        if self._is_killed:
            self._is_given_up = True
            self._line.take(None)
            return False
        self.kill(now_s)
        return True

    def kill(self, now_s: float) -> None:
        """Kill it; `over` follows."""
        if self._process is not None and not self._is_killed:
            self._is_killed = True
            self._deadline_s = now_s + KILLED_WITHIN_S
            self._process.kill()

    def collect(self, within_s: float = KILLED_WITHIN_S) -> int | None:
        """Let go of it, when it is over; return its exit code, None if it does not go."""
        process, self._process = self._process, None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if process is None:
            return None
        process.join(0.0 if self._is_given_up else within_s)
        if process.exitcode is None and not self._is_given_up:
            process.kill()
            process.join(KILLED_WITHIN_S)
        return process.exitcode

    def end(self, message: object = None, within_s: float = 0.0) -> int | None:
        """Have it gone before this returns: asked by a message, if any, and then killed."""
        if self._process is not None and message is not None:
            self.send(message)
            self._process.join(within_s)
        self.kill(0.0)
        return self.collect()

    def is_hopeless(self, now_s: float) -> bool:
        """Tell whether it has been started too often within too little time."""
        return len(self._starts_s) == RESTARTS and now_s - self._starts_s[0] < WITHIN_S
