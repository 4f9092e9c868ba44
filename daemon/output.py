"""The thread that owns the output port: sends what the schedule lets out, at its moment."""

import contextlib
import heapq
import itertools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, MutableSequence
from dataclasses import dataclass

from daemon.input import LoopGuard
from daemon.midi_ports import OutputPort, SendError
from daemon.schedule import Schedule, ScheduledMessage
from daemon.turn_messages import Released
from perceivers.events import Event, NoteOff, NoteOn, Pedal
from perceivers.midi_files import message_bytes
from perceivers.vocabulary import PITCHES

logger = logging.getLogger(__name__)

CHANNELS = 16
RETRY_S = 0.5
PRESENCE_S = 1.0
_SCAN_NS = 50_000_000  # a look at the list of ports may take this long
_PACE_NS = 500_000  # between messages of a flood: receivers lose what comes faster
_REPEAT_AFTER_NS = (1_000_000_000, 3_000_000_000)
_PRIORITY = 40
_SUSTAIN, _SOSTENUTO, _SOFT, _SOUND_OFF, _NOTES_OFF = 64, 66, 67, 120, 123

FOOTPRINT_SIZE = PITCHES + 1
"""One byte for each pitch that sounds and one for the pedal: the channel plus 1, or 0."""


@dataclass(frozen=True, slots=True)
class Sent:
    """This left the port, at this moment of the monotonic clock."""

    time_ns: int
    event: Event


@dataclass(frozen=True, slots=True)
class Panicked:
    """The messages that silence everything have left."""


