"""What leaves the output beside the answer: your own playing, a clock, and lights."""

from dataclasses import dataclass
from enum import StrEnum

from daemon.parameter_groups.limits import Limits
from daemon.parameter_groups.rows import Applies, parameter
from perceivers.midi_numbers import CHANNELS, LAST_CONTROLLER


class Passes(StrEnum):
    """When the player's own passes on to the output."""

    NEVER = "never"
    BETWEEN = "between"  # answers
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Instrument(Limits):
    """Thru, clock and lights."""

    thru: str = parameter(
        Passes.NEVER.value,
        "",
        "when what you play passes on to the output; between: not over an answer that goes on",
        applies=Applies.AT_ONCE,
        choices=tuple(Passes),
    )
    half_pedal: bool = parameter(
        default=True,
        unit="",
        description="your pedal passes on as you move it; false: as down or up",
        applies=Applies.AT_ONCE,
    )
    clock_out: bool = parameter(
        default=False,
        unit="",
        description="an answer sends a MIDI clock: of the clock it hears, or of your own pulse",
        applies=Applies.NEXT_TURN,
    )
    lamp_controller: int | None = parameter(
        None,
        "controller",
        "this controller tells the output what the Performer is doing; null: none",
        applies=Applies.AT_ONCE,
        minimum=0,
        maximum=LAST_CONTROLLER,
        optional=True,
    )
    lamp_mappings: bool = parameter(
        default=False,
        unit="",
        description="controllers that turn a parameter are sent its value, for faders and rings",
        applies=Applies.AT_ONCE,
    )
    lamp_channel: int = parameter(
        CHANNELS,
        "",
        "MIDI channel of what is sent to lamps",
        applies=Applies.AT_ONCE,
        minimum=1,
        maximum=CHANNELS,
    )
