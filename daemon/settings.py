"""The daemon's settings: one frozen dataclass for each section of config.yaml.

The defaults stand here (and in daemon.parameters) and nowhere else; config.yaml repeats them for
the reader, and a test holds the two together.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from daemon.parameters import Parameters
from perceivers.errors import SettingsError
from perceivers.graphs import PRECISIONS
from perceivers.midi_numbers import HIGHEST_VALUE
from perceivers.ranges import setting
from perceivers.settings import Named, load


class Provider(StrEnum):
    """Where the model runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


PRECISION_CHOICES = ("auto", *PRECISIONS)
"""Which of the model's exported forms runs."""


_MOST_LATENCY_MS = 2000.0
_VELOCITY_POINT = re.compile(r"(?P<velocity>\d{1,3})=(?P<ms>\d+(\.\d+)?)")


def velocity_points(words: Sequence[str]) -> list[tuple[int, float]]:
    """Return the points of a latency by velocity: (velocity, ms), in rising order of velocity.

    words: each of the form 64=25. Raises SettingsError for what is no point, and for two of one
    velocity.
    """
    points: dict[int, float] = {}
    for word in words:
        match = _VELOCITY_POINT.fullmatch(word)
        velocity, ms = (int(match["velocity"]), float(match["ms"])) if match else (0, 0.0)
        if not 1 <= velocity <= HIGHEST_VALUE or ms > _MOST_LATENCY_MS or velocity in points:
            raise SettingsError(
                f"velocity_latency_ms: {word!r} is not allowed; write [1=60, 127=0], each velocity"
                f" once, 1 to {HIGHEST_VALUE}, and milliseconds up to {_MOST_LATENCY_MS:g}"
            )
        points[velocity] = ms
    return sorted(points.items())


@dataclass(frozen=True, slots=True)
class MidiSettings:
    """Ports: existing ones by name, or virtual ones under the client names."""

    input: str | None = setting(
        None, "", "listen to the port of this name; null: open a virtual port", optional=True
    )
    output: str | None = setting(
        None, "", "play to the port of this name; null: open a virtual port", optional=True
    )
    client_in: str = setting("Performer In", "", "name under which the input appears")
    client_out: str = setting("Performer Out", "", "name under which the output appears")
    input_channel: int | None = setting(
        None,
        "",
        "hear this channel alone; null: all of them",
        minimum=1,
        maximum=16,
        optional=True,
    )
    input_lowest_key: int = setting(
        0, "MIDI key", "keys below are not heard", minimum=0, maximum=127
    )
    input_highest_key: int = setting(
        127, "MIDI key", "keys above are not heard", minimum=0, maximum=127
    )
    mappings: str | None = setting(
        "mappings.json",
        "",
        "where it is kept what controllers and keys have learnt to do; null: nowhere",
        optional=True,
    )
    output_latency_ms: float = setting(
        0.0,
        "ms",
        "how late the instrument sounds; what it is sent leaves so much earlier",
        minimum=0.0,
        maximum=_MOST_LATENCY_MS,
    )
    velocity_latency_ms: tuple[str, ...] = setting(
        (),
        "ms",
        "how much later still it sounds by velocity: 1=60 127=0, with straight lines between",
    )
    loop_guard_ms: float = setting(
        30.0,
        "ms",
        "what was sent and comes back within this time is not heard; 0: off",
        minimum=0.0,
        maximum=1000.0,
    )

    @property
    def most_latency_s(self) -> float:
        """How late the instrument sounds at most."""
        more_ms = [ms for _, ms in velocity_points(self.velocity_latency_ms)]
        return (self.output_latency_ms + max(more_ms, default=0.0)) / 1000

    def __post_init__(self) -> None:
        """Refuse a part that holds no key, and a latency that is none."""
        velocity_points(self.velocity_latency_ms)
        if self.input_lowest_key > self.input_highest_key:
            raise SettingsError(
                f"input_lowest_key = {self.input_lowest_key} lies above"
                f" input_highest_key = {self.input_highest_key}; nothing would be heard"
            )


@dataclass(frozen=True, slots=True)
class TimingSettings:
    """When the model works ahead of need, and what happens to what is late."""

    lead_ms: float = setting(
        300.0,
        "ms",
        "how far ahead of the sounding instant notes are planned",
        minimum=20.0,
        maximum=5000.0,
    )
    feed_after_ms: float | None = setting(
        20.0,
        "ms",
        "how long what is heard may wait for more before the model reads it; null: until a turn",
        minimum=0.0,
        maximum=1000.0,
        optional=True,
    )
    late_after_ms: float = setting(
        100.0,
        "ms",
        "a note later than this is dropped, not played late",
        minimum=1.0,
        maximum=5000.0,
    )


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Which model plays, and on what."""

    model: str = setting("models/medium", "", "model folder, as the export writes it")
    provider: str = setting(
        Provider.AUTO.value,
        "",
        "what computes; auto: the GPU where there is one",
        choices=tuple(Provider),
    )
    precision: str = setting(
        PRECISION_CHOICES[0],
        "",
        "which form of the model; auto: the one that suits the provider",
        choices=PRECISION_CHOICES,
    )
    threads: int = setting(1, "", "CPU threads of the model", minimum=1, maximum=256)


_SHORTEST_TOKEN = 16


def is_loopback(host: str) -> bool:
    """Whether an address with this host can be reached from this computer alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name: of an interface, or one that a resolver may turn into anything
        return False


