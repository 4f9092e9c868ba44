"""Recognising own output that comes back as input, by a patchbay or a client that plays it."""

from collections import deque
from dataclasses import dataclass

from perceivers.events import NoteOn
from perceivers.midi_numbers import NOTE_OFF, NOTE_ON


def canonical(message: bytes) -> bytes:
    """Return the one form of a note-off; anything else unchanged."""
    if len(message) == 3:
        kind, channel = message[0] & 0xF0, message[0] & 0x0F
        if kind == NOTE_OFF or (kind == NOTE_ON and message[2] == 0):
            return bytes((NOTE_OFF | channel, message[1], 0))
    return message


@dataclass(slots=True)
class _Left:
    """A message that has left."""

    message: bytes
    sent_ns: int
    came_back: bool = False


class LoopGuard:
    """Recognises own output that comes back as input. Shared by the two port threads."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._left: deque[_Left] = deque(maxlen=256)
        self.last_sent_ns = 0
        """When something was sent last."""

    def sent(self, message: bytes, now_ns: int) -> None:
        """Remember a message; to be called just before it leaves."""
        self.last_sent_ns = now_ns
        self._left.append(_Left(canonical(message), now_ns))

    def is_echo(self, message: bytes, arrival_ns: int) -> bool:
        """Tell whether this very message left a moment ago."""
        arrived = canonical(message)
        for left in reversed(self._left.copy()):
            if arrival_ns - left.sent_ns >= self._window_ns:
                return False
            if left.message == arrived and left.sent_ns <= arrival_ns:
                left.came_back = True
                return True
        return False

    def is_open_for(self, release: bytes) -> bool:
        """Tell whether no loop brings a release back: the strike that left before it never came.

        What goes round comes back in its order.
        """
        off = canonical(release)
        is_before = False
        for left in reversed(self._left.copy()):
            is_before = is_before or left.message == off
            is_strike = left.message[:1] == bytes((NOTE_ON | off[0] & 0x0F,))
            if is_before and is_strike and left.message[1] == off[1]:
                return not left.came_back
        return False

    def is_own_strike(self, note: NoteOn, now_ns: int) -> bool:
        """Tell whether this very note was struck a moment ago, on whatever channel."""
        struck = bytes((note.pitch, note.velocity))
        for left in reversed(self._left.copy()):
            if now_ns - left.sent_ns >= self._window_ns:
                return False
            if left.message[0] & 0xF0 == NOTE_ON and left.message[1:] == struck:
                return True
        return False
