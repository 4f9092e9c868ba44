"""What leaves through the output port and what is told of it, by the laws of the schedule.

No thread and no clock of its own: it is told what to do, and `work` does what is due.
"""

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, MutableSequence

from daemon.messages.turns import Released
from daemon.midi.beside import Beside
from daemon.midi.footprint import Footprint
from daemon.midi.loop_guard import LoopGuard
from daemon.midi.ports import OutputPort, SendError
from daemon.midi.reports import OutputBack, OutputLost, Panicked, Report, Sent
from daemon.midi.schedule import Schedule, ScheduledMessage
from perceivers.events import Event, NoteOff, NoteOn, Pedal
from perceivers.midi_files import message_bytes
from perceivers.midi_numbers import (
    CHANNELS,
    CONTROL_CHANGE,
    NOTE_OFF,
    NOTES_OFF,
    SOFT,
    SOSTENUTO,
    SOUND_OFF,
    SUSTAIN,
)

_PACE_NS = 500_000  # between messages of a flood: receivers lose what comes faster
_REPEAT_AFTER_NS = (1_000_000_000, 3_000_000_000)


class Sending:
    """Sends events at their moments and keeps the laws of the schedule, whatever happens.

    `tell` is called with every report, `now_ns` is the monotonic clock. `footprint` outlives a
    killed process, and tells its successor what sounds.
    """

    def __init__(
        self,
        port: OutputPort,
        schedule: Schedule,
        guard: LoopGuard,
        tell: Callable[[Report], None],
        footprint: MutableSequence[int],
        now_ns: Callable[[], int],
    ) -> None:
        self.lateness_ms: deque[float] = deque(maxlen=1000)
        """How late the last messages left."""
        self.lost = False
        """Whether the port has refused a message and not yet taken one again."""
        self._port = port
        self._schedule = schedule
        self._guard = guard
        self._tell = tell
        self._footprint = Footprint(footprint)
        self._beside = Beside(self._footprint, self._put, lambda: schedule.pedal_channel)
        self._now_ns = now_ns
        self._raw: list[tuple[int, int, bytes]] = []  # (due_ns, order, message)
        self._order = itertools.count()
        self._panicking = False
        self._ending = False  # Released is owed
        self._silent: list[tuple[int, int, Event]] = []  # left, and sounds at (ns, order) only

    @property
    def counts(self) -> dict[str, int]:
        """How many planned messages were not sent, by reason."""
        return dict(self._schedule.counts)

    def play(self, events: Iterable[tuple[int, Event]], channel: int) -> None:
        """Plan events, each at the moment at which it sounds, on a channel (0 to 15)."""
        if self.lost:
            return
        for sounds_ns, event in events:
            self._schedule.add(sounds_ns, event, channel)

    def hold(self, held: frozenset[int]) -> None:
        """Take note of the keys that the player holds."""
        self._schedule.hold(held, self._now_ns())

    def withdraw(self, after_ns: int) -> None:
        """Forget what is planned for later than a moment; what sounds waits for another plan."""
        self._schedule.withdraw(after_ns)
        self._ending = False

    def release(self) -> None:
        """Forget what is planned and let go of all that sounds; `Released` follows.

        Once this returns, no note-on planned before leaves.
        """
        self._schedule.release(self._now_ns())
        self._ending = True

    def finish(self) -> None:
        """Let go of all that sounds once the plan has been sent; `Released` follows."""
        self._ending = True

    def panic(self) -> None:
        """Release everything and tell every channel to be silent; `Panicked` follows."""
        now_ns = self._now_ns()
        self._schedule.release(now_ns, even_held=True)
        self._ending = True
        self._raw.clear()
        self._panicking = True
        self._flood(_silence_messages(), now_ns)

    def leave(self) -> None:
        """Let go of everything, for nothing will be sent any more."""
        self._raw.clear()
        self._schedule.release(self._now_ns(), even_held=True)
        self.aside(Beside.end)

    def tell_all(self) -> None:
        """Tell now what has left, also of what does not sound yet."""
        self._tell_sounding(math.inf)

    def aside(self, do: Callable[[Beside], None]) -> None:
        """Let something leave beside the answer, at once; nothing while the port is lost."""
        if self.lost:
            return
        try:
            do(self._beside)
        except SendError as error:
            self.lose(str(error))

    def pass_on(self, message: bytes) -> None:
        """Let a message of the player's pass, at once, or not."""
        self.aside(lambda beside: beside.pass_on(message))

    def let_through(self, *, is_open: bool, half_pedal: bool) -> None:
        """Say what of the player's own passes on from now on."""
        self._beside.thru.is_open = is_open
        self._beside.thru.half_pedal = half_pedal

    def show(self, message: bytes) -> None:
        """Send a message that is no music, such as one for a light, as soon as may be."""
        if not self.lost:
            self._flood([message], self._now_ns())

    def take_over(self) -> None:
        """Release what the footprint says a killed predecessor left sounding.

        Its connections died with it; so the note-offs are repeated when somebody may have made
        them anew.
        """
        now_ns = self._now_ns()
        sounding, pedal = self._footprint.sounding, self._footprint.pedal_channel
        self._schedule.adopt(sounding, pedal)
        self._schedule.release(now_ns)
        offs = [message_bytes(NoteOff(pitch), channel) for pitch, channel in sounding]
        offs += [
            message_bytes(NoteOff(pitch), channel) for channel, pitch in self._footprint.passed_keys
        ]
        if pedal is not None:
            offs.append(message_bytes(Pedal(down=False), pedal))
        self.aside(Beside.end)
        for after_ns in _REPEAT_AFTER_NS:
            self._flood(offs, now_ns + after_ns)

    def _flood(self, messages: Iterable[bytes], from_ns: int) -> None:
        """Plan messages a little apart."""
        for place, message in enumerate(messages):
            due_ns = from_ns + place * _PACE_NS
            heapq.heappush(self._raw, (due_ns, next(self._order), message))

    def next_due_ns(self) -> int | None:
        """Return when something is to be sent or told next; None if nothing is planned."""
        due = [raw[0] for raw in self._raw[:1]] + [silent[0] for silent in self._silent[:1]]
        planned = (self._schedule.next_due_ns(), self._beside.next_due_ns)
        return min([*due, *(each for each in planned if each is not None)], default=None)

    def work(self) -> None:
        """Send what is due, or try a port that is gone; and tell what has come to its end."""
        if self.lost:
            self._recover()
        else:
            self._send_due()
        self._tell_sounding(self._now_ns())
        self._tell_ends()

    def _send_due(self) -> None:
        try:
            while (message := self._schedule.take(now_ns := self._now_ns())) is not None:
                self._send_planned(message, now_ns)
            self._beside.work(self._now_ns())
            while self._raw and self._raw[0][0] <= self._now_ns():
                self._send_raw(heapq.heappop(self._raw)[2])
        except SendError as error:
            self.lose(str(error))

    def _send_planned(self, message: ScheduledMessage, now_ns: int) -> None:
        event, channel = message.event, message.channel
        if isinstance(event, NoteOn) or event == Pedal(down=True):
            self._footprint.mark(event, channel)
        try:
            self._put(self._data_of(message))
        except SendError:
            self._schedule.unsend(message)
            raise
        self._footprint.mark(event, channel)
        self.lateness_ms.append((now_ns - message.due_ns) / 1e6)
        if message.latency_ns:
            silent = now_ns + message.latency_ns, next(self._order), event
            heapq.heappush(self._silent, silent)
        else:
            self._tell(Sent(now_ns, event))

    def _data_of(self, message: ScheduledMessage) -> bytes:
        """Return the bytes; where the player's own pedal is passed on, it is what is left."""
        if message.event == Pedal(down=False):
            value = self._beside.thru.pedal(message.channel)
            return bytes((CONTROL_CHANGE | message.channel, SUSTAIN, value))
        return message_bytes(message.event, message.channel)

    def _put(self, data: bytes) -> None:
        self._guard.sent(data, self._now_ns())
        self._port.send(data)

    def _send_raw(self, data: bytes) -> None:
        is_note_off = data[0] & 0xF0 == NOTE_OFF
        if is_note_off and not self._schedule.is_free(data[1]):
            return  # a repeated release must not cut what has been struck since
        self._put(data)

    def _tell_sounding(self, until_ns: float) -> None:
        """Tell what has left and sounds by a moment."""
        while self._silent and self._silent[0][0] <= until_ns:
            sounds_ns, _, event = heapq.heappop(self._silent)
            self._tell(Sent(min(sounds_ns, self._now_ns()), event))

    def _tell_ends(self) -> None:
        if self._ending and self._has_ended():
            self._ending = False
            self._tell(Released())
        if self._panicking and (self.lost or not self._raw):
            self._panicking = False
            self._tell(Panicked())

    def _has_ended(self) -> bool:
        """Tell whether nothing is planned and nothing sounds; if only the latter, see to it."""
        if self.lost or (self._schedule.is_at_rest and not self._silent):
            return True
        if self._schedule.next_due_ns() is None:
            self._schedule.release(self._now_ns())
        return False

    def lose(self, reason: str) -> None:
        """Give the port up for now: what was planned is forgotten, what sounds is owed."""
        self.lost = True
        self._raw.clear()
        self._beside.give_up()
        self._schedule.release(self._now_ns())
        self.tell_all()
        self._tell(OutputLost(reason))

    def _recover(self) -> None:
        """Try the port; if it takes the note-offs that are due, all is well again."""
        if not self._port.reopen():
            return
        self._schedule.release(self._now_ns())
        try:
            self._port.send(message_bytes(Pedal(down=False), 0))
            while (message := self._schedule.take(now_ns := self._now_ns())) is not None:
                self._send_planned(message, now_ns)
            self._beside.end()
        except SendError:
            return
        self.lost = False
        self._tell(OutputBack())


def _silence_messages() -> list[bytes]:
    controllers = (SUSTAIN, SOSTENUTO, SOFT, SOUND_OFF, NOTES_OFF)
    return [
        bytes((CONTROL_CHANGE | channel, controller, 0))
        for channel in range(CHANNELS)
        for controller in controllers
    ]