_ADDRESS = re.compile(r"tcp://(?P<host>\*|[\w.%-]+|\[[0-9A-Fa-f:.%\w]+\]):(?P<port>\d{1,5}|\*)")


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """Where the daemon takes commands and tells what happens."""

    commands: str = setting("tcp://127.0.0.1:7700", "", "address of the command socket")
    events: str = setting("tcp://127.0.0.1:7701", "", "address of the event socket")
    server_key: str | None = setting(
        None, "", "file with the daemon's secret key; needed beyond this computer", optional=True
    )
    client_keys: str | None = setting(
        None, "", "folder with the public key of each client that may connect", optional=True
    )

    def __post_init__(self) -> None:
        """Refuse what would open the daemon to strangers."""
        for address in (self.commands, self.events):
            self._check(address)
        if self.commands == self.events and not self.commands.endswith((":0", ":*")):
            raise SettingsError(f"commands and events cannot share {self.commands}")
        if (self.server_key is None) != (self.client_keys is None):
            raise SettingsError("server_key and client_keys belong together: give both or neither")

    def _check(self, address: str) -> None:
        match = _ADDRESS.fullmatch(address)
        if match is None or (match["port"] != "*" and int(match["port"]) > 65535):
            raise SettingsError(
                f"{address!r} is no address; write it as tcp://127.0.0.1:7700, host and port"
            )
        if self.server_key is None and not is_loopback(match["host"]):
            raise SettingsError(
                f"{address} can be reached from other computers, and whoever reaches it plays:"
                " use 127.0.0.1, or make keys (python -m daemon.ctl keys FOLDER) and set"
                " server_key and client_keys"
            )


@dataclass(frozen=True, slots=True)
class RecordingSettings:
    """The recording of every session."""

    enabled: bool = setting(True, "", "write what was played, by both, as a MIDI file")
    folder: str = setting("recordings", "", "where the files go")
    resume: str | None = setting(
        None,
        "",
        "what is remembered at the start; last: what was heard in the last session; null: nothing",
        choices=("last",),
        optional=True,
    )


_PAGE_ADDRESS = re.compile(r"(?P<host>[\d.]+|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class PageSettings:
    """The page: keyboard, sound and console in a browser."""

    enabled: bool = setting(
        True, "", "whether there is a page; without ports it is the only way in"
    )
    address: str = setting("127.0.0.1:7702", "", "where browsers find it: IP address and port")
    open: bool = setting(True, "", "open the browser at the start, where there is a display")
    token: str | None = setting(
        None, "", "what a browser must know; null: a new one at each start, if any", optional=True
    )
    insecure: bool = setting(
        False, "", "serve other computers without encryption, to whoever listens in"
    )
    certificate: str | None = setting(
        None, "", "file with the certificate, for encryption (TLS)", optional=True
    )
    private_key: str | None = setting(
        None, "", "file with the key of the certificate", optional=True
    )
    client_key: str | None = setting(
        None, "", "file with the page's own secret key, where control takes keys", optional=True
    )

    def __post_init__(self) -> None:
        """Refuse what would open the page to strangers."""
        match = _PAGE_ADDRESS.fullmatch(self.address)
        if match is None or int(match["port"]) > 65535 or not _is_ip(match["host"].strip("[]")):
            raise SettingsError(
                f"{self.address!r} is no address; write it as 127.0.0.1:7702, IP address and port"
            )
        if (self.certificate is None) != (self.private_key is None):
            raise SettingsError("certificate and private_key belong together: both or neither")
        if self.token is not None and len(self.token) < _SHORTEST_TOKEN:
            raise SettingsError(f"a token has at least {_SHORTEST_TOKEN} characters")
        if not (self.is_local or self.insecure or self.is_encrypted):
            raise SettingsError(
                f"{self.address} can be reached from other computers: use 127.0.0.1, or give"
                " certificate and private_key, or accept with insecure: true that others listen in"
            )

    @property
    def host_and_port(self) -> tuple[str, int]:
        """The address in its parts."""
        host, _, port = self.address.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def is_local(self) -> bool:
        """Whether only this computer can reach the page."""
        return is_loopback(self.host_and_port[0])

    @property
    def is_encrypted(self) -> bool:
        """Whether browsers speak TLS to it."""
        return self.certificate is not None


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Settings:
    """All sections."""

    midi: MidiSettings = MidiSettings()
    performer: Parameters = field(default_factory=Parameters)
    presets: Named[Parameters] = field(default_factory=Named)
    timing: TimingSettings = TimingSettings()
    engine: EngineSettings = EngineSettings()
    control: ControlSettings = ControlSettings()
    recording: RecordingSettings = RecordingSettings()
    page: PageSettings = PageSettings()


def load_settings(path: Path) -> Settings:
    """Read config.yaml; raise SettingsError with one line for each problem in it."""
    return load(path, Settings)
