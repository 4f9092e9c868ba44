"""What of the player's own passes on to the output, and what is owed there for it.

No thread and no port: messages come in, and what is to leave goes out. Whatever was passed on and
is down can be released, by the player or without him.
"""

from daemon.midi.footprint import Footprint
from perceivers.events import NoteOff, Pedal, PedalSwitch
from perceivers.midi_files import message_bytes
from perceivers.midi_numbers import (
    CHANNELS,
    CONTROL_CHANGE,
    HIGHEST_VALUE,
    NOTE_OFF,
    NOTE_ON,
    NOTES_OFF,
    PITCH_BEND,
    SOUND_OFF,
    SUSTAIN,
)


class Thru:
    """Lets messages of channels pass while it is open, and releases always.

    `is_open` and `half_pedal` may be set at any time. With `half_pedal` the sustain pedal passes as
    it is moved, otherwise as down or up.
    """

    def __init__(self, footprint: Footprint) -> None:
        self.is_open = False
        self.half_pedal = True
        self._footprint = footprint
        self._keys: set[tuple[int, int]] = set(footprint.passed_keys)  # (channel, pitch)
        self._pedals = [0] * CHANNELS
        for channel in footprint.passed_pedals:
            self._pedals[channel] = HIGHEST_VALUE
        self._switches = [PedalSwitch() for _ in range(CHANNELS)]

    def pedal(self, channel: int) -> int:
        """Return where the player's pedal is on a channel, 0 to 127, if it was passed on."""
        return self._pedals[channel]

    def admits(self, message: bytes, pedal_channel: int | None) -> bytes | None:
        """Return what is to leave for a message that came in; None for nothing.

        pedal_channel: the channel on which the Performer holds the pedal; there the player's waits.
        """
        kind, channel = message[0] & 0xF0, message[0] & 0x0F
        if not NOTE_OFF <= kind <= PITCH_BEND:
            return None
        if kind in (NOTE_OFF, NOTE_ON):
            return self._key(message, channel, is_strike=kind == NOTE_ON and message[2] > 0)
        if kind == CONTROL_CHANGE and message[1] == SUSTAIN:
            return self._pedal_moves(channel, message[2], pedal_channel)
        return message if self.is_open else None

    def _key(self, message: bytes, channel: int, *, is_strike: bool) -> bytes | None:
        key = channel, message[1]
        if not is_strike:
            return message if key in self._keys else None
        if not self.is_open:
            return None
        self._keys.add(key)
        self._footprint.mark_passed_key(*key, down=True)
        return message

    def _pedal_moves(self, channel: int, value: int, pedal_channel: int | None) -> bytes | None:
        if not self.half_pedal:
            switch = self._switches[channel]
            switch.feed(value)
            value = HIGHEST_VALUE if switch.down else 0
        if not self.is_open:  # it may come up, not go down
            value = min(value, self._pedals[channel])
        if value == self._pedals[channel]:
            return None
        self._pedals[channel] = value
        if value or channel == pedal_channel:
            self._footprint.mark_passed_pedal(channel, value)
        if channel == pedal_channel:
            return None
        return bytes((CONTROL_CHANGE | channel, SUSTAIN, value))

    def left(self, message: bytes) -> None:
        """Take note that a message has left."""
        kind, channel, number = message[0] & 0xF0, message[0] & 0x0F, message[1]
        if kind == NOTE_OFF or (kind == NOTE_ON and not message[2]):
            self._keys.discard((channel, number))
            self._footprint.mark_passed_key(channel, number, down=False)
        elif kind == CONTROL_CHANGE and number == SUSTAIN and not self._pedals[channel]:
            self._footprint.mark_passed_pedal(channel, 0)
        elif kind == CONTROL_CHANGE and number in (SOUND_OFF, NOTES_OFF):
            for key in [key for key in self._keys if key[0] == channel]:
                self._keys.discard(key)
                self._footprint.mark_passed_key(*key, down=False)

    def releases(self, pedal_channel: int | None = None) -> list[bytes]:
        """Return what releases all that was passed on; the Performer's own pedal stays down."""
        offs = [message_bytes(NoteOff(pitch), channel) for channel, pitch in sorted(self._keys)]
        for channel in range(CHANNELS):
            if self._pedals[channel]:
                self._pedals[channel] = 0
                self._switches[channel] = PedalSwitch()
                if channel != pedal_channel:
                    offs.append(message_bytes(Pedal(down=False), channel))
                else:
                    self._footprint.mark_passed_pedal(channel, 0)
        return offs
