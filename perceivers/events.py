"""Musical events: what a pianist does, in seconds, independent of MIDI files, ports and tokens."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class NoteOn:
    """A key goes down."""

    pitch: int  # 0-127
    velocity: int  # 1-127


@dataclass(frozen=True, slots=True)
class NoteOff:
    """A key comes up; the string may sound on under the pedal."""

    pitch: int  # 0-127


@dataclass(frozen=True, slots=True)
class Pedal:
    """The sustain pedal changes state."""

    down: bool


Event = NoteOn | NoteOff | Pedal


class TimedEvent(NamedTuple):
    """An event and the moment at which it is heard."""

    time_s: float  # since the start of the piece or of the session
    event: Event


CHORD_S = 0.03
"""Notes that begin within this time of the first of them are one chord."""
PEDAL_DOWN_FROM = 64
PEDAL_UP_BELOW = 40


class PedalSwitch:
    """Turns the values of a continuous pedal (CC64) into changes of state, with hysteresis.

    Down at 64 and above; up below 40; between the two the state is kept, so that a pedal resting
    near the middle does not chatter. With `up_below=PEDAL_DOWN_FROM` there is no hysteresis.
    """

    def __init__(self, up_below: int = PEDAL_UP_BELOW) -> None:
        self.down = False
        self._up_below = up_below

    def feed(self, value: int) -> Pedal | None:
        """Take one controller value (0-127) and return the change of state, if there is one."""
        if not self.down and value >= PEDAL_DOWN_FROM:
            self.down = True
        elif self.down and value < self._up_below:
            self.down = False
        else:
            return None
        return Pedal(self.down)
