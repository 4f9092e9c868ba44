"""Whose turn it is: a pure state machine, without clock, thread or port.

It is told what happens and answers what is to be done, at once; so yielding, stopping and panic
never wait for the model. All times are seconds of the session.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import singledispatchmethod

from daemon.messages import turns as t
from daemon.messages.brain import BeginTurn, EndTurn, Hear, PlanComplete, Planned, Recall, Steer
from daemon.messages.turns import Action, Occurrence, Part, State
from daemon.parameters import APPLIES, Applies, Entry, Parameters, Trigger, as_json, with_changes
from daemon.stage.phrase import Phrase
from perceivers.errors import SettingsError
from perceivers.events import Event, NoteOn, TimedEvent

HISTORY_EVENTS = 20_000  # more than any model remembers
LEFT_TO_COMPUTE_S = 0.02  # from the trigger to the first note, when all was read

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
        self._phrase = Phrase()

    @property
    def turn(self) -> int | None:
        """The number of the turn that lasts."""
        return self._turn.number if self._turn else None

    @property
    def next_deadline_s(self) -> float | None:
        """When to hand in a Tick, if nothing happens before."""
        if self.state not in (State.ARMED, State.CAPTURING):
            return None
        if Trigger.SILENCE not in self.parameters.trigger:
            return None
        return self._phrase.ends_s(self.parameters)

    def handle(self, happened: Occurrence, now_s: float) -> list[Action]:
        """Take note of what happened; return what is to be done, in this order."""
        if self.state is State.STOPPING:
            return [t.Refuse("the daemon is ending")] if isinstance(happened, t.Perform) else []
        self._now_s = now_s
        try:
            return self._on(happened)
        except SettingsError as error:  # parameters that contradict each other: nothing was changed
            return [t.Refuse(str(error))]

    @singledispatchmethod
    def _on(self, happened: Occurrence) -> list[Action]:
        """Do what this kind of occurrence asks for; each kind has a handler of its own below."""
        raise TypeError(f"{happened!r} is nothing that can happen to a turn")

    @_on.register
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
        before = len(self._phrase.held)
        self._phrase.hear(event, time_s)
        held = frozenset(self._phrase.held)
        return [] if len(held) == before else [t.Hold(held)]

    def _tell_heard(self, events: list[TimedEvent]) -> list[Action]:
        if not events or Part.MODEL in self.missing:
            return []  # the brain learns it from the history, once it is there
        return [Hear(tuple(events))]

    @_on.register
    def _let_go(self, _: t.LetGo) -> list[Action]:
        return [*self._lift_hands(), *self._end_early("silence asked for")]

    def _lift_hands(self) -> list[Action]:
        return [
            action
            for event in self._phrase.lifted()
            for action in self._hear(TimedEvent(self._now_s, event))
        ]

    @_on.register
    def _tick(self, _: t.Tick) -> list[Action]:
        deadline_s = self.next_deadline_s
        if deadline_s is None or self._now_s < deadline_s:
            return []
        return self._begin(self.parameters, "held chord" if self._phrase.held else "silence")

    @_on.register
    def _perform(self, perform: t.Perform) -> list[Action]:
        if self._turn is not None:
            return [t.Refuse("a turn is under way; stop it first")]
        for part in (Part.MODEL, Part.OUTPUT):
            if part in self.missing:
                return [t.Refuse(f"not possible now: {self.missing[part]}")]
        return self._begin(with_changes(self.parameters, perform.changes), "command")

    def _begin(self, parameters: Parameters, reason: str) -> list[Action]:
        self._turns += 1
        released_s = self._phrase.last_release_s
        decision_s = None if released_s is None else self._now_s - released_s
        self._turn = _Turn(self._turns, parameters, self._now_s, decision_s)
        held = frozenset(self._phrase.held)
        begin = BeginTurn(self._turns, self._entry_s(parameters), held, parameters)
        self._phrase.end()
        return [begin, t.Hold(held), *self._enter(State.PERFORMING, reason)]

    def _entry_s(self, parameters: Parameters) -> float:
        """Return when the answer begins: now, or on the player's next beat."""
        if parameters.entry == Entry.AT_ONCE:
            return self._now_s
        return self._phrase.next_beat_s(self._now_s + LEFT_TO_COMPUTE_S)

    @_on.register
    def _stop(self, _: t.Stop) -> list[Action]:
        return self._end_early("stopped")

    def _end_early(self, reason: str) -> list[Action]:
        """End the turn, if there is one; and let none begin before the player plays again."""
        self._phrase.end()
        if self.state is State.PERFORMING:
            return self._hand_back(reason)
        return self._settle(reason)

    @_on.register
    def _panic(self, _: t.Panic) -> list[Action]:
        actions = self._end_early("panic")
        return [t.SilenceAll(), *(action for action in actions if action != t.Release())]

    @_on.register
    def _reset(self, _: t.Reset) -> list[Action]:
        actions = [*self._end_early("reset"), t.Forget()]
        self.history.clear()
        turn = self._turn
        if turn is not None:
            turn.forget = True
            turn.heard_after.clear()
            return actions
        return actions if Part.MODEL in self.missing else [*actions, Recall(())]

    @_on.register
    def _adjust(self, adjust: t.Adjust) -> list[Action]:
        before = as_json(self.parameters)
        adjusted = with_changes(self.parameters, adjust.changes)
        changes = {
            name: value
            for name, value in adjust.changes.items()
            if value != before[name] and APPLIES[name] is not Applies.NEXT_TURN
        }
        turn = self._turn
        if turn is not None:  # before anything is changed: it may not go with those of the turn
            turn.parameters = with_changes(turn.parameters, changes)
        self.parameters = adjusted
        actions: list[Action] = [t.Changed(tuple(adjust.changes)), *self._settle("parameters")]
        if turn is not None and changes and self.state is State.PERFORMING:
            actions.append(Steer(turn.parameters))
        return actions

    @_on.register
    def _planned(self, planned: Planned) -> list[Action]:
        turn = self._performing(planned.turn)
        if turn is None:
            return []
        return [t.Play(planned.events, turn.parameters.channel - 1)]

    @_on.register
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

    @_on.register
    def _performed(self, performed: t.Performed) -> list[Action]:
        turn = self._turn
        if turn is None:  # a release that was owed: a port that was gone, a key that was held
            self.history.append(performed.event)
            return self._tell_heard([performed.event])
        turn.performed.append(performed.event)
        if turn.first_note_s is None and isinstance(performed.event.event, NoteOn):
            turn.first_note_s = performed.event.time_s - turn.trigger_s
        return []

    def _hand_back(self, reason: str) -> list[Action]:
        assert self._turn is not None
        self._turn.end_reason = reason
        return [t.Release(), *self._enter(State.HANDING_BACK, reason)]

    @_on.register
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
            return [Recall(tuple(self.history))]
        actions: list[Action] = [EndTurn(turn.number, tuple(turn.performed))]
        if turn.forget:
            actions.append(Recall(()))
        return actions + self._tell_heard(turn.heard_after)

    @_on.register
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

    @_on.register
    def _back(self, back: t.Back) -> list[Action]:
        if self.missing.pop(back.part, None) is None:
            return []
        actions: list[Action] = []
        if back.part is Part.MODEL:
            self._was_ready = True
            if self.history and self._turn is None:
                actions.append(Recall(tuple(self.history)))
        return [*actions, *self._settle(f"{back.part} ready")]

    @_on.register
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
        if not self._phrase.notes and not self._phrase.held:
            return State.LISTENING
        ends_s = self._phrase.ends_s(self.parameters)
        is_waiting = ends_s is not None and not self._phrase.held
        is_silence_asked = Trigger.SILENCE in self.parameters.trigger
        return State.ARMED if is_waiting and is_silence_asked else State.CAPTURING

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
