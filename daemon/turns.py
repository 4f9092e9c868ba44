"""Whose turn it is: a pure state machine, without clock, thread or port.

It is told what happens and answers what is to be done, at once; so yielding, stopping and panic
never wait for the model. All times are seconds of the session.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from daemon import turn_messages as t
from daemon.messages import BeginTurn, EndTurn, Hear, PlanComplete, Planned, Recall, Steer
from daemon.parameters import APPLIES, Applies, Parameters, Trigger
from daemon.turn_messages import Action, Input, Part, State
from perceivers.events import Event, NoteOff, NoteOn, Pedal, TimedEvent

HISTORY_EVENTS = 20_000  # more than any model remembers

_TURN = (State.PERFORMING, State.HANDING_BACK)


@dataclass(slots=True)
class _Turn:
    """What is known of the turn that lasts."""

    number: int
    parameters: Parameters
    trigger_s: float
    decision_s: float | None
    known_to_brain: bool = True
    complete: bool = False
    forget: bool = False  # what was played until its end, when it has ended
    end_reason: str = ""
    first_note_s: float | None = None
    performed: list[TimedEvent] = field(default_factory=list)
    heard: list[TimedEvent] = field(default_factory=list)  # while performing
    heard_after: list[TimedEvent] = field(default_factory=list)  # while handing back


class Turns:
    """Decides whose turn it is.

    `history` is what was played before, if this takes over from another; `missing` tells the
    parts that are not there yet, and why.
    """

    def __init__(
        self,
        parameters: Parameters,
        history: Iterable[TimedEvent] = (),
        missing: dict[Part, str] | None = None,
    ) -> None:
        self.state = State.STARTING
        self.parameters = parameters
        self.history = deque(history, maxlen=HISTORY_EVENTS)
        self.missing = {Part.MODEL: "the model is being loaded"} if missing is None else missing
        self._now_s = 0.0
        self._was_ready = False
        self._turn: _Turn | None = None
        self._turns = 0
        self._held: set[int] = set()
        self._pedal_down = False
        self._phrase_notes = 0  # struck by the player since the last turn
        self._last_heard_s = 0.0
        self._last_release_s: float | None = None
        self._handlers: dict[type, Callable[[Any], list[Action]]] = {
            t.Heard: self._heard,
            t.LetGo: self._let_go,
            t.Tick: self._tick,
            t.Perform: self._perform,
            t.Stop: self._stop,
            t.Panic: self._panic,
            t.Reset: self._reset,
            t.Adjust: self._adjust,
            Planned: self._planned,
            PlanComplete: self._plan_complete,
            t.Performed: self._performed,
            t.Released: self._released,
            t.Lost: self._lost,
            t.Back: self._back,
            t.Shutdown: self._shutdown,
        }

    @property
    def turn(self) -> int | None:
        """The number of the turn that lasts."""
        return self._turn.number if self._turn else None

    @property
    def next_deadline_s(self) -> float | None:
        """When to hand in a Tick, if nothing happens before."""
        if self.state is State.ARMED:
            return self._last_heard_s + self.parameters.silence_s
        return None

    def handle(self, happened: Input, now_s: float) -> list[Action]:
        """Take note of what happened; return what is to be done, in this order."""
        if self.state is State.STOPPING:
            return [t.Refuse("the daemon is ending")] if isinstance(happened, t.Perform) else []
        self._now_s = now_s
        return self._handlers[type(happened)](happened)

    def _heard(self, heard: t.Heard) -> list[Action]:
        return [*self._hear(heard.event), *self._settle("player")]

    def _hear(self, timed: TimedEvent) -> list[Action]:
        """Take in one thing that the player did; yield to it if it is a note."""
        actions = self._note(timed.event, timed.time_s)
        turn = self._turn
        if turn is None:
            self.history.append(timed)
            return [*actions, *self._tell_heard([timed])]
        if self.state is State.PERFORMING and isinstance(timed.event, NoteOn):
            actions += self._hand_back("yielded")
        if self.state is State.HANDING_BACK:  # the brain hears it after the end of the turn
            turn.heard_after.append(timed)
            return actions
        turn.heard.append(timed)
        return [*actions, *self._tell_heard([timed])]

    def _note(self, event: Event, time_s: float) -> list[Action]:
        """Keep account of the player's hands."""
        self._last_heard_s = time_s
        before = len(self._held)
        if isinstance(event, NoteOn):
            self._held.add(event.pitch)
            self._phrase_notes += 1
        elif isinstance(event, NoteOff):
            self._held.discard(event.pitch)
            self._last_release_s = time_s
        else:
            self._pedal_down = event.down
        return [] if len(self._held) == before else [t.Hold(frozenset(self._held))]

    def _tell_heard(self, events: list[TimedEvent]) -> list[Action]:
        if not events or Part.MODEL in self.missing:
            return []  # the brain learns it from the history, once it is there
        return [t.Tell(Hear(tuple(events)))]

    def _let_go(self, _: t.LetGo) -> list[Action]:
        return [*self._lift_hands(), *self._end_early("silence asked for")]

    def _lift_hands(self) -> list[Action]:
        events: list[Event] = [NoteOff(pitch) for pitch in sorted(self._held)]
        if self._pedal_down:
            events.append(Pedal(down=False))
        return [action for event in events for action in self._hear(TimedEvent(self._now_s, event))]

    def _tick(self, _: t.Tick) -> list[Action]:
        deadline_s = self.next_deadline_s
        if deadline_s is None or self._now_s < deadline_s:
            return []
        return self._begin(self.parameters, "silence")

    def _perform(self, perform: t.Perform) -> list[Action]:
        if self._turn is not None:
            return [t.Refuse("a turn is under way; stop it first")]
        for part in (Part.MODEL, Part.OUTPUT):
            if part in self.missing:
                return [t.Refuse(f"not possible now: {self.missing[part]}")]
        return self._begin(perform.parameters or self.parameters, "command")

    def _begin(self, parameters: Parameters, reason: str) -> list[Action]:
        self._turns += 1
        released_s = self._last_release_s
        decision_s = None if released_s is None else self._now_s - released_s
        self._turn = _Turn(self._turns, parameters, self._now_s, decision_s)
        self._phrase_notes = 0
        held = frozenset(self._held)
        begin = BeginTurn(self._turns, self._now_s, held, parameters)
        return [t.Tell(begin), t.Hold(held), *self._enter(State.PERFORMING, reason)]

    def _stop(self, _: t.Stop) -> list[Action]:
        return self._end_early("stopped")

    def _end_early(self, reason: str) -> list[Action]:
        """End the turn, if there is one; and let none begin before the player plays again."""
        self._phrase_notes = 0
        if self.state is State.PERFORMING:
            return self._hand_back(reason)
        return self._settle(reason)

    def _panic(self, _: t.Panic) -> list[Action]:
        actions = self._end_early("panic")
        return [t.SilenceAll(), *(action for action in actions if action != t.Release())]

    def _reset(self, _: t.Reset) -> list[Action]:
        actions = self._end_early("reset")
        self.history.clear()
        turn = self._turn
        if turn is not None:
            turn.forget = True
            turn.heard_after.clear()
            return actions
        return actions if Part.MODEL in self.missing else [*actions, t.Tell(Recall(()))]

    def _adjust(self, adjust: t.Adjust) -> list[Action]:
        before, after = asdict(self.parameters), asdict(adjust.parameters)
        changes: dict[str, Any] = {
            name: value
            for name, value in after.items()
            if value != before[name] and APPLIES[name] is not Applies.NEXT_TURN
        }
        self.parameters = adjust.parameters
        actions = self._settle("parameters")
        turn = self._turn
        if turn is not None and changes:
            turn.parameters = replace(turn.parameters, **changes)
            if self.state is State.PERFORMING:
                actions.append(t.Tell(Steer(turn.parameters)))
        return actions

    def _planned(self, planned: Planned) -> list[Action]:
        turn = self._performing(planned.turn)
        if turn is None:
            return []
        return [t.Play(planned.events, turn.parameters.channel - 1)]

    def _plan_complete(self, complete: PlanComplete) -> list[Action]:
        turn = self._performing(complete.turn)
        if turn is None:
            return []
        turn.complete = True
        turn.end_reason = complete.reason
        return [t.ReleaseAfterPlan()]

    def _performing(self, number: int) -> _Turn | None:
        """Return the turn of this number, if it is still to be heard."""
        turn = self._turn
        if self.state is State.PERFORMING and turn is not None and turn.number == number:
            return turn
        return None

    def _performed(self, performed: t.Performed) -> list[Action]:
        turn = self._turn
        if turn is not None:
            turn.performed.append(performed.event)
            if turn.first_note_s is None and isinstance(performed.event.event, NoteOn):
                turn.first_note_s = performed.event.time_s - turn.trigger_s
        return []

    def _hand_back(self, reason: str) -> list[Action]:
        assert self._turn is not None
        self._turn.end_reason = reason
        return [t.Release(), *self._enter(State.HANDING_BACK, reason)]

    def _released(self, _: t.Released) -> list[Action]:
        turn = self._turn
        if turn is None or not (turn.complete or self.state is State.HANDING_BACK):
            return []
        self._turn = None
        if not turn.forget:
            in_turn = [*turn.heard, *turn.performed]
            self.history.extend(sorted(in_turn, key=lambda timed: timed.time_s))
        self.history.extend(turn.heard_after)
        summary = _summary(turn, self._now_s)
        return [*self._tell_end(turn), summary, *self._settle(turn.end_reason)]

    def _tell_end(self, turn: _Turn) -> list[Action]:
        if Part.MODEL in self.missing:
            return []
        if not turn.known_to_brain:  # it was started anew in the meantime
            return [t.Tell(Recall(tuple(self.history)))]
        actions: list[Action] = [t.Tell(EndTurn(turn.number, tuple(turn.performed)))]
        if turn.forget:
            actions.append(t.Tell(Recall(())))
        return actions + self._tell_heard(turn.heard_after)

    def _lost(self, lost: t.Lost) -> list[Action]:
        self.missing[lost.part] = lost.reason
        actions: list[Action] = []
        if lost.part is Part.INPUT:
            actions = self._lift_hands()
        elif self._turn is not None:
            if lost.part is Part.MODEL:
                self._turn.known_to_brain = False
            if self.state is State.PERFORMING:
                actions = self._hand_back(lost.reason)
        return [*actions, *self._settle(lost.reason)]

    def _back(self, back: t.Back) -> list[Action]:
        if self.missing.pop(back.part, None) is None:
            return []
        actions: list[Action] = []
        if back.part is Part.MODEL:
            self._was_ready = True
            if self.history and self._turn is None:
                actions.append(t.Tell(Recall(tuple(self.history))))
        return [*actions, *self._settle(f"{back.part} ready")]

    def _shutdown(self, _: t.Shutdown) -> list[Action]:
        return [t.Release(), *self._enter(State.STOPPING, "shutdown")]

    def _settle(self, reason: str) -> list[Action]:
        """Enter the state that the facts ask for while no turn lasts."""
        if self._turn is not None:
            return []
        return self._enter(self._state_at_rest(), reason)

    def _state_at_rest(self) -> State:
        if self.missing:
            is_loading = Part.MODEL in self.missing and not self._was_ready
            return State.STARTING if is_loading else State.DEGRADED
        if self._held:
            return State.CAPTURING
        if self._phrase_notes == 0:
            return State.LISTENING
        is_phrase = self._phrase_notes >= self.parameters.phrase_notes
        is_silence_asked = self.parameters.trigger == Trigger.SILENCE
        return State.ARMED if is_phrase and is_silence_asked else State.CAPTURING

    def _enter(self, state: State, reason: str) -> list[Action]:
        if state is self.state:
            return []
        self.state = state
        return [t.Enter(state, reason)]


def _summary(turn: _Turn, now_s: float) -> t.TurnEnded:
    notes = sum(isinstance(timed.event, NoteOn) for timed in turn.performed)
    return t.TurnEnded(
        turn.number,
        turn.end_reason,
        notes,
        now_s - turn.trigger_s,
        turn.decision_s,
        turn.first_note_s,
    )
