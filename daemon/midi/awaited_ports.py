"""Ports that are taken as soon as there is a MIDI system; until then nobody plays, nobody hears."""

import logging

from daemon.midi.ports import (
    InputPort,
    NoMidiError,
    OutputPort,
    may_have_midi,
    open_input,
    open_output,
)
from daemon.settings import MidiSettings
from perceivers.errors import PortNotFound

logger = logging.getLogger(__name__)


def open_ports(midi: MidiSettings, *, may_be_missing: bool) -> tuple[InputPort, OutputPort]:
    """Open input and output.

    `may_be_missing`: where there is no MIDI system, return ports that wait for one. Otherwise, and
    where a port of a given name is not there, raise PortNotFound.
    """
    try:
        return _open_both(midi)
    except NoMidiError as error:
        if not may_be_missing:
            raise
        logger.warning("%s. Until there are ports, the page is the only way in and out", error)
        output = AwaitedOutput()
        return AwaitedInput(midi, output), output


def _open_both(midi: MidiSettings) -> tuple[InputPort, OutputPort]:
    output = open_output(midi.client_out, midi.output)
    try:
        return open_input(midi.client_in, midi.input), output
    except BaseException:
        output.close()
        raise


class AwaitedOutput:
    """An output that is heard by nobody before there is a port."""

    def __init__(self) -> None:
        self.port: OutputPort | None = None

    @property
    def name(self) -> str | None:
        """What the user knows the port by; None before there is one."""
        return None if self.port is None else self.port.name

    def send(self, message: bytes) -> None:
        """Send one complete message. Raises SendError."""
        if self.port is not None:
            self.port.send(message)

    def is_present(self) -> bool:
        """Tell whether the port is still there, if there was one."""
        return self.port is None or self.port.is_present()

    def reopen(self) -> bool:
        """Try to open a port that was gone; tell whether it is open now."""
        return self.port is None or self.port.reopen()

    def close(self) -> None:
        """Close the port, if there is one."""
        if self.port is not None:
            self.port.close()


class AwaitedInput:
    """An input on which nobody plays before there is a port; it looks for one, for both."""

    def __init__(self, midi: MidiSettings, output: AwaitedOutput) -> None:
        self._midi = midi
        self._output = output
        self._port: InputPort | None = None
        self._told: str | None = None

    @property
    def name(self) -> str | None:
        """What the user knows the port by; None before there is one."""
        return None if self._port is None else self._port.name

    def receive(self) -> tuple[bytes, float] | None:
        """Return a waiting message and the seconds since the one before, or None."""
        return None if self._port is None else self._port.receive()

    def is_present(self) -> bool:
        """Look for ports while there are none; then tell whether the input is still there."""
        if self._port is None:
            self._look()
            return True
        return self._port.is_present()

    def reopen(self) -> bool:
        """Try to open a port that was gone; tell whether it is open now."""
        return self._port is None or self._port.reopen()

    def close(self) -> None:
        """Close the port, if there is one."""
        if self._port is not None:
            self._port.close()

    def _look(self) -> None:
        if not may_have_midi():
            return
        try:
            self._port, self._output.port = _open_both(self._midi)
        except PortNotFound as error:
            if str(error) != self._told:
                logger.warning("%s", error)
            self._told = str(error)
        else:
            logger.info("listening on %r, playing on %r now", self.name, self._output.name)
