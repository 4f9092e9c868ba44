"""Events to tokens, one event at a time: the one truth for live input and for files."""

import math
from collections import Counter
from collections.abc import Iterable

from perceivers import vocabulary as v
from perceivers.events import Event, NoteOff, NoteOn, TimedEvent
from perceivers.score import MAX_EVENTS_AT_ONE_INSTANT, ScoreState


def step_of(time_s: float) -> int:
    """Return the grid step nearest to a time in seconds."""
    return math.floor(time_s * v.STEPS_PER_SECOND + 0.5)


class StreamEncoder:
    """Encodes timed events as they happen.

    Times are rounded to the grid absolutely and then differenced, so that nothing drifts. A time
    before the previous one counts as that one (the stream never goes back). Events that would
    crowd one instant beyond what the grammar allows come one step late each time it is full.
    `ignored` counts what carries no information: unmatched note-offs and repeated pedal states.
    """

    def __init__(self, state: ScoreState | None = None) -> None:
        self.state = ScoreState() if state is None else state
        self.ignored: Counter[str] = Counter()

    def begin(self, source: v.Source = v.Source.UNKNOWN) -> list[int]:
        """Return the tokens that open a piece: BOS and the tag of its source."""
        return self._emit([v.BOS, v.tag_of(source)])

    def feed(self, event: TimedEvent) -> list[int]:
        """Encode one event; return its tokens, none if it says nothing new."""
        body = self._body(event.event)
        if not body:
            return []
        return self.wait_until(event.time_s) + self._emit_uncrowded(body)

    def wait_until(self, time_s: float) -> list[int]:
        """Let time pass without an event; return the time-shift tokens."""
        gap = step_of(time_s) - self.state.step
        if gap <= 0:
            return []
        whole, rest = divmod(gap, v.MAX_SHIFT_STEPS)
        tokens = [v.shift_token(v.MAX_SHIFT_STEPS)] * whole
        return self._emit(tokens + ([v.shift_token(rest)] if rest else []))

    def end(self) -> list[int]:
        """Return the tokens that close a piece: keys still down come up, then EOS."""
        releases = [v.NOTE_OFF + pitch for pitch in sorted(self.state.sounding)]
        return self._emit_uncrowded(releases) + self._emit([v.EOS])

    def _body(self, event: Event) -> list[int]:
        """Return the tokens of an event at the present instant, without changing the state."""
        if isinstance(event, NoteOn):
            tokens = [v.NOTE_OFF + event.pitch] if event.pitch in self.state.sounding else []
            velocity_bin = v.velocity_bin(event.velocity)
            if velocity_bin != self.state.velocity_bin:
                tokens.append(v.VELOCITY + velocity_bin)
            return [*tokens, v.NOTE_ON + event.pitch]
        if isinstance(event, NoteOff):
            if event.pitch not in self.state.sounding:
                self.ignored["note_off"] += 1
                return []
            return [v.NOTE_OFF + event.pitch]
        if event.down == self.state.pedal_down:
            self.ignored["pedal"] += 1
            return []
        return [v.PEDAL_DOWN if event.down else v.PEDAL_UP]

    def _emit_uncrowded(self, tokens: list[int]) -> list[int]:
        """Emit tokens of events, passing on to the next step when the present one is full."""
        emitted = []
        for token in tokens:
            if self.state.events_at_step >= MAX_EVENTS_AT_ONE_INSTANT:
                emitted += self._emit([v.shift_token(1)])
            emitted += self._emit([token])
        return emitted

    def _emit(self, tokens: list[int]) -> list[int]:
        for token in tokens:
            self.state.advance(token)
        return tokens


def encode(events: Iterable[TimedEvent], source: v.Source = v.Source.UNKNOWN) -> list[int]:
    """Encode a whole performance, ordered by time: BOS, tag, events, EOS."""
    encoder = StreamEncoder()
    tokens = encoder.begin(source)
    for event in events:
        tokens += encoder.feed(event)
    return tokens + encoder.end()
