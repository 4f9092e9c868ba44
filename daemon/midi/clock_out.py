"""The MIDI clock that others may follow: when which of its messages leaves. Pure."""

from daemon.midi.footprint import Footprint
from perceivers.midi_numbers import CLOCK, START, STOP

_START_AHEAD_NS = 2_000_000  # who follows wants a moment between the start and the first tick


class ClockOut:
    """Starts, ticks without drift, and stops. One that is late sends every tick that it owes.

    Only if the start itself comes late, all ticks come as much later.
    """

    def __init__(self, footprint: Footprint) -> None:
        self._footprint = footprint
        self._first_ns = 0
        self._tick_ns = 0
        self._ticks: int | None = None  # sent since the start; None while it does not run

    def start(self, first_ns: int, tick_ns: int) -> None:
        """Begin at a moment of the monotonic clock, with so much time from tick to tick."""
        self._first_ns, self._tick_ns, self._ticks = first_ns, tick_ns, 0

    @property
    def next_due_ns(self) -> int | None:
        """When it has something to say; None while it does not run."""
        if self._ticks is None:
            return None
        if not self._footprint.clock_runs:
            return self._first_ns - _START_AHEAD_NS
        return self._first_ns + self._ticks * self._tick_ns

    def next(self, now_ns: int) -> bytes | None:
        """Return the next message that is due, which counts as sent from here on; None for none."""
        due_ns = self.next_due_ns
        if due_ns is None or due_ns > now_ns:
            return None
        if not self._footprint.clock_runs:
            self._first_ns = max(self._first_ns, now_ns + _START_AHEAD_NS)
            self._footprint.clock_runs = True
            return bytes((START,))
        assert self._ticks is not None
        self._ticks += 1
        return bytes((CLOCK,))

    def stop(self) -> list[bytes]:
        """Come to an end; return what tells those who follow, if they were told of a start."""
        self._ticks = None
        return [bytes((STOP,))] if self._footprint.clock_runs else []

    def stopped(self) -> None:
        """Take note that they were told."""
        self._footprint.clock_runs = False
