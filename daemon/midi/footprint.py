"""What sounds at the output, in memory that outlives a killed process.

Its successor reads there what it has to release. A strike is marked before it leaves and a release
after, so that at worst something is released that is silent.
"""

from collections.abc import MutableSequence

from perceivers.events import Event, NoteOn, Pedal
from perceivers.midi_numbers import CHANNELS
from perceivers.vocabulary import PITCHES

_PEDAL = PITCHES
_PASSED_KEYS = _PEDAL + 1
_PASSED_PEDALS = _PASSED_KEYS + CHANNELS * PITCHES
_CLOCK = _PASSED_PEDALS + CHANNELS

FOOTPRINT_SIZE = _CLOCK + 1
"""Bytes: for each pitch that sounds and for the pedal, the channel plus 1, or 0; then, of what is
passed on for the player, each key of each channel and each channel's pedal; then the clock."""


class Footprint:
    """Reads and writes that memory."""

    def __init__(self, memory: MutableSequence[int]) -> None:
        self._memory = memory

    def mark(self, event: Event, channel: int) -> None:
        """Take down an event of the Performer's."""
        if isinstance(event, Pedal):
            self._memory[_PEDAL] = channel + 1 if event.down else 0
        else:
            self._memory[event.pitch] = channel + 1 if isinstance(event, NoteOn) else 0

    @property
    def sounding(self) -> list[tuple[int, int]]:
        """Pitch and channel of what the Performer has struck."""
        marks = [(pitch, self._memory[pitch]) for pitch in range(PITCHES)]
        return [(pitch, mark - 1) for pitch, mark in marks if mark]

    @property
    def pedal_channel(self) -> int | None:
        """The channel on which the Performer's pedal is down."""
        return self._memory[_PEDAL] - 1 if self._memory[_PEDAL] else None

    def mark_passed_key(self, channel: int, pitch: int, *, down: bool) -> None:
        """Take down a key that was passed on."""
        self._memory[_PASSED_KEYS + channel * PITCHES + pitch] = down

    @property
    def passed_keys(self) -> list[tuple[int, int]]:
        """Channel and pitch of the keys that were passed on and are down."""
        keys = range(CHANNELS * PITCHES)
        return [divmod(key, PITCHES) for key in keys if self._memory[_PASSED_KEYS + key]]

    def mark_passed_pedal(self, channel: int, value: int) -> None:
        """Take down where a pedal is that was passed on, 0 to 127."""
        self._memory[_PASSED_PEDALS + channel] = value

    @property
    def passed_pedals(self) -> list[int]:
        """The channels whose pedal was passed on and is not up."""
        return [channel for channel in range(CHANNELS) if self._memory[_PASSED_PEDALS + channel]]

    @property
    def clock_runs(self) -> bool:
        """Whether a clock was started."""
        return bool(self._memory[_CLOCK])

    @clock_runs.setter
    def clock_runs(self, runs: bool) -> None:
        self._memory[_CLOCK] = runs
