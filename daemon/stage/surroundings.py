"""What the core stands on: the clock of the session, who listens, and what stands for a pedal."""

from collections.abc import Mapping
from typing import Any, Protocol

from daemon.midi.parser import Switch
from daemon.parameters import Parameters

NS_PER_S = 1_000_000_000


def switch_of(parameters: Parameters) -> Switch:
    """Return what stands for a footswitch."""
    return Switch(
        parameters.trigger_controller,
        parameters.trigger_key,
        parameters.trigger_program,
        presets=parameters.preset_programs,
    )


class Clock(Protocol):
    """The clock of the session."""

    def now_s(self) -> float:
        """Return the seconds since the start of the session."""

    def seconds(self, time_ns: int) -> float:
        """Return a moment of the monotonic clock as seconds of the session."""

    def nanoseconds(self, time_s: float) -> int:
        """Return seconds of the session as a moment of the monotonic clock."""


class World(Protocol):
    """Who listens to what the stage tells."""

    @property
    def addresses(self) -> tuple[str, str]:
        """Where commands are taken and where events are told."""

    def publish(self, topic: str, payload: Mapping[str, Any]) -> None:
        """Tell everybody; never wait."""
