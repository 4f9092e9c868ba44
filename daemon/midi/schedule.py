"""What is to be sent and when, and the laws of sending. No clock, no thread, no port.

The laws: whatever is struck is released exactly once; a note-on that comes late is dropped, and
its note-off with it, while a note-off is sent however late; a key that the player holds is
neither struck nor released (what is owed is released when the player lets go).
"""

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from daemon.midi.latency import NONE, Latency
from perceivers.events import Event, NoteOff, NoteOn, Pedal


@dataclass(frozen=True, slots=True, order=True)
class ScheduledMessage:
    """An event that shall leave on a channel (0 to 15) at a moment of the monotonic clock."""

    due_ns: int
    order: int  # of arrival: what is due at one instant leaves in the order in which it came
    event: Event = field(compare=False)
    channel: int = field(compare=False)
    latency_ns: int = field(compare=False, default=0)  # from leaving to sounding

    @property
    def sounds_ns(self) -> int:
        """When it sounds, if it leaves when it is due."""
        return self.due_ns + self.latency_ns


class Schedule:
    """The queue of what is to be sent, and what sounds because of what was sent.

    latency: of the instrument; what is planned leaves so much before the moment at which it sounds.
    """

    def __init__(self, late_after_ns: int, latency: Latency = NONE) -> None:
        self.counts: Counter[str] = Counter()
        """What was not sent, by reason: `late`, `held` and `unmatched`."""
        self._late_after_ns = late_after_ns
        self._latency = latency
        self._planned: list[ScheduledMessage] = []
        self._urgent: list[ScheduledMessage] = []
        self._order = 0
        self._held: frozenset[int] = frozenset()
        self._channel_of: dict[int, int] = {}
        self._owed: set[int] = set()
        self._comes_up_ns: dict[int, int] = {}  # when the last planned release of a key leaves
        self._pedal_channel: int | None = None

    @property
    def sounding(self) -> dict[int, int]:
        """The pitches that were struck and not yet released, each with its channel."""
        return dict(self._channel_of)

    @property
    def pedal_channel(self) -> int | None:
        """The channel on which the pedal is down; None while it is up."""
        return self._pedal_channel

    def add(self, sounds_ns: int, event: Event, channel: int) -> None:
        """Plan an event that shall sound at a moment; the events of one key come in their order.

        A strike that would have to leave before the key has come up leaves, and sounds, later.
        """
        due_ns = sounds_ns - self._latency.of(event)
        if self._latency.by_velocity:
            due_ns = self._after_release(event, due_ns)
        heapq.heappush(self._planned, self._message(due_ns, event, channel))

    def _after_release(self, event: Event, due_ns: int) -> int:
        if isinstance(event, NoteOn):
            return max(due_ns, self._comes_up_ns.get(event.pitch, due_ns))
        if isinstance(event, NoteOff):
            self._comes_up_ns[event.pitch] = due_ns
        return due_ns

    def next_due_ns(self) -> int | None:
        """Return when there is something to do next; None if nothing is planned."""
        if self._urgent:
            return self._urgent[0].due_ns
        return self._planned[0].due_ns if self._planned else None

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is to be sent and nothing sounds but under the player's own fingers."""
        is_silent = self._channel_of.keys() <= self._owed and self._pedal_channel is None
        return is_silent and self.next_due_ns() is None

    def is_free(self, pitch: int) -> bool:
        """Tell whether neither the player nor anything sent holds a pitch."""
        return pitch not in self._held and pitch not in self._channel_of

    def take(self, now_ns: int) -> ScheduledMessage | None:
        """Return the next message that must leave now; None when nothing is due.

        From here on it counts as sent.
        """
        while True:
            queue = self._urgent or self._planned
            if not queue or queue[0].due_ns > now_ns:
                return None
            leaving = self._lawful(heapq.heappop(queue), now_ns)
            if leaving is not None:
                return leaving

    def hold(self, held: frozenset[int], now_ns: int) -> None:
        """Take note of the keys that the player holds; pay what is owed on the others."""
        self._held = held
        for pitch in sorted(self._owed - held):
            self._owed.discard(pitch)
            self._release_pitch(pitch, now_ns)

    def withdraw(self, after_ns: int) -> None:
        """Forget what is planned to sound later than a moment; what sounds goes on."""
        self._planned = [message for message in self._planned if message.sounds_ns <= after_ns]
        self._comes_up_ns.clear()
        heapq.heapify(self._planned)

    def release(self, now_ns: int, *, even_held: bool = False) -> None:
        """Forget every plan and let go of all that sounds, at once.

        `even_held`: also of the keys that the player holds, as far as is known.
        """
        self._planned.clear()
        self._comes_up_ns.clear()
        self._urgent.clear()  # holds note-offs alone, and each comes again here
        if even_held:
            self._held = frozenset()
        for pitch in sorted(self._channel_of):
            self._release_pitch(pitch, now_ns)
        if self._pedal_channel is not None:
            self._urgently(Pedal(down=False), self._pedal_channel, now_ns)

    def adopt(self, sounding: Iterable[tuple[int, int]], pedal_channel: int | None) -> None:
        """Take over what someone else struck on this output: (pitch, channel) of each note."""
        self._channel_of.update(sounding)
        if pedal_channel is not None:
            self._pedal_channel = pedal_channel

    def unsend(self, message: ScheduledMessage) -> None:
        """Take note that the port refused a message.

        A refused strike may yet have left, so it counts as sounding; a refused release has not.
        """
        if isinstance(message.event, NoteOff):
            self._channel_of[message.event.pitch] = message.channel
        elif isinstance(message.event, Pedal) and not message.event.down:
            self._pedal_channel = message.channel

    def _message(self, due_ns: int, event: Event, channel: int) -> ScheduledMessage:
        self._order += 1
        return ScheduledMessage(due_ns, self._order, event, channel, self._latency.of(event))

    def _urgently(self, event: Event, channel: int, now_ns: int) -> None:
        heapq.heappush(self._urgent, self._message(now_ns, event, channel))

    def _release_pitch(self, pitch: int, now_ns: int) -> None:
        self._urgently(NoteOff(pitch), self._channel_of[pitch], now_ns)

    def _lawful(self, message: ScheduledMessage, now_ns: int) -> ScheduledMessage | None:
        """Return what may leave for a message that is due, and keep account of what sounds."""
        event = message.event
        if isinstance(event, NoteOn):
            return self._strike(event, message, now_ns)
        if isinstance(event, NoteOff):
            return self._let_go(event, message)
        if event.down and self._pedal_channel is None:
            self._pedal_channel = message.channel
            return message
        if not event.down and self._pedal_channel is not None:
            went_down_on, self._pedal_channel = self._pedal_channel, None
            return replace(message, channel=went_down_on)
        self.counts["unmatched"] += 1
        return None

    def _strike(
        self, event: NoteOn, message: ScheduledMessage, now_ns: int
    ) -> ScheduledMessage | None:
        if event.pitch in self._held:
            self.counts["held"] += 1
            return None
        if now_ns - message.due_ns > self._late_after_ns:
            self.counts["late"] += 1
            return None
        sounds_on = self._channel_of.pop(event.pitch, None)
        if sounds_on is not None:  # struck again: released first, and the strike waits its turn
            heapq.heappush(self._planned, message)
            off, latency_ns = NoteOff(event.pitch), self._latency.common_ns
            return replace(message, event=off, channel=sounds_on, latency_ns=latency_ns)
        self._channel_of[event.pitch] = message.channel
        return message

    def _let_go(self, event: NoteOff, message: ScheduledMessage) -> ScheduledMessage | None:
        """Release on the channel on which the note was struck, whatever was planned since."""
        if event.pitch not in self._channel_of:
            self.counts["unmatched"] += 1
            return None
        if event.pitch in self._held:
            self._owed.add(event.pitch)
            return None
        self._owed.discard(event.pitch)
        return replace(message, channel=self._channel_of.pop(event.pitch))
