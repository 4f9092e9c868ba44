"""The thread that owns the output port: it lets what is due leave, at its moment."""

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, MutableSequence

from daemon.midi.beside import Beside
from daemon.midi.loop_guard import LoopGuard
from daemon.midi.ports import PRESENCE_S, OutputPort
from daemon.midi.reports import Report
from daemon.midi.schedule import Schedule
from daemon.midi.sending import Sending
from perceivers.events import Event

logger = logging.getLogger(__name__)

RETRY_S = 0.5
_SCAN_NS = 50_000_000  # a look at the list of ports may take this long
_PRIORITY = 40


class Output:
    """Sends events at their moments, in a thread of its own.

    Any thread may call the methods. `tell` is called with the lock held, mostly from the output
    thread: it must not block. `footprint` outlives a killed process, and tells its successor what
    sounds.
    """

    def __init__(
        self,
        port: OutputPort,
        schedule: Schedule,
        guard: LoopGuard,
        tell: Callable[[Report], None],
        footprint: MutableSequence[int],
    ) -> None:
        self.port = port
        self._sending = Sending(port, schedule, guard, tell, footprint, time.monotonic_ns)
        self._condition = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)

    def __enter__(self) -> "Output":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._sending_now() as sending:
            self._stopping = True
            sending.leave()
        self._thread.join(timeout=2.0)
        if self._thread.is_alive():
            logger.error("the output thread did not stop")
        else:
            self.port.close()

    @property
    def counts(self) -> dict[str, int]:
        """How many planned messages were not sent, by reason."""
        return self._sending.counts

    @property
    def lateness_ms(self) -> deque[float]:
        """How late the last messages left."""
        return self._sending.lateness_ms

    def play(self, events: Iterable[tuple[int, Event]], channel: int) -> None:
        """Plan events, each at its moment, on a channel (0 to 15), beside what is planned already.

        events: moments of the monotonic clock, in nanoseconds, in any order, at which they shall
            sound; what would have to have left by now is due at once.
        Returns before anything is sent, and raises nothing: what leaves is told as `Sent`, what
        may not leave (a note-on that is late, or on a key that the player holds) is counted in
        `counts`, and while the port is lost or this is ending nothing is planned.
        """
        with self._sending_now() as sending:
            if not self._stopping:
                sending.play(events, channel)

    def hold(self, held: frozenset[int]) -> None:
        """Take note of the keys that the player holds."""
        with self._sending_now() as sending:
            sending.hold(held)

    def withdraw(self, after_ns: int) -> None:
        """Forget what is planned for later than a moment; what sounds waits for another plan."""
        with self._sending_now() as sending:
            sending.withdraw(after_ns)

    def release(self) -> None:
        """Forget what is planned and let go of all that sounds; `Released` follows.

        Once this returns, no note-on planned before leaves.
        """
        with self._sending_now() as sending:
            sending.release()

    def finish(self) -> None:
        """Let go of all that sounds once the plan has been sent; `Released` follows."""
        with self._sending_now() as sending:
            sending.finish()

    def panic(self) -> None:
        """Release everything and tell every channel to be silent; `Panicked` follows."""
        with self._sending_now() as sending:
            sending.panic()

    def aside(self, do: Callable[[Beside], None]) -> None:
        """Let something leave beside the answer, at once; nothing while the port is lost."""
        with self._sending_now() as sending:
            sending.aside(do)

    def pass_on(self, message: bytes) -> None:
        """Let a message of the player's pass, at once, or not."""
        with self._sending_now() as sending:
            sending.pass_on(message)

    def let_through(self, *, is_open: bool, half_pedal: bool) -> None:
        """Say what of the player's own passes on from now on."""
        with self._sending_now() as sending:
            sending.let_through(is_open=is_open, half_pedal=half_pedal)

    def show(self, message: bytes) -> None:
        """Send a message that is no music, such as one for a light, as soon as may be."""
        with self._sending_now() as sending:
            sending.show(message)

    def take_over(self) -> None:
        """Release what the footprint says a killed predecessor left sounding."""
        with self._sending_now() as sending:
            sending.take_over()

    @contextlib.contextmanager
    def _sending_now(self) -> Iterator[Sending]:
        """Hold the lock, and wake the thread afterwards."""
        with self._condition:
            yield self._sending
            self._condition.notify()

    def _run(self) -> None:
        _ask_for_priority()
        look_at = time.monotonic() + PRESENCE_S
        with self._condition:
            while True:
                self._sending.work()
                if self._stopping:
                    self._sending.tell_all()
                    return
                self._condition.wait(RETRY_S if self._sending.lost else self._wait_s())
                if time.monotonic() >= look_at and not self._sending.lost and self._is_idle():
                    look_at = time.monotonic() + PRESENCE_S
                    if not self.port.is_present():
                        self._sending.lose(f"MIDI output {self.port.name!r} is gone")

    def _wait_s(self) -> float:
        due_ns = self._sending.next_due_ns()
        if due_ns is None:
            return PRESENCE_S
        return min(PRESENCE_S, max(0.0, (due_ns - time.monotonic_ns()) / 1e9))

    def _is_idle(self) -> bool:
        due_ns = self._sending.next_due_ns()
        return due_ns is None or due_ns - time.monotonic_ns() > _SCAN_NS


def _ask_for_priority() -> None:
    """Ask the system to run this thread first; most refuse, and it goes without."""
    if not hasattr(os, "sched_setscheduler"):
        return
    with contextlib.suppress(OSError):
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_FIFO, os.sched_param(_PRIORITY))
        logger.debug("the output thread runs at real-time priority")
