"""Tokens to events, one token at a time."""

from collections.abc import Iterable

from perceivers.events import TimedEvent
from perceivers.score import ScoreState


class StreamDecoder:
    """Reads tokens and returns the timed events that they describe.

    Tokens that the grammar forbids are read over. Raises ValueError for numbers outside the
    vocabulary.
    """

    def __init__(self, state: ScoreState | None = None) -> None:
        self.state = ScoreState() if state is None else state

    def feed(self, token: int) -> TimedEvent | None:
        """Read one token; return the event that it completes, at its time since the start."""
        event = self.state.advance(token)
        return None if event is None else TimedEvent(self.state.time_s, event)


def decode(tokens: Iterable[int]) -> list[TimedEvent]:
    """Decode a whole performance."""
    decoder = StreamDecoder()
    return [event for token in tokens if (event := decoder.feed(token)) is not None]
