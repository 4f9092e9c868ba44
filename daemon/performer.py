"""The performer: hears a player, and continues the performance when asked to.

The musical core of the brain and of the offline continuation. It has no clock, no threads and no
ports: times and random generators come in, planned events go out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from daemon.memory import Bookmark, Memory, TokenEngine
from daemon.parameters import LengthUnit, Parameters
from perceivers import vocabulary as v
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.grammar import allowed_tokens
from perceivers.sampling import SamplingSettings, sample

Mask = npt.NDArray[np.bool_]

LONGEST_REST_S = 3.0
LONGEST_NOTE_S = 6.0  # a key that a model forgets is let go
CLOSING_S = 2.0  # after its length, keys still down have this long to come up by themselves
PEDAL_LINGERS_S = 0.4  # the last chord rings this long before the pedal comes up


@dataclass(slots=True)
class Turn:
    """What is known about the turn in progress."""

    start_s: float
    parameters: Parameters
    held: set[int]  # keys that the player holds: neither struck nor released
    bookmark: Bookmark
    rng: np.random.Generator
    own: dict[int, float] = field(default_factory=dict)  # pitches that sound, and since when
    own_pedal: bool = False
    notes: int = 0
    last_event_s: float = 0.0
    closing_from_s: float | None = None
    complete: bool = False
    heard: list[TimedEvent] = field(default_factory=list)  # from the player, in this turn
    adopted: list[TimedEvent] = field(default_factory=list)  # pedal changes still to be planned


class Performer:
    """Turns what was heard into what is played next."""

    def __init__(self, engine: TokenEngine, context: int) -> None:
        self._memory = Memory(engine, context)
        self._turn: Turn | None = None

    @property
    def lag_tokens(self) -> int:
        """Tokens heard but not yet fed to the engine."""
        return self._memory.lag_tokens

    @property
    def position(self) -> int:
        """Tokens remembered since the last reset."""
        return self._memory.token_count

    @property
    def planned_until_s(self) -> float | None:
        """Session time up to which the turn is planned; None outside a turn or when complete."""
        turn = self._turn
        return None if turn is None or turn.complete else self._memory.now_s

    def forget(self) -> None:
        """Forget everything heard, and the turn."""
        self._turn = None
        self._memory.forget()

    def hear(self, events: Sequence[TimedEvent]) -> None:
        """Remember what the player did; in a turn, respect it from the next token on."""
        for event in events:
            self._memory.hear(event)
            if self._turn is not None:
                self._turn.heard.append(event)
                if isinstance(event.event, NoteOff):
                    self._turn.held.discard(event.event.pitch)
        if self._turn is not None:
            self._follow_pedal(self._turn)

    def _follow_pedal(self, turn: Turn) -> None:
        """Let our own pedal be where the music has it: player and performer share one.

        The answer may leave through another instrument than the player's, which must then ring
        as the player's does.
        """
        down = self._memory.state.pedal_down
        if down != turn.own_pedal:
            turn.own_pedal = down
            turn.adopted.append(TimedEvent(self._memory.now_s, Pedal(down)))

    def digest(self, most_tokens: int) -> int:
        """Feed some of what waits to the engine, ahead of need; return how many tokens."""
        return self._memory.digest(most_tokens)

    def begin_turn(
        self,
        start_s: float,
        held: frozenset[int],
        parameters: Parameters,
        rng: np.random.Generator,
    ) -> None:
        """Continue at `start_s`: the silence up to it is heard, and nothing planned lies before."""
        bookmark = self._memory.bookmark()
        self._memory.wait_until(start_s)
        self._turn = Turn(start_s, parameters, set(held), bookmark, rng, last_event_s=start_s)
        self._follow_pedal(self._turn)

    def steer(self, parameters: Parameters) -> None:
        """Use these parameters from the next token on."""
        if self._turn is not None:
            self._turn.parameters = parameters

    def plan(self, until_s: float, most_tokens: int) -> list[TimedEvent]:
        """Plan on, until the plan reaches `until_s`, so many tokens are taken, or the turn ends.

        Returns the new events in order of time; `planned_until_s` is None once the turn is
        complete.
        """
        planned: list[TimedEvent] = []
        for _ in range(most_tokens):
            turn = self._turn
            if turn is None or turn.complete or self._memory.now_s >= until_s:
                break
            planned += turn.adopted
            turn.adopted.clear()
            planned += self._plan_token(turn)
        return planned

    def end_turn(self, performed: Sequence[TimedEvent]) -> None:
        """End the turn; `performed` is what was really sent. The memory is made to agree."""
        turn = self._turn
        if turn is None:
            return
        self._turn = None
        truth = sorted([*turn.heard, *performed], key=lambda event: event.time_s)
        self._memory.agree(turn.bookmark, truth)

    def _plan_token(self, turn: Turn) -> list[TimedEvent]:
        if turn.closing_from_s is None and self._length_reached(turn):
            turn.closing_from_s = self._memory.now_s
        if turn.closing_from_s is not None and self._closed(turn):
            turn.complete = True
            return self._release(turn)
        token = sample(
            self._memory.logits(),
            self._allowed(turn),
            _sampling_settings(turn.parameters),
            turn.rng,
        )
        event = self._memory.take(token)
        if event is None:
            return []
        self._note(turn, event)
        return [event]

    def _note(self, turn: Turn, event: TimedEvent) -> None:
        """Keep account of an event of our own."""
        turn.last_event_s = event.time_s
        match event.event:
            case NoteOn(pitch=pitch):
                turn.own[pitch] = event.time_s
                turn.notes += 1
            case NoteOff(pitch=pitch):
                turn.own.pop(pitch, None)
            case Pedal(down=down):
                turn.own_pedal = down

    def _length_reached(self, turn: Turn) -> bool:
        parameters = turn.parameters
        if parameters.length_unit == LengthUnit.NOTES:
            return turn.notes >= parameters.length
        return self._memory.now_s - turn.start_s >= parameters.length

    def _closed(self, turn: Turn) -> bool:
        assert turn.closing_from_s is not None
        overdue = self._memory.now_s - turn.closing_from_s >= CLOSING_S
        return not turn.own or overdue

    def _release(self, turn: Turn) -> list[TimedEvent]:
        """Return the events that leave nothing of ours sounding."""
        now_s = self._memory.now_s
        events = [TimedEvent(now_s, NoteOff(pitch)) for pitch in sorted(turn.own)]
        if turn.own_pedal:
            events.append(TimedEvent(now_s + PEDAL_LINGERS_S, Pedal(False)))
        return events

    def _allowed(self, turn: Turn) -> Mask:
        """Return the grammar's mask, narrowed to what a turn may do at this moment."""
        mask = allowed_tokens(self._memory.state, untouchable=turn.held)
        if turn.closing_from_s is not None:
            mask = _without(mask, v.Kind.NOTE_ON, v.Kind.VELOCITY, v.Kind.PEDAL_DOWN)
        elif not turn.notes and self._can_strike(mask):
            return _only(mask, v.Kind.NOTE_ON, v.Kind.VELOCITY)
        forgotten = self._forgotten(turn)
        if (mask & forgotten).any():
            return mask & forgotten
        rest_s = self._memory.now_s - turn.last_event_s
        most_steps = max(0, int((LONGEST_REST_S - rest_s) * v.STEPS_PER_SECOND))
        return _with_shifts_up_to(mask, most_steps)

    def _forgotten(self, turn: Turn) -> Mask:
        """Return the note-offs of keys that have been down for too long."""
        note_offs = np.zeros(v.VOCABULARY_SIZE, dtype=np.bool_)
        for pitch, struck_s in turn.own.items():
            note_offs[v.NOTE_OFF + pitch] = self._memory.now_s - struck_s >= LONGEST_NOTE_S
        return note_offs

    def _can_strike(self, mask: Mask) -> bool:
        """Tell whether a note-on is possible now, or after a velocity."""
        notes = v.RANGES[v.Kind.NOTE_ON]
        return self._memory.state.velocity_bin is None or bool(mask[notes.start : notes.stop].any())


def _without(mask: Mask, *kinds: v.Kind) -> Mask:
    """Forbid some kinds of tokens, unless nothing would be left."""
    narrowed = mask.copy()
    for kind in kinds:
        narrowed[v.RANGES[kind].start : v.RANGES[kind].stop] = False
    return narrowed if narrowed.any() else mask


def _only(mask: Mask, *kinds: v.Kind) -> Mask:
    """Allow only some kinds of tokens."""
    return _without(mask, *(kind for kind in v.Kind if kind not in kinds))


def _with_shifts_up_to(mask: Mask, most_steps: int) -> Mask:
    """Forbid longer time-shifts, unless nothing would be left."""
    narrowed = mask.copy()
    narrowed[v.TIME_SHIFT + most_steps : v.RANGES[v.Kind.TIME_SHIFT].stop] = False
    return narrowed if narrowed.any() else mask


def _sampling_settings(parameters: Parameters) -> SamplingSettings:
    return SamplingSettings(parameters.temperature, parameters.top_p, parameters.min_p)
