"""The tempo and the beats of a MIDI clock, out of ticks that do not come evenly.

A straight line through the moments of the last ticks, by least squares, tells the tempo and where
the beats lie; it goes on when the ticks no longer come. Pure, like the turns: times are seconds of
the session, and come in.
"""

import math
from collections import deque

from perceivers.midi_numbers import CLOCKS_PER_BEAT

TICKS_PER_SIXTEENTH = 6
MOST_TICKS = 96  # four beats
FEWEST_TICKS = 12
RECENT_TICKS = 24  # these tell whether the tempo has changed
CHANGED = 0.03  # by so much
LOST_AFTER_S = 0.5  # after so long without a tick the next ones count anew
USUAL_BEAT_S = 0.5
SLOWEST_BPM, FASTEST_BPM = 20.0, 400.0


class Tempo:
    """Where the beats lie. `refused` counts the ticks of a clock that is none."""

    def __init__(self) -> None:
        self.refused = 0
        self._ticks: deque[tuple[int, float]] = deque(maxlen=MOST_TICKS)  # number, and when
        self._next = 0  # number of the next tick, since the start of the song
        self._line: tuple[float, float] | None = None  # seconds at tick 0, seconds for a tick

    def start(self) -> None:
        """The next tick is the first of the song."""
        self.place(0)

    def place(self, sixteenths: int) -> None:
        """The next tick lies so far into the song."""
        number = sixteenths * TICKS_PER_SIXTEENTH
        by = number - self._next
        self._next = number
        self._ticks = deque(((tick + by, at_s) for tick, at_s in self._ticks), maxlen=MOST_TICKS)
        if self._line is not None:
            zero_s, tick_s = self._line
            self._line = zero_s - by * tick_s, tick_s

    def tick(self, at_s: float) -> None:
        """Take note of a tick."""
        if self._ticks and at_s - self._ticks[-1][1] > LOST_AFTER_S:
            self.refused += len(self._ticks) < FEWEST_TICKS  # of these nothing could be learned
            self._ticks.clear()
        self._ticks.append((self._next, at_s))
        self._next += 1
        if len(self._ticks) < FEWEST_TICKS:
            return
        line = _line_through([*self._ticks])
        recent = _line_through([*self._ticks][-RECENT_TICKS:])
        if abs(recent[1] - line[1]) > CHANGED * line[1]:
            self._ticks = deque([*self._ticks][-RECENT_TICKS // 2 :], maxlen=MOST_TICKS)
            line = _line_through([*self._ticks])
        if not SLOWEST_BPM <= _bpm(line[1]) <= FASTEST_BPM:
            self.refused += 1
            self._ticks.clear()
            return
        self._line = line

    @property
    def bpm(self) -> float | None:
        """Beats a minute; None as long as there was no clock."""
        return None if self._line is None else _bpm(self._line[1])

    @property
    def beat_s(self) -> float | None:
        """How long a beat is; None as long as there was no clock."""
        return None if self._line is None else self._line[1] * CLOCKS_PER_BEAT

    def bar_s(self, beats: int) -> float:
        """Return how long a bar of so many beats is; without a clock at 120 beats a minute."""
        return (self.beat_s or USUAL_BEAT_S) * beats

    @property
    def grid(self) -> tuple[float, float]:
        """Where a sixteenth lies, and how long one is; 0 where there is no clock."""
        if self._line is None:
            return 0.0, 0.0
        return self._line[0], self._line[1] * TICKS_PER_SIXTEENTH

    def next_s(self, from_s: float, beats: int) -> float:
        """Return the first moment from `from_s` on that begins a group of so many beats."""
        if self._line is None:
            return from_s
        zero_s, tick_s = self._line
        group_s = beats * CLOCKS_PER_BEAT * tick_s
        groups = math.ceil((from_s - zero_s) / group_s - 1e-6)
        return max(from_s, zero_s + groups * group_s)


def _bpm(tick_s: float) -> float:
    return math.inf if tick_s <= 0.0 else 60.0 / (CLOCKS_PER_BEAT * tick_s)


def _line_through(ticks: list[tuple[int, float]]) -> tuple[float, float]:
    """Return the line nearest to the moments of ticks: seconds at tick 0, and for a tick."""
    count = len(ticks)
    mean_tick = sum(tick for tick, _ in ticks) / count
    mean_s = sum(at_s for _, at_s in ticks) / count
    spread = sum((tick - mean_tick) ** 2 for tick, _ in ticks)
    slope = sum((tick - mean_tick) * (at_s - mean_s) for tick, at_s in ticks) / spread
    return mean_s - slope * mean_tick, slope
