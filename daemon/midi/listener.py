"""What the input port receives, and when it was played; what is an echo, and what passes on."""

from collections.abc import Callable

from daemon.messages.turns import Moved, ProgramChanged, Switched
from daemon.midi.loop_guard import LoopGuard
from daemon.midi.parser import EVERYTHING, MidiParser, Played, PlayersPart
from daemon.midi.ports import InputPort
from perceivers.events import Event, NoteOn
from perceivers.midi_numbers import (
    CHANNEL_PRESSURE,
    CLOCK,
    HIGHEST_VALUE,
    NOTE_OFF,
    PROGRAM_CHANGE,
    SYSTEM,
)

QUIET_AFTER_NS = 1_000_000_000
_MAX_DRIFT = 2e-4  # two clocks agree to 100 parts in a million each
_MAX_CORRECTION_NS = 100_000_000


class InputClock:
    """Tells when a message was played, from its distance to the one before.

    The distances come from the system and are exact; the moment of arrival is late by whatever
    held this process up. So the sum of the distances is anchored to the earliest arrival. The
    anchor may creep, for two clocks never agree; it never puts a message into the future, nor
    far into the past.
    """

    def __init__(self) -> None:
        self._sum_ns = 0
        self._anchor_ns: int | None = None
        self._arrival_ns = 0
        self._last_ns = 0

    def time_ns(self, delta_s: float, arrival_ns: int) -> int:
        """Return the moment of a message; moments never run backwards."""
        self._sum_ns += round(delta_s * 1e9)
        candidate_ns = arrival_ns - self._sum_ns
        if self._anchor_ns is None or candidate_ns - self._anchor_ns > _MAX_CORRECTION_NS:
            self._anchor_ns = candidate_ns
        else:
            creep_ns = round((arrival_ns - self._arrival_ns) * _MAX_DRIFT)
            self._anchor_ns = min(self._anchor_ns + creep_ns, candidate_ns)
        self._arrival_ns = arrival_ns
        self._last_ns = max(self._last_ns, self._anchor_ns + self._sum_ns)
        return self._last_ns


class Listener:
    """Turns what a port receives into what the player did. No thread, no clock of its own.

    What releases a key that is down is an echo only where a loop is known to be: what is passed on
    must not hang because a key was struck twice in a moment.
    """

    def __init__(
        self,
        port: InputPort,
        guard: LoopGuard,
        part: PlayersPart = EVERYTHING,
        pass_on: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        """`pass_on` is called with each message that sounds, whoever's part it is."""
        self.port = port
        self._pass_on = pass_on
        self.parser = MidiParser(part)
        self.echoes = 0
        self.passes = False
        """Whether what is played is passed on, and so must be seen at once, also after a pause."""
        self._guard = guard
        self._clock = InputClock()
        self._last_received_ns = 0

    def is_quiet(self, now_ns: int) -> bool:
        """Tell whether nobody has played for a while, on either port, and nobody would notice."""
        if self.passes:
            return False
        last_ns = max(self._last_received_ns, self._guard.last_sent_ns)
        return now_ns - last_ns > QUIET_AFTER_NS

    def take(self, now_ns: int) -> tuple[int, Played] | None:
        """Return the next thing played and its moment; None when nothing is waiting."""
        while (received := self.port.receive()) is not None:
            message, delta_s = received
            time_ns = self._clock.time_ns(delta_s, now_ns)
            if message[:1] != bytes((CLOCK,)):  # that somebody counts does not say that he plays
                self._last_received_ns = now_ns
            if self._is_echo(message, now_ns):
                self.echoes += 1
                continue
            played = self.parser.parse(message)
            if not isinstance(played, Switched | Moved | ProgramChanged) and _sounds(message):
                self._pass_on(message)
            if played is not None:
                return time_ns, played
        return None

    def _is_echo(self, message: bytes, now_ns: int) -> bool:
        if not self._guard.is_echo(message, now_ns):
            return False
        return not (self.parser.releases(message) and self._guard.is_open_for(message))

    def is_echo(self, event: Event, now_ns: int) -> bool:
        """Tell, of what came by another way, whether it is own output that came back.

        A client may play what it hears of the output port, and on another channel. Only strikes
        are told: the release of a key that is up says nothing.
        """
        is_echo = isinstance(event, NoteOn) and self._guard.is_own_strike(event, now_ns)
        self.echoes += is_echo
        return is_echo

    def lost(self) -> None:
        """Start afresh: the port is gone, and so are the keys that were down."""
        before = self.parser
        self.parser = MidiParser(before.part)
        self.parser.counts, self.parser.switch = before.counts, before.switch
        self.parser.mapped = before.mapped
        self._clock = InputClock()


def _sounds(message: bytes) -> bool:
    """Tell whether a message is one of a channel, and whole."""
    if not message or not NOTE_OFF <= message[0] < SYSTEM:
        return False
    is_short = message[0] & 0xF0 in (PROGRAM_CHANGE, CHANNEL_PRESSURE)
    return len(message) == (2 if is_short else 3) and max(message[1:]) <= HIGHEST_VALUE
