"""The running state of a token sequence: what sounds, the pedal, the velocity and the time.

Encoder, decoder and grammar share this one state, so that they cannot disagree. The state after a
token depends on the tokens alone.
"""

from dataclasses import dataclass, field

from perceivers import vocabulary as v
from perceivers.events import Event, NoteOff, NoteOn, Pedal

MAX_EVENTS_AT_ONE_INSTANT = 40


@dataclass(slots=True)
class ScoreState:
    """What a reader of the tokens so far knows."""

    step: int = 0
    """Time on the grid since the start, in steps of 10 ms."""
    sounding: set[int] = field(default_factory=set)
    """Pitches whose key is down."""
    pedal_down: bool = False
    velocity_bin: int | None = None
    events_at_step: int = 0
    """Notes and pedal changes at this very step."""
    ended: bool = False
    last_kind: v.Kind = v.Kind.PAD

    def copy(self) -> "ScoreState":
        """Return an independent copy."""
        return ScoreState(
            self.step,
            set(self.sounding),
            self.pedal_down,
            self.velocity_bin,
            self.events_at_step,
            self.ended,
            self.last_kind,
        )

    @property
    def time_s(self) -> float:
        """Time since the start, in seconds."""
        return self.step / v.STEPS_PER_SECOND

    def advance(self, token: int) -> Event | None:
        """Read one token; return the event that it completes, if it is one that changes the sound.

        A token that the grammar forbids (a note-off for a silent pitch, say) returns None. Raises
        ValueError for a number outside the vocabulary.
        """
        kind = v.kind_of(token)
        self.last_kind = kind
        if kind is v.Kind.TIME_SHIFT:
            self.step += token - v.TIME_SHIFT + 1
            self.events_at_step = 0
            return None
        if kind is v.Kind.VELOCITY:
            self.velocity_bin = token - v.VELOCITY
            return None
        if kind is v.Kind.EOS:
            self.ended = True
            return None
        event = self._event_of(kind, token)
        if event is not None:
            self.events_at_step += 1
        return event

    def _event_of(self, kind: v.Kind, token: int) -> Event | None:
        if kind is v.Kind.NOTE_ON:
            pitch = token - v.NOTE_ON
            if pitch in self.sounding or self.velocity_bin is None:
                return None
            self.sounding.add(pitch)
            return NoteOn(pitch, v.velocity_of(self.velocity_bin))
        if kind is v.Kind.NOTE_OFF:
            pitch = token - v.NOTE_OFF
            if pitch not in self.sounding:
                return None
            self.sounding.remove(pitch)
            return NoteOff(pitch)
        if kind in (v.Kind.PEDAL_DOWN, v.Kind.PEDAL_UP):
            down = kind is v.Kind.PEDAL_DOWN
            if down == self.pedal_down:
                return None
            self.pedal_down = down
            return Pedal(down)
        return None
