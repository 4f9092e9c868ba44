"""MIDI ports: virtual or named, always with the system's MIDI interface named explicitly.

The only importer of rtmidi, which is loaded late: it cannot even be imported where the ALSA
library is missing. Input is polled, never called back: a callback deadlocks when its port closes.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from perceivers.errors import PerformerError, PortNotFound

INPUT_PORT = "in"
OUTPUT_PORT = "out"

_ALSA_SEQUENCER = Path("/dev/snd/seq")
_UNIX_SOCKETS = Path("/proc/net/unix")
_QUEUE_SIZE = 8192  # messages; the default of 1024 overflows while a thread is held up
_STDERR = 2
_NO_MIDI = {
    "linux": "no ALSA sequencer (/dev/snd/seq) and no JACK server; "
    "load it with 'modprobe snd-seq', or start jackd",
    "darwin": "CoreMIDI does not answer; restart the session, or open Audio MIDI Setup once",
    "win32": "Windows MIDI does not answer",
}
_NO_VIRTUAL = (
    "this system has no virtual MIDI ports; install one (loopMIDI, say) and name it with "
    "--input and --output"
)


PRESENCE_S = 1.0
"""How often is looked whether a port is there."""


class NoMidiError(PortNotFound):
    """There is no MIDI system, or none that lets programs have ports of their own."""


class SendError(PerformerError, OSError):
    """The output port did not take a message."""


class InputPort(Protocol):
    """A source of MIDI messages."""

    @property
    def name(self) -> str | None:
        """What the user knows the port by; None where there is no port behind it."""

    def receive(self) -> tuple[bytes, float] | None:
        """Return a waiting message and the seconds since the one before, or None."""

    def is_present(self) -> bool:
        """Tell whether the port is still there. Raises PortNotFound when all MIDI is gone."""

    def reopen(self) -> bool:
        """Try to open a port that was gone; tell whether it is open now."""

    def close(self) -> None:
        """Close the port and remove it."""


class OutputPort(Protocol):
    """A sink of MIDI messages."""

    @property
    def name(self) -> str | None:
        """What the user knows the port by; None where there is no port behind it."""

    def send(self, message: bytes) -> None:
        """Send one complete message. Raises SendError."""

    def is_present(self) -> bool:
        """Tell whether the port is still there. Raises PortNotFound when all MIDI is gone."""

    def reopen(self) -> bool:
        """Try to open a port that was gone; tell whether it is open now."""

    def close(self) -> None:
        """Close the port and remove it."""


def open_input(client_name: str, wanted: str | None = None) -> InputPort:
    """Open a virtual input port, or the present one whose name contains `wanted`.

    Raises PortNotFound.
    """
    return _Input(_open_client("MidiIn", client_name), f"{client_name}:{INPUT_PORT}", wanted)


def open_output(client_name: str, wanted: str | None = None) -> OutputPort:
    """Open a virtual output port, or the present one whose name contains `wanted`.

    Raises PortNotFound.
    """
    return _Output(_open_client("MidiOut", client_name), f"{client_name}:{OUTPUT_PORT}", wanted)


def list_ports() -> tuple[list[str], list[str]]:
    """Return the names of the inputs and of the outputs that are present."""
    names = []
    for kind in ("MidiIn", "MidiOut"):
        client = _open_client(kind, "Performer List")
        try:
            names.append([plain_name(name) for name in client.get_ports()])
        finally:
            client.delete()
    return names[0], names[1]


def plain_name(name: str) -> str:
    """Return a port's name without the numbers that ALSA gives anew at every plugging in."""
    return re.sub(r"\s+\d+:\d+$", "", name)


def may_have_midi() -> bool:
    """Tell, by a short look, whether a MIDI system may have appeared where there was none."""
    if not sys.platform.startswith("linux"):
        return False  # elsewhere it is part of the system: there from the start, or never
    return _ALSA_SEQUENCER.exists() or _jack_is_listed()


def _jack_is_listed() -> bool:
    """Tell whether the socket of the JACK server is among those that the system lists."""
    if not _UNIX_SOCKETS.exists():
        return False
    server = os.environ.get("JACK_DEFAULT_SERVER", "default")
    socket = f"jack_{server}_{os.getuid()}_0"
    return socket in _UNIX_SOCKETS.read_text(encoding="utf-8", errors="replace")


