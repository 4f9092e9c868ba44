"""What was seen on a MIDI wire, and the promises that it must keep."""

from collections.abc import Sequence
from typing import NamedTuple

NOTE_OFF, NOTE_ON, CONTROL_CHANGE = 0x80, 0x90, 0xB0
SUSTAIN = 64
ALL_SOUND_OFF, ALL_NOTES_OFF = 120, 123


class Seen(NamedTuple):
    """One message, at the recorder's time."""

    time_s: float
    data: bytes

    @property
    def channel(self) -> int:
        return self.data[0] & 0x0F

    @property
    def kind(self) -> int:
        return self.data[0] & 0xF0

    @property
    def is_note_on(self) -> bool:
        return self.kind == NOTE_ON and self.data[2] > 0

    @property
    def is_note_off(self) -> bool:
        return self.kind == NOTE_OFF or (self.kind == NOTE_ON and self.data[2] == 0)


def of_channel(seen: Sequence[Seen], channel: int) -> list[Seen]:
    return [message for message in seen if message.channel == channel]


def note_ons(seen: Sequence[Seen]) -> list[Seen]:
    return [message for message in seen if message.is_note_on]


def sounding(seen: Sequence[Seen]) -> set[int]:
    """Return the pitches that were struck and not released."""
    down: set[int] = set()
    for message in seen:
        if message.is_note_on:
            down.add(message.data[1])
        elif message.is_note_off:
            down.discard(message.data[1])
    return down


def pedal_is_down(seen: Sequence[Seen]) -> bool:
    positions = [m.data[2] for m in seen if m.kind == CONTROL_CHANGE and m.data[1] == SUSTAIN]
    return bool(positions) and positions[-1] >= 64


def assert_well_formed(seen: Sequence[Seen]) -> None:
    """Only whole note and pedal messages, and what silences a channel."""
    for message in seen:
        assert len(message.data) == 3, message
        assert message.kind in (NOTE_OFF, NOTE_ON, CONTROL_CHANGE), message
        assert max(message.data[1:]) < 128, message
        if message.kind == CONTROL_CHANGE:
            assert message.data[1] in (SUSTAIN, ALL_SOUND_OFF, ALL_NOTES_OFF), message


def assert_notes_alternate(seen: Sequence[Seen]) -> None:
    """No key is struck twice without a release between, and none released that is not down."""
    down: set[int] = set()
    for message in seen:
        if message.is_note_on:
            assert message.data[1] not in down, f"struck while sounding: {message}"
            down.add(message.data[1])
        elif message.is_note_off:
            assert message.data[1] in down, f"released while silent: {message}"
            down.remove(message.data[1])


def assert_silent_at_the_end(seen: Sequence[Seen]) -> None:
    assert sounding(seen) == set()
    assert not pedal_is_down(seen)
