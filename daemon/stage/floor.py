"""Who has the floor: what is known of phrase and turn, and each step from one to the other.

Pure, like the turns, which decide what is done when. All times are seconds of the session.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace

from daemon.messages import turns as t
from daemon.messages.brain import BeginTurn, Hear
from daemon.messages.turns import Action, Part, State
from daemon.parameters import (
    Changes,
    Entry,
    HeldKeys,
    Parameters,
    Trigger,
    WhenPlayedOver,
)
from daemon.stage.footswitch import Footswitch
from daemon.stage.past import History, Past
from daemon.stage.phrase import Phrase
from daemon.stage.tempo import USUAL_BEAT_S, Tempo
from daemon.stage.turn import Ending, Turn
from perceivers.events import NoteOff, NoteOn, TimedEvent

SEED_BITS = 31
LEFT_TO_COMPUTE_S = 0.02  # from the trigger to the first note, when all was read


class Floor:
    """The facts, and how a turn begins and comes to its end.

    `history` is what was played before, if this takes over from another; `missing` tells the
    parts that are not there yet, and why; from `first_seed` come those of the turns that name none;
    `latency_s` is how late the instrument sounds at most.
    """

    def __init__(
        self,
        parameters: Parameters,
        history: Iterable[TimedEvent] = (),
        missing: dict[Part, str] | None = None,
        first_seed: int = 0,
        presets: Mapping[str, Changes] | None = None,
        latency_s: float = 0.0,
    ) -> None:
        self.state = State.STARTING
        self.parameters = parameters
        self.missing = {Part.MODEL: "the model is being loaded"} if missing is None else missing
        self.presets = {} if presets is None else presets
        self._latency_s = latency_s
        self._beat_s = USUAL_BEAT_S  # of the clock that others follow
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

    def _lift_hands(self) -> list[Action]:
        return [
            action
            for event in self._phrase.lifted()
            for action in self._hear(TimedEvent(self._now_s, event))
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
        self._beat_s = self.tempo.beat_s or self._phrase.beat_s or USUAL_BEAT_S
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
        parameters = begin.parameters
        self._turn = Turn(begin.turn, parameters, self._now_s, decision_s, self._latency_s)
        self._phrase.end()
        beat_s = self._beat_s / parameters.tempo_scale
        clock = [t.StartClock(begin.start_s, beat_s)] if parameters.clock_out else []
        return [begin, t.Hold(begin.held), *clock, *self._enter(State.PERFORMING, reason)]

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
            return self._soonest_s
        from_s = self._soonest_s + LEFT_TO_COMPUTE_S
        if parameters.entry in (Entry.BEAT, Entry.BAR):
            beats = parameters.beats_per_bar if parameters.entry == Entry.BAR else 1
            return self.tempo.next_s(from_s, beats)
        return self._phrase.next_beat_s(from_s)

    @property
    def _soonest_s(self) -> float:
        """When what left now would sound."""
        return self._now_s + self._latency_s

    def _hand_back(self, reason: str) -> list[Action]:
        """Hand the turn back as its parameters say."""
        assert self._turn is not None
        actions = self._turn.hand_back(reason, self._now_s)
        return [*actions, *self._enter(State.HANDING_BACK, reason)]

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