class _Port:
    """What input and output have in common: opening, names, closing."""

    kind = ""

    def __init__(self, client: Any, virtual_name: str, wanted: str | None) -> None:
        self._client = client
        self._wanted = wanted
        self._is_open = False
        uses_jack = client.get_current_api() == _rtmidi().API_UNIX_JACK
        self._watches_jack = uses_jack and _jack_is_listed()
        self.name = virtual_name if wanted is None else wanted
        if wanted is None:
            self._open_virtual(virtual_name.rpartition(":")[2])
        elif not self.reopen():
            available = ", ".join(repr(plain_name(name)) for name in client.get_ports())
            client.delete()
            raise PortNotFound(
                f"MIDI {self.kind} {wanted!r} not found; available: {available or 'none'}"
            )

    def _open_virtual(self, port_name: str) -> None:
        try:
            self._client.open_virtual_port(port_name)
        except (NotImplementedError, _rtmidi().RtMidiError) as error:
            self._client.delete()
            raise NoMidiError(_NO_VIRTUAL) from error
        self._is_open = True

    def is_present(self) -> bool:
        if self._server_is_gone():
            raise PortNotFound("the JACK server is gone; start it again")
        return self._wanted is None or self._index() is not None

    def _server_is_gone(self) -> bool:
        """Tell whether JACK ended; its port then takes messages in silence, and lists itself."""
        return self._watches_jack and not _jack_is_listed()

    def reopen(self) -> bool:
        if self._wanted is None:
            return True
        index = self._index()
        if index is None:
            return False
        if self._is_open:
            self._client.close_port()
            self._is_open = False
        with contextlib.suppress(_rtmidi().RtMidiError):
            self.name = plain_name(self._client.get_port_name(index))
            self._client.open_port(index, "performer")
            self._is_open = True
        return self._is_open

    def _index(self) -> int | None:
        names = [plain_name(name) for name in self._client.get_ports()]
        wanted = str(self._wanted)
        for matches in (lambda name: name == wanted, lambda name: wanted in name):
            for index, name in enumerate(names):
                if matches(name):
                    return index
        return None

    def close(self) -> None:
        if not self._server_is_gone():  # without its server, the library crashes here
            self._client.delete()


class _Input(_Port):
    kind = "input"

    def receive(self) -> tuple[bytes, float] | None:
        received = self._client.get_message()
        if received is None:
            return None
        message, delta_s = received
        return bytes(message), delta_s


class _Output(_Port):
    kind = "output"

    def send(self, message: bytes) -> None:
        try:
            self._client.send_message(message)
        except (OSError, ValueError) as error:  # RtMidi's own errors are OSErrors too
            raise SendError(f"{self.name}: {error}") from error


def _rtmidi() -> ModuleType:
    try:
        import rtmidi  # noqa: PLC0415 - it does not load everywhere; see the top
    except ModuleNotFoundError as error:
        raise NoMidiError("python-rtmidi is not installed; 'pip install python-rtmidi'") from error
    except ImportError as error:
        raise NoMidiError(
            f"MIDI cannot be used: {error}; on Debian and Ubuntu 'apt install libasound2' "
            "(newer: libasound2t64)"
        ) from error
    return rtmidi  # type: ignore[no-any-return]


def _apis(rtmidi: ModuleType) -> list[int]:
    """Return the MIDI interfaces to try, best first."""
    if sys.platform == "darwin":
        return [rtmidi.API_MACOSX_CORE]
    if sys.platform == "win32":
        return [rtmidi.API_WINDOWS_MM]
    alsa = [rtmidi.API_LINUX_ALSA] if _ALSA_SEQUENCER.exists() else []
    return [*alsa, rtmidi.API_UNIX_JACK]


def _open_client(kind: str, client_name: str) -> Any:
    rtmidi = _rtmidi()
    compiled = rtmidi.get_compiled_api()
    options = {"queue_size_limit": _QUEUE_SIZE} if kind == "MidiIn" else {}
    for api in _apis(rtmidi):
        if api not in compiled:
            continue
        with _quiet_stderr(), contextlib.suppress(rtmidi.RtMidiError):
            client = getattr(rtmidi, kind)(api, name=client_name, **options)
            if kind == "MidiIn":
                client.ignore_types(sysex=False, timing=False, active_sense=False)
            return client
    raise NoMidiError("no MIDI system: " + _NO_MIDI.get(sys.platform, _NO_MIDI["linux"]))


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Silence the system's MIDI libraries, which write to the descriptor itself."""
    sys.stderr.flush()
    saved = os.dup(_STDERR)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), _STDERR)
        yield
    finally:
        os.dup2(saved, _STDERR)
        os.close(saved)
