"""Whose turn it is: a pure state machine, without clock, thread or port.

It is told what happens and answers what is to be done, at once; so yielding, stopping and panic
never wait for the model. All times are seconds of the session.
"""

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import singledispatchmethod

from daemon.messages import turns as t
from daemon.messages.brain import BeginTurn, Hear, PlanComplete, Planned, Recall, Steer
from daemon.messages.turns import Action, Occurrence, Part, State
from daemon.parameters import (
    APPLIES,
    Applies,
    Changes,
    Entry,
    HeldKeys,
    Parameters,
    Trigger,
    WhenPlayedOver,
    as_json,
    with_changes,
)
from daemon.stage.footswitch import Footswitch, Tap
from daemon.stage.past import History, Past
from daemon.stage.phrase import Phrase
from daemon.stage.tempo import Tempo
from daemon.stage.turn import Ending, Turn
from perceivers.errors import SettingsError
from perceivers.events import NoteOff, NoteOn, TimedEvent
from perceivers.ranges import shown, suggestion

PLAIN_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)  # of a file, wherever it may lie
SEED_BITS = 31
LEFT_TO_COMPUTE_S = 0.02  # from the trigger to the first note, when all was read


class Turns:
    """Decides whose turn it is.

    `history` is what was played before, if this takes over from another; `missing` tells the
    parts that are not there yet, and why; from `first_seed` come those of the turns that name none.
    """

    def __init__(
        self,
        parameters: Parameters,
        history: Iterable[TimedEvent] = (),
        missing: dict[Part, str] | None = None,
        first_seed: int = 0,
        presets: Mapping[str, Changes] | None = None,
    ) -> None:
        self.state = State.STARTING
        self.parameters = parameters
        self.missing = {Part.MODEL: "the model is being loaded"} if missing is None else missing
        self.presets = {} if presets is None else presets
        self._seeds = random.Random(first_seed)  # noqa: S311 - for music
        self._now_s = 0.0
        self._was_ready = False
        self._turn: Turn | None = None
        self._turns = 0
        self._phrase = Phrase()
        self._past = Past(history, self._phrase)
        self._take_back: t.AnotherTake | t.Undo | None = None  # when the turn has ended
        self._foot = Footswitch()
        self.tempo = Tempo()
        self._tapped: int | None = None  # the turn that the last tap began, with nothing before it
        self._waiting: tuple[Parameters, str] | None = None  # a turn, for the player's hands

    @property
    def history(self) -> History:
        """What was played so far, by both."""
        return self._past.history

    @property
    def turn(self) -> int | None:
        """The number of the turn that lasts."""
        return self._turn.number if self._turn else None

    @property
    def next_deadline_s(self) -> float | None:
        """When to hand in a Tick, if nothing happens before."""
        due_s = [at_s for at_s in (self._foot.long_s, self._turn_due_s) if at_s is not None]
        return min(due_s, default=None)

    @property
    def _turn_due_s(self) -> float | None:
        """When a turn begins, or is to have ended."""
        if self._turn is not None:
            is_ending = self._turn.ending is Ending.BY_ITSELF
            return self._turn.cut_at_s if is_ending else None
        if self.state not in (State.ARMED, State.CAPTURING):
            return None
        if Trigger.SILENCE not in self.parameters.trigger:
            return None
        return self._phrase.ends_s(self.parameters)

    def handle(self, happened: Occurrence, now_s: float) -> list[Action]:
        """Take note of what happened; return what is to be done, in this order."""
        if self.state is State.STOPPING:
            is_refused = isinstance(happened, t.Perform | t.AnotherTake | t.Undo)
            return [t.Refuse("the daemon is ending")] if is_refused else []
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
        actions = self._hear(heard.event)
        if self._waiting is not None and not self._phrase.held:
            return [*actions, *self._begin(*self._waiting)]
        return [*actions, *self._settle("player")]

    def _hear(self, timed: TimedEvent) -> list[Action]:
        """Take in one thing that the player did; a strike is answered as the policy says."""
        before = len(self._phrase.held)
        is_news = self._phrase.hear(timed.event, timed.time_s)
        held = frozenset(self._phrase.held)
        actions: list[Action] = [] if len(held) == before else [t.Hold(held)]
        if not is_news:
            return actions
        turn = self._turn
        if turn is None:
            self.history.extend([timed])
            return [*actions, *self._tell_heard([timed])]
        policy = turn.parameters.when_played_over
        is_strike, is_performing = isinstance(timed.event, NoteOn), self.state is State.PERFORMING
        if is_strike and is_performing and policy == WhenPlayedOver.YIELD:
            actions += self._hand_back("yielded")
        heed = self.state is State.PERFORMING and policy != WhenPlayedOver.IGNORE
        if turn.hear(timed, heed=heed):
            actions += self._tell_heard([timed])
        return actions

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
        if self._foot.is_long(self._now_s):
            return self._panic(t.Panic())
        if self._turn is not None:
            return self._turn.cut(self._turn.end_reason)
        return self._begin(self.parameters, "held chord" if self._phrase.held else "silence")

    @_on.register
    def _perform(self, perform: t.Perform) -> list[Action]:
        if self._turn is not None:
            return [t.Refuse("a turn is under way; stop it first")]
        refusals = self._refusals()
        if refusals:
            return refusals
        return self._take(with_changes(self.parameters, perform.changes), "command")

    @_on.register
    def _clocked(self, clocked: t.Clocked) -> list[Action]:
        if clocked.sixteenths is None:
            self.tempo.tick(clocked.at_s)
        else:
            self.tempo.place(clocked.sixteenths)
        return []

    @_on.register
    def _switched(self, moved: t.Switched) -> list[Action]:
        tap = self._foot.moves(moved.down, moved.at_s)
        if not moved.stays:
            self._foot.let_go()
        if tap is Tap.SINGLE:
            return self._tap()
        return self._double_tap() if tap is Tap.DOUBLE else []

    def _tap(self) -> list[Action]:
        """Give the turn back, or take it."""
        self._tapped = None
        if self._turn is not None:
            return self._finish(t.Finish()) if self.state is State.PERFORMING else []
        if self._refusals():
            return []
        is_phrase = self._phrase.notes >= self.parameters.phrase_notes
        actions = self._take(self.parameters, "pedal")
        self._tapped = None if is_phrase else self._turns
        return actions

    def _double_tap(self) -> list[Action]:
        """Give another take of the answer that was heard: not of the one that the tap began."""
        self._waiting = None
        but_one = self._turn is not None and self._tapped == self._turn.number
        return [
            action
            for action in self._taken_back(t.AnotherTake(but_one))
            if not isinstance(action, t.Refuse)  # there is nobody to be told
        ]

    def _refusals(self) -> list[Action]:
        """Refuse what needs a model and an output, if there is none."""
        missing = [self.missing[part] for part in (Part.MODEL, Part.OUTPUT) if part in self.missing]
        return [t.Refuse(f"not possible now: {reason}") for reason in missing[:1]]

    def _take(self, parameters: Parameters, reason: str) -> list[Action]:
        """Begin a turn, once the player's keys are up if the parameters say so."""
        if parameters.held_keys == HeldKeys.WAIT and self._phrase.held:
            self._waiting = (parameters, reason)
            return self._settle(reason)
        return self._begin(parameters, reason)

    def _begin(self, parameters: Parameters, reason: str) -> list[Action]:
        self._waiting = None
        released_s = self._phrase.last_release_s
        decision_s = None if released_s is None else self._now_s - released_s
        released = self._release_held() if parameters.held_keys == HeldKeys.RELEASE else []
        is_seeded = parameters.seed is not None
        parameters = self._with_seed(parameters)
        held, phrase_s = frozenset(self._phrase.held), self._phrase.length_s
        start_s = self._entry_s(parameters)
        clock = (self.tempo.bar_s(parameters.beats_per_bar), *self.tempo.grid)
        begin = BeginTurn(self._turns + 1, start_s, held, parameters, phrase_s, *clock)
        self._past.handed_over(begin, is_seeded=is_seeded)
        return [*released, *self._perform_from(begin, decision_s, reason)]

    def _with_seed(self, parameters: Parameters) -> Parameters:
        """Return them with a seed; it is drawn here, so that a turn can be played again."""
        if parameters.seed is not None:
            return parameters
        return replace(parameters, seed=self._seeds.getrandbits(SEED_BITS))

    def _perform_from(
        self, begin: BeginTurn, decision_s: float | None, reason: str
    ) -> list[Action]:
        """Begin a turn as the brain is told."""
        self._turns = begin.turn
        self._turn = Turn(begin.turn, begin.parameters, self._now_s, decision_s)
        self._phrase.end()
        return [begin, t.Hold(begin.held), *self._enter(State.PERFORMING, reason)]

    @_on.register
    def _another_take(self, again: t.AnotherTake) -> list[Action]:
        if self._turn is None and self._phrase.notes >= self.parameters.phrase_notes:
            return [t.Refuse("you have played on since the last answer")]
        return self._taken_back(again)

    @_on.register
    def _undo(self, undo: t.Undo) -> list[Action]:
        return self._taken_back(undo)

    def _taken_back(self, command: t.AnotherTake | t.Undo) -> list[Action]:
        """Take the last exchange back; one that lasts, when it has ended."""
        if self._past.last is None:
            return [t.Refuse("there is no answer to take back")]
        refusals = self._refusals()
        if refusals:
            return refusals
        self._waiting = None
        if self._turn is None:
            return self._go_back(command)
        self._take_back = command
        return self._cut("taken back")

    def _go_back(self, command: t.AnotherTake | t.Undo) -> list[Action]:
        if isinstance(command, t.Undo):
            to_brain, hands = self._past.back_to_before(self._now_s)
            self._phrase.end()
            actions = [*to_brain, *self._tell_heard(hands), self._kept()]
            return [*actions, *self._settle("taken back")]
        exchange, to_brain, hands = self._past.back_to_hand_over(
            self._now_s, but_one=command.but_one
        )
        before, seed = exchange.begin, None
        if exchange.is_seeded and before.parameters.seed is not None:  # then always the same
            seed = (before.parameters.seed + 1) % 2**SEED_BITS
        begin = replace(
            before,
            turn=self._turns + 1,
            start_s=self._now_s,
            held=frozenset(self._phrase.held),
            parameters=self._with_seed(replace(before.parameters, seed=seed)),
        )
        self._past.handed_over(begin, is_seeded=exchange.is_seeded)
        actions = [*to_brain, *self._tell_heard(hands), self._kept()]
        return [*actions, *self._perform_from(begin, None, "another take")]

    def _kept(self) -> Action:
        return t.Forget(tuple(self.history))

    def _release_held(self) -> list[Action]:
        """Let the keys that are down count as released; they stay the player's for all that."""
        released = [
            TimedEvent(self._now_s, NoteOff(pitch)) for pitch in self._phrase.count_as_released()
        ]
        self.history.extend(released)
        return self._tell_heard(released)

    def _entry_s(self, parameters: Parameters) -> float:
        """Return when the answer begins: now, or on the next beat of the player or the clock."""
        if parameters.entry == Entry.AT_ONCE:
            return self._now_s
        if parameters.entry in (Entry.BEAT, Entry.BAR):
            beats = parameters.beats_per_bar if parameters.entry == Entry.BAR else 1
            return self.tempo.next_s(self._now_s + LEFT_TO_COMPUTE_S, beats)
        return self._phrase.next_beat_s(self._now_s + LEFT_TO_COMPUTE_S)

    @_on.register
    def _stop(self, _: t.Stop) -> list[Action]:
        return self._end_early("stopped")

    @_on.register
    def _finish(self, _: t.Finish) -> list[Action]:
        self._end_phrase()
        if self.state is State.PERFORMING:
            return self._hand_back("finished")
        return self._settle("finished")

    def _end_early(self, reason: str) -> list[Action]:
        """Cut the turn, if there is one; and let none begin before the player plays again."""
        self._end_phrase()
        return [*self._cut(reason), *self._settle(reason)]

    def _end_phrase(self) -> None:
        """Let no turn begin before the player plays again."""
        self._phrase.end()
        self._waiting = None
        if isinstance(self._take_back, t.AnotherTake):
            self._take_back = None

    def _cut(self, reason: str) -> list[Action]:
        """End the turn now, if there is one that sounds."""
        turn = self._turn
        if turn is None or turn.ending is Ending.CUT:
            return []
        return [*turn.cut(reason), *self._enter(State.HANDING_BACK, reason)]

    @_on.register
    def _panic(self, _: t.Panic) -> list[Action]:
        actions = self._end_early("panic")
        return [t.SilenceAll(), *(action for action in actions if action != t.Release())]

    @_on.register
    def _reset(self, _: t.Reset) -> list[Action]:
        actions = [*self._end_early("reset"), t.Forget()]
        self._past.forget()
        turn = self._turn
        if turn is not None:
            turn.forget = True
            turn.unheeded.clear()
            return actions
        return actions if Part.MODEL in self.missing else [*actions, Recall(())]

    @_on.register
    def _capture(self, capture: t.Capture) -> list[Action]:
        if not capture.name or PLAIN_NAME.fullmatch(capture.name) is None:
            return [
                t.Refuse(f"name = {shown(capture.name)} is not allowed; letters, digits, - and _")
            ]
        return [t.Keep(capture.name, capture.seconds)]

    @_on.register
    def _preset(self, preset: t.Preset) -> list[Action]:
        changes = self.presets.get(preset.name)
        if changes is None:
            told = suggestion(preset.name, self.presets) if self.presets else "there are none"
            return [t.Refuse(f"no preset {shown(preset.name)}; {told}")]
        return self._adjust(t.Adjust(changes))

    @_on.register
    def _program_changed(self, changed: t.ProgramChanged) -> list[Action]:
        """Set the preset of that place in the settings file, if there are so many."""
        names = [*self.presets]
        if not self.parameters.preset_programs or changed.program >= len(names):
            return []
        return self._preset(t.Preset(names[changed.program]))

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
        if turn is not None and changes and turn.ending is not Ending.CUT:
            actions.append(Steer(turn.parameters))
        return actions

    @_on.register
    def _planned(self, planned: Planned) -> list[Action]:
        turn = self._played(planned)
        if turn is None:
            return []
        return [t.Play(planned.events, turn.parameters.channel - 1)]

    @_on.register
    def _plan_complete(self, complete: PlanComplete) -> list[Action]:
        turn = self._played(complete)
        if turn is None:
            return []
        turn.complete = True
        if turn.ending is Ending.NOT_YET:
            turn.end_reason = complete.reason
        return [t.ReleaseAfterPlan()]

    def _played(self, said: Planned | PlanComplete) -> Turn | None:
        """Return the turn of which the brain speaks, if that is still to be played."""
        turn = self._turn
        is_played = turn is not None and turn.number == said.turn and turn.is_played(said.plan)
        return turn if is_played else None

    @_on.register
    def _performed(self, performed: t.Performed) -> list[Action]:
        turn = self._turn
        if turn is None:  # a release that was owed: a port that was gone, a key that was held
            self.history.extend([performed.event])
            return self._tell_heard([performed.event])
        turn.play(performed.event)
        return []

    def _hand_back(self, reason: str) -> list[Action]:
        """Hand the turn back as its parameters say."""
        assert self._turn is not None
        actions = self._turn.hand_back(reason, self._now_s)
        return [*actions, *self._enter(State.HANDING_BACK, reason)]

    @_on.register
    def _released(self, _: t.Released) -> list[Action]:
        turn = self._turn
        if turn is None or not (turn.complete or turn.ending is Ending.CUT):
            return []
        self._turn = None
        if self._take_back is not None and not turn.forget and not self._refusals():
            command, self._take_back = self._take_back, None
            is_known = turn.known_to_brain
            ended: list[Action] = [turn.told_at_the_end()] if is_known else []
            return [*ended, turn.summary(self._now_s), *self._go_back(command)]
        self._take_back = None
        if turn.forget:
            self.history.extend(turn.unheeded)
        else:
            self._past.handed_back(turn.heard, turn.performed, turn.unheeded)
        if turn.ending is Ending.NOT_YET and self._phrase.is_over(self.parameters, self._now_s):
            self._phrase.end()  # what was played over it was answered by it
        summary = turn.summary(self._now_s)
        return [*self._tell_end(turn), summary, *self._settle(turn.end_reason)]

    def _tell_end(self, turn: Turn) -> list[Action]:
        if Part.MODEL in self.missing:
            return []
        if not turn.known_to_brain:  # it was started anew in the meantime
            return [Recall(tuple(self.history))]
        if turn.forget:
            return [turn.told_at_the_end(), Recall(tuple(turn.unheeded))]
        return [turn.told_at_the_end()]

    @_on.register
    def _lost(self, lost: t.Lost) -> list[Action]:
        self.missing[lost.part] = lost.reason
        self._waiting = None
        if lost.part is Part.MODEL:
            self._past.brain_is_new()
        actions: list[Action] = []
        if lost.part is Part.INPUT:
            self._foot.let_go()
            actions = self._lift_hands()
        elif self._turn is not None:
            if lost.part is Part.MODEL:
                self._turn.known_to_brain = False
            actions = self._cut(lost.reason)
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
        if self._waiting is not None:
            return State.ARMED
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
