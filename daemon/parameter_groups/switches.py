"""Which controller, key or program hands the turn over, and is then no music."""

from dataclasses import dataclass

from daemon.parameter_groups.giving_way import GivingWay
from daemon.parameter_groups.rows import Applies, parameter
from perceivers.midi_numbers import HIGHEST_VALUE, LAST_CONTROLLER


@dataclass(frozen=True, slots=True)
class Switches(GivingWay):
    """A footswitch, a key and a program."""

    trigger_controller: int | None = parameter(
        None,
        "controller",
        "this pedal takes the turn and gives it back (67: soft pedal); null: none",
        applies=Applies.AT_ONCE,
        minimum=0,
        maximum=LAST_CONTROLLER,
        optional=True,
    )
    trigger_key: int | None = parameter(
        None,
        "MIDI key",
        "this key does the same, and is no music then (108: the highest of a piano); null: none",
        applies=Applies.AT_ONCE,
        minimum=0,
        maximum=HIGHEST_VALUE,
        optional=True,
    )
    trigger_program: int | None = parameter(
        None,
        "program",
        "a change to this program does the same (counted from 0); null: none",
        applies=Applies.AT_ONCE,
        minimum=0,
        maximum=HIGHEST_VALUE,
        optional=True,
    )
    preset_programs: bool = parameter(
        default=False,
        unit="",
        description="changes to the other programs set the presets, program 0 the first of them",
        applies=Applies.AT_ONCE,
    )
