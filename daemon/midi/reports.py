"""What the output tells of itself."""

from dataclasses import dataclass

from daemon.messages.turns import Released
from perceivers.events import Event


@dataclass(frozen=True, slots=True)
class Sent:
    """This left the port, and sounds at this moment of the monotonic clock."""

    time_ns: int
    event: Event


@dataclass(frozen=True, slots=True)
class Panicked:
    """The messages that silence everything have left."""


@dataclass(frozen=True, slots=True)
class OutputLost:
    """The port takes nothing any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class OutputBack:
    """The port takes messages again, and what was left sounding is released."""


Report = Sent | Released | Panicked | OutputLost | OutputBack
