"""What leaves the output port beside the answer: the player's own, a clock, and lights.

No thread and no port of its own: `put` sends a message at once, and raises SendError.
"""

from collections.abc import Callable

from daemon.midi.clock_out import ClockOut
from daemon.midi.footprint import Footprint
from daemon.midi.thru import Thru

Put = Callable[[bytes], None]


class Beside:
    """Lets it leave, each as it asks; what was begun can be ended at any time."""

    def __init__(self, footprint: Footprint, put: Put, pedal_channel: Callable[[], int | None]):
        """`pedal_channel` tells on which channel the Performer holds the pedal."""
        self.thru = Thru(footprint)
        """What of the player's own passes on."""
        self._clock = ClockOut(footprint)
        self._put = put
        self._pedal_channel = pedal_channel

    @property
    def next_due_ns(self) -> int | None:
        """When there is something to do; None if nothing is planned."""
        return self._clock.next_due_ns

    def work(self, now_ns: int) -> None:
        """Send what is due."""
        while (message := self._clock.next(now_ns)) is not None:
            self._put(message)

    def pass_on(self, message: bytes) -> None:
        """Let a message of the player's pass, or not, as `thru` says."""
        admitted = self.thru.admits(message, self._pedal_channel())
        if admitted is not None:
            self._pass(admitted)

    def release_passed(self) -> None:
        """Release all that was passed on, for the player is gone."""
        for message in self.thru.releases(self._pedal_channel()):
            self._pass(message)

    def _pass(self, message: bytes) -> None:
        self._put(message)
        self.thru.left(message)

    def start_clock(self, first_ns: int, tick_ns: int) -> None:
        """Send a clock whose first tick leaves at a moment, and the next ones so far apart."""
        self.stop_clock()
        self._clock.start(first_ns, tick_ns)

    def stop_clock(self) -> None:
        """Send no clock any more, and tell those who follow it."""
        for message in self._clock.stop():
            self._put(message)
        self._clock.stopped()

    def end(self) -> None:
        """End all that was begun, by whomever."""
        self.stop_clock()
        self.release_passed()

    def give_up(self) -> None:
        """Take note that nothing leaves any more; what was begun is to be ended later."""
        self._clock.stop()