@dataclass(frozen=True, slots=True)
class OutputLost:
    """The port takes nothing any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class OutputBack:
    """The port takes messages again, and what was left sounding is released."""


Report = Sent | Released | Panicked | OutputLost | OutputBack


class Output:
    """Sends events at their moments and keeps the laws of the schedule, whatever happens.

    Any thread may call the methods. `tell` is called from the output thread, with its lock held:
    it must not block. `footprint` outlives a killed process, and tells its successor what sounds.
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
        self.lateness_ms: deque[float] = deque(maxlen=1000)
        """How late the last messages left."""
        self._schedule = schedule
        self._guard = guard
        self._tell = tell
        self._footprint = footprint
        self._condition = threading.Condition()
        self._raw: list[tuple[int, int, bytes]] = []  # (due_ns, order, message)
        self._raw_order = itertools.count()
        self._panicking = False
        self._ending = False  # Released is owed
        self._lost = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)

    def __enter__(self) -> "Output":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._stopping = True
            self._raw.clear()
            self._schedule.release(time.monotonic_ns(), even_held=True)
            self._condition.notify()
        self._thread.join(timeout=2.0)
        if self._thread.is_alive():
            logger.error("the output thread did not stop")
        else:
            self.port.close()

    @property
    def counts(self) -> dict[str, int]:
        """How many planned messages were not sent, by reason."""
        return dict(self._schedule.counts)

    def play(self, events: Iterable[tuple[int, Event]], channel: int) -> None:
        """Plan events, each at its moment, on a channel (0 to 15)."""
        with self._condition:
            if self._lost or self._stopping:
                return
            for due_ns, event in events:
                self._schedule.add(due_ns, event, channel)
            self._condition.notify()

    def hold(self, held: frozenset[int]) -> None:
        """Take note of the keys that the player holds."""
        with self._condition:
            self._schedule.hold(held, time.monotonic_ns())
            self._condition.notify()

    def release(self) -> None:
        """Forget what is planned and let go of all that sounds; `Released` follows.

        Once this returns, no note-on planned before leaves.
        """
        with self._condition:
            self._schedule.release(time.monotonic_ns())
            self._ending = True
            self._condition.notify()

    def finish(self) -> None:
        """Let go of all that sounds once the plan has been sent; `Released` follows."""
        with self._condition:
            self._ending = True
            self._condition.notify()

    def panic(self) -> None:
        """Release everything and tell every channel to be silent; `Panicked` follows."""
        with self._condition:
            now_ns = time.monotonic_ns()
            self._schedule.release(now_ns, even_held=True)
            self._ending = True
            self._raw.clear()
            self._panicking = True
            self._flood(_silence_messages(), now_ns)
            self._condition.notify()

    def take_over(self) -> None:
        """Release what the footprint says a killed predecessor left sounding.

        Its connections died with it; so the note-offs are repeated when somebody may have made
        them anew.
        """
        with self._condition:
            now_ns = time.monotonic_ns()
            sounding = [(pitch, self._footprint[pitch] - 1) for pitch in range(PITCHES)]
            sounding = [(pitch, channel) for pitch, channel in sounding if channel >= 0]
            pedal = self._footprint[PITCHES] - 1 if self._footprint[PITCHES] else None
            self._schedule.adopt(sounding, pedal)
            self._schedule.release(now_ns)
            offs = [message_bytes(NoteOff(pitch), channel) for pitch, channel in sounding]
            if pedal is not None:
                offs.append(message_bytes(Pedal(down=False), pedal))
            for after_ns in _REPEAT_AFTER_NS:
                self._flood(offs, now_ns + after_ns)
            self._condition.notify()

    def _flood(self, messages: Iterable[bytes], from_ns: int) -> None:
        """Plan messages a little apart."""
        for place, message in enumerate(messages):
            due_ns = from_ns + place * _PACE_NS
            heapq.heappush(self._raw, (due_ns, next(self._raw_order), message))

    def _run(self) -> None:
        _ask_for_priority()
        look_at = time.monotonic() + PRESENCE_S
        with self._condition:
            while True:
                if self._lost:
                    self._recover()
                else:
                    self._send_due()
                self._tell_ends()
                if self._stopping:
                    return
                wait_s = RETRY_S if self._lost else self._wait_s()
                self._condition.wait(wait_s)
                if time.monotonic() >= look_at and not self._lost and self._is_idle():
                    look_at = time.monotonic() + PRESENCE_S
                    if not self.port.is_present():
                        self._lose(f"MIDI output {self.port.name!r} is gone")

    def _wait_s(self) -> float:
        due_ns = self._next_due_ns()
        if due_ns is None:
            return PRESENCE_S
        return min(PRESENCE_S, max(0.0, (due_ns - time.monotonic_ns()) / 1e9))

    def _next_due_ns(self) -> int | None:
        due = [raw[0] for raw in self._raw[:1]]
        planned_ns = self._schedule.next_due_ns()
        return min([*due, planned_ns] if planned_ns is not None else due, default=None)

    def _is_idle(self) -> bool:
        due_ns = self._next_due_ns()
        return due_ns is None or due_ns - time.monotonic_ns() > _SCAN_NS

    def _send_due(self) -> None:
        try:
            while (message := self._schedule.take(now_ns := time.monotonic_ns())) is not None:
                self._send_planned(message, now_ns)
            while self._raw and self._raw[0][0] <= time.monotonic_ns():
                self._send_raw(heapq.heappop(self._raw)[2])
        except SendError as error:
            self._lose(str(error))

    def _send_planned(self, message: ScheduledMessage, now_ns: int) -> None:
        data = message_bytes(message.event, message.channel)
        if isinstance(message.event, NoteOn) or message.event == Pedal(down=True):
            self._mark(message)
        try:
            self._guard.sent(data, now_ns)
            self.port.send(data)
        except SendError:
            self._schedule.unsend(message)
            raise
        self._mark(message)
        self.lateness_ms.append((now_ns - message.due_ns) / 1e6)
        self._tell(Sent(now_ns, message.event))

    def _mark(self, message: ScheduledMessage) -> None:
        """Keep the footprint: a strike before it leaves, a release after."""
        event = message.event
        if isinstance(event, Pedal):
            self._footprint[PITCHES] = message.channel + 1 if event.down else 0
        else:
            is_strike = isinstance(event, NoteOn)
            self._footprint[event.pitch] = message.channel + 1 if is_strike else 0

    def _send_raw(self, data: bytes) -> None:
        is_note_off = data[0] & 0xF0 == 0x80
        if is_note_off and not self._schedule.is_free(data[1]):
            return  # a repeated release must not cut what has been struck since
        self._guard.sent(data, time.monotonic_ns())
        self.port.send(data)

    def _tell_ends(self) -> None:
        if self._ending and self._has_ended():
            self._ending = False
            self._tell(Released())
        if self._panicking and (self._lost or not self._raw):
            self._panicking = False
            self._tell(Panicked())

    def _has_ended(self) -> bool:
        """Tell whether nothing is planned and nothing sounds; if only the latter, see to it."""
        if self._lost or self._schedule.is_at_rest:
            return True
        if self._schedule.next_due_ns() is None:
            self._schedule.release(time.monotonic_ns())
        return False

    def _lose(self, reason: str) -> None:
        self._lost = True
        self._raw.clear()
        self._schedule.release(time.monotonic_ns())
        self._tell(OutputLost(reason))

    def _recover(self) -> None:
        """Try the port; if it takes the note-offs that are due, all is well again."""
        if not self.port.reopen():
            return
        self._schedule.release(time.monotonic_ns())
        try:
            self.port.send(message_bytes(Pedal(down=False), 0))
            while (message := self._schedule.take(now_ns := time.monotonic_ns())) is not None:
                self._send_planned(message, now_ns)
        except SendError:
            return
        self._lost = False
        self._tell(OutputBack())


def _silence_messages() -> list[bytes]:
    controllers = (_SUSTAIN, _SOSTENUTO, _SOFT, _SOUND_OFF, _NOTES_OFF)
    return [
        bytes((0xB0 | channel, controller, 0))
        for channel in range(CHANNELS)
        for controller in controllers
    ]


def _ask_for_priority() -> None:
    """Ask the system to run this thread first; most refuse, and it goes without."""
    if not hasattr(os, "sched_setscheduler"):
        return
    with contextlib.suppress(OSError):
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_FIFO, os.sched_param(_PRIORITY))
        logger.debug("the output thread runs at real-time priority")
