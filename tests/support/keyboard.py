"""A MIDI keyboard that sends whatever a test says, and can be unplugged."""

import rtmidi

PORT = "out"
JACK, ALSA = rtmidi.API_UNIX_JACK, rtmidi.API_LINUX_ALSA


class Keyboard:
    """A client of JACK, or of the ALSA sequencer, with one port, which plays when it is told."""

    def __init__(self, name: str, system: int = JACK) -> None:
        self.port = f"{name}:{PORT}"
        self._midi = rtmidi.MidiOut(rtapi=system, name=name)
        self._midi.open_virtual_port(PORT)

    def __enter__(self) -> "Keyboard":
        return self

    def send(self, *messages: tuple[int, ...]) -> None:
        """Send messages, at once."""
        for message in messages:
            self._midi.send_message(message)

    def strike(self, *pitches: int) -> None:
        """Strike keys."""
        self.send(*((0x90, pitch, 70) for pitch in pitches))

    def release(self, *pitches: int) -> None:
        """Let go of keys."""
        self.send(*((0x80, pitch, 0) for pitch in pitches))

    def unplug(self) -> None:
        """Vanish, whatever is held."""
        if not self._midi.is_deleted:
            self._midi.close_port()
            self._midi.delete()

    def __exit__(self, *_: object) -> None:
        self.unplug()
