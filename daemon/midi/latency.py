"""How late an instrument answers, and so how much earlier its messages must leave. Pure."""

from bisect import bisect_left
from dataclasses import dataclass

from daemon.settings import MidiSettings, velocity_points
from perceivers.events import Event, NoteOn

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Latency:
    """From a message to its sound: the same for all, and for a strike more, by its velocity.

    `by_velocity` are points (velocity, nanoseconds) with straight lines between them, in rising
    order of velocity; beyond the first and the last it goes on as there.
    """

    common_ns: int = 0
    by_velocity: tuple[tuple[int, int], ...] = ()

    def of(self, event: Event) -> int:
        """Return how long after it has left an event sounds, in nanoseconds."""
        if not isinstance(event, NoteOn) or not self.by_velocity:
            return self.common_ns
        return self.common_ns + self._of_velocity(event.velocity)

    def _of_velocity(self, velocity: int) -> int:
        points = self.by_velocity
        place = bisect_left(points, (velocity, 0))
        if place == 0:
            return points[0][1]
        if place == len(points):
            return points[-1][1]
        (softer, softer_ns), (louder, louder_ns) = points[place - 1], points[place]
        share = (velocity - softer) / (louder - softer)
        return round(softer_ns + share * (louder_ns - softer_ns))


NONE = Latency()


def latency_of(midi: MidiSettings) -> Latency:
    """Return the latency of the instrument at the output."""
    points = velocity_points(midi.velocity_latency_ms)
    return Latency(
        round(midi.output_latency_ms * NS_PER_MS),
        tuple((velocity, round(more_ms * NS_PER_MS)) for velocity, more_ms in points),
    )
