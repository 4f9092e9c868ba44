"""How what the model writes is made to sound, and how what sounded is read back as written.

Transposition, loudness and tempo change what leaves, not what is remembered: if the memory heard
an answer an octave higher, the model would go on from there, and be transposed once more.
"""

from collections import deque
from collections.abc import Collection, Sequence
from copy import copy
from typing import NamedTuple

from daemon.brain.grid import NO_GRID, Grid
from daemon.parameters import Parameters
from perceivers.events import NoteOff, NoteOn, TimedEvent


class Pace(NamedTuple):
    """From a moment on: how many written seconds pass in one that sounds."""

    written_s: float
    sounding_s: float
    tempo_scale: float


_BEFORE = Pace(0.0, 0.0, 1.0)  # the turn


class Stroke(NamedTuple):
    """A planned note-on: when it is to sound, and what was written."""

    sounding_s: float
    written: NoteOn
    shift_s: float = 0.0  # by which the grid has moved it


class Left(NamedTuple):
    """A key that is down in what has left."""

    pitch: int  # as written
    shift_s: float


class Rendering:
    """The way from what is written in one turn to what sounds, and back."""

    def __init__(self, start_s: float, parameters: Parameters, grid: Grid = NO_GRID) -> None:
        """Nothing is written yet; onsets are drawn to the grid, if the parameters say so."""
        self._start_s, self._grid = start_s, grid
        self._shifts_s: dict[int, float] = {}  # of the written pitches that are down
        self._free_s: dict[int, float] = {}  # from when on a key can be struck again
        self._parameters = parameters
        self._paces = [Pace(start_s, start_s, parameters.tempo_scale)]
        self._keys: dict[int, int] = {}  # written pitches that are down, and the keys they sound on
        self._strokes: dict[int, deque[Stroke]] = {}  # by key, those not yet known to have left
        self._left: dict[int, Left] = {}  # by key

    def copy(self) -> "Rendering":
        """Return one that goes its own way from here."""
        twin = copy(self)
        twin._paces, twin._keys, twin._left = [*self._paces], dict(self._keys), dict(self._left)  # noqa: SLF001 - its own kind
        twin._strokes = {key: strokes.copy() for key, strokes in self._strokes.items()}  # noqa: SLF001 - its own kind
        twin._shifts_s, twin._free_s = dict(self._shifts_s), dict(self._free_s)  # noqa: SLF001 - its own kind
        return twin

    @property
    def keys(self) -> Collection[int]:
        """The keys that sound in what is planned."""
        return self._keys.values()

    @property
    def left(self) -> dict[int, int]:
        """The keys that were still down when `written` had read all, and their written pitches."""
        return {key: left.pitch for key, left in self._left.items() if key != left.pitch}

    def steer(self, parameters: Parameters, written_s: float) -> None:
        """Use these parameters for what is written from here on."""
        if parameters.tempo_scale != self._parameters.tempo_scale:
            here = Pace(written_s, self.sounding_s(written_s), parameters.tempo_scale)
            self._paces.append(here)
        self._parameters = parameters

    def sounding_s(self, written_s: float) -> float:
        """Return when something sounds."""
        pace = next((p for p in reversed(self._paces) if p.written_s <= written_s), _BEFORE)
        if pace.tempo_scale == 1.0:  # exact, where nothing was changed
            return written_s + (pace.sounding_s - pace.written_s)
        return pace.sounding_s + (written_s - pace.written_s) / pace.tempo_scale

    def written_s(self, sounding_s: float) -> float:
        """Return when something that sounded would have been written."""
        pace = next((p for p in reversed(self._paces) if p.sounding_s <= sounding_s), _BEFORE)
        if pace.tempo_scale == 1.0:
            return sounding_s + (pace.written_s - pace.sounding_s)
        return pace.written_s + (sounding_s - pace.sounding_s) * pace.tempo_scale

    def sounding(self, planned: TimedEvent) -> TimedEvent:
        """Return an event of the plan, at the time when it sounds, as it sounds."""
        time_s, event = planned
        if isinstance(event, NoteOn):
            key = event.pitch + self._parameters.transpose
            at_s = self._on_grid_s(key, time_s)
            self._keys[event.pitch], self._shifts_s[event.pitch] = key, at_s - time_s
            stroke = Stroke(at_s, event, at_s - time_s)
            self._strokes.setdefault(key, deque()).append(stroke)
            return TimedEvent(at_s, NoteOn(key, self._velocity(event.velocity)))
        if isinstance(event, NoteOff):
            key = self._keys.pop(event.pitch, event.pitch)
            at_s = time_s + self._shifts_s.pop(event.pitch, 0.0)
            self._free_s[key] = at_s
            return TimedEvent(at_s, NoteOff(key))
        return planned

    def _on_grid_s(self, key: int, time_s: float) -> float:
        """Return when a key is struck: nearer to the grid, but not before it is free."""
        shift_s = self._grid.shift_s(time_s, self._parameters.quantise)
        if not shift_s:
            return time_s
        return max(time_s + shift_s, self._start_s, self._free_s.get(key, self._start_s))

    def _velocity(self, written: int) -> int:
        scaled = round(written * self._parameters.velocity_scale)
        return min(max(scaled, self._parameters.lowest_velocity), self._parameters.highest_velocity)

    def own_pitch(self, key: int) -> int | None:
        """Return the written pitch that sounds on a key, if one does."""
        return next((pitch for pitch, on in self._keys.items() if on == key), None)

    def withdraw(self, after_s: float, kept: Sequence[tuple[TimedEvent, TimedEvent]]) -> None:
        """Forget what was to sound later; `kept` is the rest, as written and as it sounds."""
        for key, strokes in self._strokes.items():
            self._strokes[key] = deque(each for each in strokes if each.sounding_s <= after_s)
        self._keys.clear()
        for (written_s, written), (sounding_s, sounding) in kept:
            if isinstance(written, NoteOn) and isinstance(sounding, NoteOn):
                self._keys[written.pitch] = sounding.pitch
                self._shifts_s[written.pitch] = sounding_s - written_s
            elif isinstance(written, NoteOff):
                self._keys.pop(written.pitch, None)

    def written(self, performed: Sequence[TimedEvent]) -> list[TimedEvent]:
        """Return what really left, in order of time, as it was written."""
        return [self._read_back(sent) for sent in performed]

    def _read_back(self, sent: TimedEvent) -> TimedEvent:
        event = sent.event
        written_s = self.written_s(sent.time_s)
        if isinstance(event, NoteOn):
            stroke = self._stroke(event.pitch, sent.time_s)
            written = event if stroke is None else stroke.written
            left = Left(written.pitch, 0.0 if stroke is None else stroke.shift_s)
            self._left[event.pitch] = left
            return TimedEvent(self.written_s(sent.time_s - left.shift_s), written)
        if isinstance(event, NoteOff):
            left = self._left.pop(event.pitch, Left(event.pitch, 0.0))
            return TimedEvent(self.written_s(sent.time_s - left.shift_s), NoteOff(left.pitch))
        return TimedEvent(written_s, event)

    def _stroke(self, key: int, sent_s: float) -> Stroke | None:
        """Return the planned stroke of a key that was sent then: of the next ones, the nearest."""
        strokes = self._strokes.get(key)
        if not strokes:
            return None
        while len(strokes) > 1 and (
            abs(strokes[1].sounding_s - sent_s) < abs(strokes[0].sounding_s - sent_s)
        ):
            strokes.popleft()  # it was too late to be sent
        return strokes.popleft()
