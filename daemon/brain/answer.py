"""An answer in progress: what it has played, when it is long enough, what it may play next."""

import math
from collections import deque
from collections.abc import Collection, Iterable
from copy import copy
from dataclasses import dataclass, field

import numpy as np

from daemon.brain import ending, limits
from daemon.brain.ducking import Ducking
from daemon.messages.brain import CLOSING_S
from daemon.parameters import LengthUnit, Parameters, WhenPlayedOver
from perceivers import vocabulary as v
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.grammar import Mask, allowed_tokens, mask_of
from perceivers.sampling import NOTE_ONS, TIME_SHIFTS, SamplingSettings
from perceivers.score import ScoreState

SHORTEST_MATCH_S = 1.0
PITCH_TEMPERATURE = 0.85
"""Of the temperature: which key is struck is chosen less daringly than all else."""
LONGEST_REST_S = 3.0
REST_S = 0.35  # so long without a strike is a rest, at which a phrase may end
PEDAL_LINGERS_S = 0.4  # the last chord rings this long before the pedal comes up

_OPENING = mask_of(v.Kind.NOTE_ON, v.Kind.VELOCITY)
_VELOCITIES = slice(v.VELOCITY, v.VELOCITY + v.VELOCITY_BINS)
_CLOSING = ~mask_of(v.Kind.NOTE_ON, v.Kind.VELOCITY, v.Kind.PEDAL_DOWN)


