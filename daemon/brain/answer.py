"""An answer in progress: what it has played, when it is long enough, what it may play next."""

from dataclasses import dataclass, field

import numpy as np

from daemon.parameters import LengthUnit, Parameters
from perceivers import vocabulary as v
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.grammar import Mask, allowed_tokens, mask_of
from perceivers.sampling import NOTE_ONS, SamplingSettings
from perceivers.score import ScoreState

LONGEST_REST_S = 3.0
LONGEST_NOTE_S = 6.0  # a key that a model forgets is let go
CLOSING_S = 2.0  # after its length, keys still down have this long to come up by themselves
PEDAL_LINGERS_S = 0.4  # the last chord rings this long before the pedal comes up

_OPENING = mask_of(v.Kind.NOTE_ON, v.Kind.VELOCITY)
_CLOSING = ~mask_of(v.Kind.NOTE_ON, v.Kind.VELOCITY, v.Kind.PEDAL_DOWN)


@dataclass(slots=True)
class Answer:
    """What the Performer has played in its turn, in session time."""

    start_s: float
    parameters: Parameters
    held: set[int]  # keys that the player holds: neither struck nor released
    rng: np.random.Generator
    own: dict[int, float] = field(default_factory=dict)  # pitches that sound, and since when
    own_pedal: bool = False
    notes: int = 0
    last_event_s: float = 0.0
    closing_from_s: float | None = None
    complete: bool = False
    sampling: SamplingSettings = field(init=False)

    def __post_init__(self) -> None:
        self.steer(self.parameters)

    def steer(self, parameters: Parameters) -> None:
        """Use these parameters from the next token on."""
        self.parameters = parameters
        self.sampling = SamplingSettings(
            temperature=parameters.temperature,
            top_p=parameters.top_p,
            min_p=parameters.min_p,
            time_temperature=parameters.time_temperature,
            pitch_temperature=parameters.pitch_temperature,
        )

    def note(self, event: TimedEvent) -> None:
        """Keep account of an event of its own."""
        self.last_event_s = event.time_s
        match event.event:
            case NoteOn(pitch=pitch):
                self.own[pitch] = event.time_s
                self.notes += 1
            case NoteOff(pitch=pitch):
                self.own.pop(pitch, None)
            case Pedal(down=down):
                self.own_pedal = down

    def is_over(self, now_s: float) -> bool:
        """Tell whether all is played; once its length is reached, the answer closes first."""
        if self.closing_from_s is None and self._length_reached(now_s):
            self.closing_from_s = now_s
        if self.closing_from_s is None:
            return False
        return not self.own or now_s - self.closing_from_s >= CLOSING_S

    def _length_reached(self, now_s: float) -> bool:
        if self.parameters.length_unit == LengthUnit.NOTES:
            return self.notes >= self.parameters.length
        return now_s - self.start_s >= self.parameters.length

    def release(self, now_s: float) -> list[TimedEvent]:
        """Return the events that leave nothing of its own sounding."""
        events = [TimedEvent(now_s, NoteOff(pitch)) for pitch in sorted(self.own)]
        if self.own_pedal:
            events.append(TimedEvent(now_s + PEDAL_LINGERS_S, Pedal(False)))
        return events

    def allowed(self, state: ScoreState, now_s: float) -> Mask:
        """Return which tokens may follow: the grammar's mask, narrowed to what an answer may do.

        It begins with a note; when it closes, nothing new begins. Keys that were down for too
        long come up, and no rest is too long.
        """
        mask = allowed_tokens(state, untouchable=self.held)
        if self.closing_from_s is not None:
            mask = _narrowed(mask, _CLOSING)
        elif not self.notes and _can_strike(mask, state):
            return _narrowed(mask, _OPENING)
        if self.own and now_s - min(self.own.values()) >= LONGEST_NOTE_S:
            forgotten = mask & self._forgotten(now_s)
            if forgotten.any():
                return forgotten
        most_steps = int((LONGEST_REST_S - (now_s - self.last_event_s)) * v.STEPS_PER_SECOND)
        if most_steps >= v.MAX_SHIFT_STEPS:
            return mask
        return _narrowed(mask, _shifts_up_to(max(0, most_steps)))

    def _forgotten(self, now_s: float) -> Mask:
        """Return the note-offs of keys that have been down for too long."""
        mask = mask_of()
        for pitch, struck_s in self.own.items():
            mask[v.NOTE_OFF + pitch] = now_s - struck_s >= LONGEST_NOTE_S
        return mask


def _narrowed(mask: Mask, to: Mask) -> Mask:
    """Allow only what both allow, unless nothing would be left."""
    narrowed = mask & to
    return narrowed if narrowed.any() else mask


def _can_strike(mask: Mask, state: ScoreState) -> bool:
    """Tell whether a note-on is possible now, or after a velocity."""
    return state.velocity_bin is None or bool(mask[NOTE_ONS].any())


def _shifts_up_to(most_steps: int) -> Mask:
    """Allow everything but longer time-shifts."""
    mask = ~mask_of()
    mask[v.TIME_SHIFT + most_steps : v.RANGES[v.Kind.TIME_SHIFT].stop] = False
    return mask