@dataclass(slots=True)
class Answer:
    """What the Performer has played in its turn: pitches as written, times as they sound."""

    start_s: float
    parameters: Parameters
    held: set[int]  # keys that the player holds: no sounding key is struck or released here
    rng: np.random.Generator
    phrase_s: float = 0.0  # how long the player's last phrase was; 0: there was none
    bar_s: float = 2.0  # how long a bar is
    own: dict[int, float] = field(default_factory=dict)  # pitches that sound, and since when
    own_pedal: bool = False
    struck_s: deque[float] = field(default_factory=lambda: deque(maxlen=limits.MOST_IN_WINDOW))
    notes: int = 0
    last_event_s: float = 0.0
    last_onset_s: float = 0.0
    rest_by_s: float | None = None  # by when it closes at the latest, or at its next rest
    closing_from_s: float | None = None
    was_taken_back: bool = False
    complete: bool = False
    ducking: Ducking = field(default_factory=Ducking)
    sampling: SamplingSettings = field(init=False)
    _keys: limits.Keys = field(init=False)
    _taken_s: dict[int, float] = field(default_factory=dict)  # pitches that the player took over

    def __post_init__(self) -> None:
        self.steer(self.parameters)
        self.last_event_s = self.last_onset_s = self.start_s

    def copy(self) -> "Answer":
        """Return one that goes its own way from here, with the same generator."""
        twin = copy(self)
        twin.held, twin.own, twin.struck_s = set(self.held), dict(self.own), self.struck_s.copy()
        twin.ducking, twin._taken_s = copy(self.ducking), dict(self._taken_s)  # noqa: SLF001 - its own kind
        return twin

    def steer(self, parameters: Parameters) -> None:
        """Use these parameters from the next token on."""
        self.parameters = parameters
        pitch = parameters.pitch_temperature
        if pitch is None:
            pitch = PITCH_TEMPERATURE * parameters.temperature
        self.sampling = SamplingSettings(
            temperature=parameters.temperature,
            top_p=parameters.top_p,
            min_p=parameters.min_p,
            time_temperature=parameters.time_temperature,
            pitch_temperature=pitch,
        )
        self._keys = limits.keys_within(parameters)

    def note(self, event: TimedEvent) -> None:
        """Keep account of an event of its own."""
        self.last_event_s = event.time_s
        match event.event:
            case NoteOn(pitch=pitch):
                self.own[pitch] = self.last_onset_s = event.time_s
                self.struck_s.append(event.time_s)
                self.notes += 1
            case NoteOff(pitch=pitch):
                self.own.pop(pitch, None)
            case Pedal(down=down):
                self.own_pedal = down

    def respect(self, event: TimedEvent, own_pitch: int | None) -> None:
        """Take note of what the player does: a key that the player holds is the player's.

        `own_pitch` is the pitch of its own that sounds on that key, if one does.
        """
        match event.event:
            case NoteOn(pitch=pitch, velocity=velocity):
                self.held.add(pitch)
                if own_pitch is not None:
                    self.own.pop(own_pitch, None)
                    self._taken_s[own_pitch] = event.time_s
                if self.parameters.when_played_over == WhenPlayedOver.DUCK:
                    self.ducking.duck(event.time_s, velocity)
            case NoteOff(pitch=pitch):
                self.held.discard(pitch)

    def rest_soon(self, by_s: float) -> None:
        """Close at the next rest, at a moment at the latest."""
        if self.rest_by_s is None:
            self.rest_by_s = by_s

    def close(self, from_s: float, played: Iterable[TimedEvent]) -> None:
        """Begin nothing new from now on; of what was planned, only this was played."""
        self.own, self.own_pedal, self.notes, self.complete = {}, False, 0, False
        for event in played:
            self.note(event)
        for pitch, taken_s in self._taken_s.items():
            if self.own.get(pitch, math.inf) <= taken_s:
                del self.own[pitch]
        self.closing_from_s = self.last_event_s = from_s
        self.was_taken_back = True

    def is_over(self, now_s: float) -> bool:
        """Tell whether all is played; once its length is reached, the answer closes first."""
        if self.closing_from_s is None and (self._length_reached(now_s) or self._rests(now_s)):
            self.closing_from_s = now_s
        if self.closing_from_s is None:
            return False
        return not self.own or now_s - self.closing_from_s >= CLOSING_S

    def ending(self, now_s: float) -> float:
        """Return how far its ending has come: 0 before it, 1 at the end."""
        remaining_s = self._remaining_s(now_s)
        if self.rest_by_s is not None:
            remaining_s = min(remaining_s, self.rest_by_s - now_s)
        return ending.progress(remaining_s, self.parameters.ending_s)

    def _remaining_s(self, now_s: float) -> float:
        """Return how much longer it will be, as far as can be told."""
        played_s = now_s - self.start_s
        if self.parameters.length_unit == LengthUnit.OPEN:
            return math.inf
        if self.parameters.length_unit == LengthUnit.NOTES:
            notes = self.parameters.length - self.notes
            return notes * played_s / self.notes if self.notes else math.inf
        return self._length_s() - played_s

    def _length_s(self) -> float:
        if self.parameters.length_unit == LengthUnit.MATCH and self.phrase_s:
            return max(SHORTEST_MATCH_S, self.phrase_s)
        is_bars = self.parameters.length_unit == LengthUnit.BARS
        return self.parameters.length * (self.bar_s if is_bars else 1.0)

    def _length_reached(self, now_s: float) -> bool:
        if self.parameters.length_unit == LengthUnit.NOTES:
            return self.notes >= self.parameters.length
        return self._remaining_s(now_s) <= 0.0

    def _rests(self, now_s: float) -> bool:
        if self.rest_by_s is None:
            return False
        return now_s >= self.rest_by_s or now_s - self.last_onset_s >= REST_S

    def release(self, now_s: float) -> list[TimedEvent]:
        """Return the events that leave nothing of its own sounding."""
        events = [TimedEvent(now_s, NoteOff(pitch)) for pitch in sorted(self.own)]
        if self.own_pedal:
            events.append(TimedEvent(now_s + PEDAL_LINGERS_S, Pedal(False)))
        return events

    def allowed(self, state: ScoreState, now_s: float, sounding: Collection[int] = ()) -> Mask:
        """Return which tokens may follow: the grammar's mask, narrowed to what an answer may do.

        It begins with a note; when it closes, nothing new begins. What limits forbid is not struck,
        keys that were down for too long come up, and no rest is too long while a note is possible.
        `sounding` are the keys that sound for its own pitches.
        """
        mask = allowed_tokens(state, untouchable=self._untouchable())
        can_strike = self._limit(mask, state, now_s, sounding)
        if state.last_kind is v.Kind.VELOCITY:
            return mask
        if self.closing_from_s is not None:
            mask = _narrowed(mask, _CLOSING)
            if self.parameters.ending_s and not self.was_taken_back:
                longest_s = self.parameters.longest_note_s - 0.1  # before it must come up
                mask = _narrowed(mask, ending.holding(self.own, now_s, longest_s))
        elif not self.notes and can_strike:
            return _narrowed(mask, _OPENING)
        pace = v.STEPS_PER_SECOND * self.parameters.tempo_scale  # written steps in a second
        steps_down = v.MAX_SHIFT_STEPS
        if self.own:
            longest_s = self.parameters.longest_note_s
            steps_down = limits.steps_left(longest_s, now_s - min(self.own.values()), pace)
        if steps_down < 1:
            forgotten = mask & self._forgotten(now_s, pace)
            if forgotten.any():
                return forgotten
            steps_down = v.MAX_SHIFT_STEPS
        most_steps = min(steps_down, self._steps_to_rest(now_s, pace, can_strike=can_strike))
        if most_steps >= v.MAX_SHIFT_STEPS:
            return mask
        return _narrowed(mask, _shifts_up_to(max(0, most_steps)))

    def _steps_to_rest(self, now_s: float, pace: float, *, can_strike: bool) -> int:
        """Return how many steps may pass without an event; nothing lies behind a closing's end."""
        steps = v.MAX_SHIFT_STEPS
        if can_strike or self.closing_from_s is not None:
            steps = int((LONGEST_REST_S - (now_s - self.last_event_s)) * pace)
        if self.closing_from_s is not None:
            left_s = self.closing_from_s + CLOSING_S - now_s
            steps = min(steps, max(1, math.ceil(left_s * pace - 1e-6)))
        return steps

    def _untouchable(self) -> set[int]:
        """Return the pitches that are the player's keys, or that would sound there."""
        as_written = {key - self.parameters.transpose for key in self.held}
        return self.held | {pitch for pitch in as_written if 0 <= pitch < v.PITCHES}

    def _limit(
        self, mask: Mask, state: ScoreState, now_s: float, sounding: Collection[int]
    ) -> bool:
        """Take from a mask what limits forbid to strike; return whether anything can be struck."""
        keys = self._keys
        may_strike = limits.may_strike(self.parameters, len(self.own), self.struck_s, now_s)
        if not may_strike or not self.ducking.may_strike(self.struck_s, now_s):
            keys = limits.NO_KEYS
        mask[NOTE_ONS] &= keys
        for key in sounding if self.parameters.transpose else ():
            if 0 <= key - self.parameters.transpose < v.PITCHES:
                mask[v.NOTE_ON + key - self.parameters.transpose] = False
        can_strike = bool(mask[NOTE_ONS].any())
        if state.last_kind is v.Kind.VELOCITY:
            mask[TIME_SHIFTS] = not can_strike  # what was announced has become forbidden: wait
        elif state.velocity_bin is None:
            can_strike = bool(mask[_VELOCITIES].any() and keys.any())
        if not can_strike:
            mask[_VELOCITIES] = False
        self.ducking.soften(mask, state, now_s)
        return can_strike

    def _forgotten(self, now_s: float, pace: float) -> Mask:
        """Return the note-offs of keys that have been down for too long."""
        mask = mask_of()
        for pitch, struck_s in self.own.items():
            left = limits.steps_left(self.parameters.longest_note_s, now_s - struck_s, pace)
            mask[v.NOTE_OFF + pitch] = left < 1
        return mask


def _narrowed(mask: Mask, to: Mask) -> Mask:
    """Allow only what both allow, unless nothing would be left."""
    narrowed = mask & to
    return narrowed if narrowed.any() else mask


def _shifts_up_to(most_steps: int) -> Mask:
    """Allow everything but longer time-shifts."""
    mask = ~mask_of()
    mask[v.TIME_SHIFT + most_steps : v.RANGES[v.Kind.TIME_SHIFT].stop] = False
    return mask
