"""The performer: hears a player, and continues the performance when asked to.

The musical core of the brain and of the offline continuation. It has no clock, no threads and no
ports: times and random generators come in, planned events go out.
"""

from collections.abc import Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, field, replace

import numpy as np

from daemon.brain import ending
from daemon.brain.answer import Answer
from daemon.brain.following import PLAYER_NOTES, Following, Lately
from daemon.brain.grid import NO_GRID, Grid
from daemon.brain.memory import Bookmark, Memory, TokenEngine
from daemon.brain.rendering import Rendering
from daemon.messages.brain import HAND_OVERS, LAST_PHRASE_S
from daemon.parameters import Parameters
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.repetition_penalty import StruckChords, discouraged
from perceivers.sampling import sample


@dataclass(slots=True)
class Turn:
    """What the memory goes by in a turn: the answer, and the way back to before it.

    What was heard is here as the memory has it, in the time of what is written.
    """

    answer: Answer
    rendering: Rendering
    following: Following
    bookmark: Bookmark
    struck_before: StruckChords
    planned: list[tuple[TimedEvent, TimedEvent]] = field(default_factory=list)  # written, sounding
    heard: list[TimedEvent] = field(default_factory=list)  # from the player, in this turn
    steps: int = 0  # of planning, so far
    adopted: list[TimedEvent] = field(default_factory=list)  # pedal changes still to be planned

    def copy(self) -> "Turn":
        """Return one whose answer goes its own way from here; what is heard is common to both."""
        twin = copy(self)
        twin.answer, twin.rendering = self.answer.copy(), self.rendering.copy()
        twin.following, twin.adopted = self.following.copy(), [*self.adopted]
        twin.planned = [*self.planned]
        return twin


@dataclass(frozen=True, slots=True)
class HandOver:
    """What was known when a turn began."""

    bookmark: Bookmark
    struck: StruckChords
    player: Lately
    left_down: dict[int, int]

    def later(self, by_s: float) -> "HandOver":
        """Return the same, as though all had happened so much later."""
        bookmark = replace(self.bookmark, offset_s=self.bookmark.offset_s + by_s)
        struck = replace(self.struck, since_s=self.struck.since_s + by_s)
        return replace(self, bookmark=bookmark, struck=struck)


class Performer:
    """Turns what was heard into what is played next."""

    def __init__(self, engine: TokenEngine, context: int) -> None:
        self._memory = Memory(engine, context)
        self._struck = StruckChords()
        self._player = Lately(PLAYER_NOTES)
        self._turn: Turn | None = None
        self._left_down: dict[int, int] = {}  # keys of earlier turns still down: as written
        self._hand_overs: list[HandOver] = []  # the last ones, oldest first

    @property
    def lag_tokens(self) -> int:
        """Tokens heard but not yet fed to the engine."""
        return self._memory.lag_tokens

    @property
    def position(self) -> int:
        """Tokens remembered since the last reset."""
        return self._memory.token_count

    @property
    def steps(self) -> int:
        """Steps of planning that were made in this turn."""
        return 0 if self._turn is None else self._turn.steps

    @property
    def planned_until_s(self) -> float | None:
        """Session time up to which the turn is planned; None outside a turn or when complete."""
        turn = self._turn
        return None if turn is None or turn.answer.complete else self._now_s(turn)

    def forget(self) -> None:
        """Forget everything heard, and the turn."""
        self._turn = None
        self._memory.forget()
        self._struck = StruckChords()
        self._player = Lately(PLAYER_NOTES)
        self._left_down.clear()
        self._hand_overs.clear()

    def hear(self, events: Sequence[TimedEvent]) -> None:
        """Remember what the player did; in a turn, respect it from the next token on."""
        for event in events:
            written = self._as_written(event)
            self._memory.hear(written)
            self._compare(written)
            self._player.take(event)
            if self._turn is not None:
                self._turn.heard.append(written)
                self._respect(self._turn, event)
        if self._turn is not None:
            self._follow_pedal(self._turn)

    def _respect(self, turn: Turn, event: TimedEvent) -> None:
        """Let the answer know what the player does on the keys."""
        if not isinstance(event.event, Pedal):
            turn.answer.respect(event, turn.rendering.own_pitch(event.event.pitch))

    def _as_written(self, event: TimedEvent) -> TimedEvent:
        """Return what was heard as the memory has it: in its time, its own keys as written."""
        time_s, heard = event
        if self._turn is not None:
            time_s = self._turn.rendering.written_s(time_s)
        if isinstance(heard, NoteOff):
            heard = NoteOff(self._left_down.pop(heard.pitch, heard.pitch))
        return TimedEvent(time_s, heard)

    def _now_s(self, turn: Turn) -> float:
        """Return when what is written now will sound."""
        return turn.rendering.sounding_s(self._memory.now_s)

    def _compare(self, event: TimedEvent) -> None:
        """Compare a note with what was struck before it."""
        if isinstance(event.event, NoteOn):
            self._struck = self._struck.then(event.time_s, event.event.pitch)

    def _follow_pedal(self, turn: Turn) -> None:
        """Let our own pedal be where the music has it: player and performer share one.

        The answer may leave through another instrument than the player's, which must then ring
        as the player's does.
        """
        down = self._memory.state.pedal_down
        if down != turn.answer.own_pedal:
            turn.answer.own_pedal = down
            turn.adopted.append(TimedEvent(self._now_s(turn), Pedal(down)))

    def digest(self, most_tokens: int) -> int:
        """Feed some of what waits to the engine, ahead of need; return how many tokens."""
        return self._memory.digest(most_tokens)

    def begin_turn(
        self,
        start_s: float,
        held: frozenset[int],
        parameters: Parameters,
        rng: np.random.Generator,
        phrase_s: float = 0.0,
        grid: Grid = NO_GRID,
    ) -> None:
        """Continue at `start_s`: the silence up to it is heard, and nothing planned lies before."""
        bookmark = self._memory.bookmark()
        before = HandOver(bookmark, self._struck, deepcopy(self._player), dict(self._left_down))
        self._hand_overs = [*self._hand_overs, before][-HAND_OVERS:]
        self._memory.pin([each.bookmark for each in self._hand_overs])
        self._memory.wait_until(start_s)
        answer = Answer(start_s, parameters, set(held), rng, phrase_s, grid.bar_s)
        rendering = Rendering(start_s, parameters, grid)
        following = Following(self._player.manner())
        self._turn = Turn(answer, rendering, following, bookmark, self._struck)
        self._follow_pedal(self._turn)

    def take_back(self, turns: int, by_s: float) -> None:
        """Go back to before the last turn, or the last but one: all since is forgotten.

        What came before counts as so much later. Raises LookupError if that is not known.
        """
        if not 1 <= turns <= len(self._hand_overs):
            raise LookupError(f"the beginnings of {len(self._hand_overs)} turns are known")
        self._turn = None
        self._hand_overs = [each.later(by_s) for each in self._hand_overs]
        before = self._hand_overs[-turns]
        self._hand_overs = self._hand_overs[:-turns]
        self._memory.return_to(before.bookmark)
        self._struck, self._player = before.struck, before.player
        self._left_down = before.left_down

    def steer(self, parameters: Parameters) -> None:
        """Use these parameters from the next token on."""
        if self._turn is not None:
            self._turn.answer.steer(parameters)
            self._turn.rendering.steer(parameters, self._memory.now_s)

    def plan(self, until_s: float, most_tokens: int) -> list[TimedEvent]:
        """Plan on, until the plan reaches `until_s`, so many tokens are taken, or the turn ends.

        Returns the new events in order of time; `planned_until_s` is None once the turn is
        complete.
        """
        planned: list[TimedEvent] = []
        for _ in range(most_tokens):
            turn = self._turn
            if turn is None or turn.answer.complete or self._now_s(turn) >= until_s:
                break
            planned += self._play(turn)
        return planned

    def _play(self, turn: Turn, token: int | None = None) -> list[TimedEvent]:
        """Take a token, None for one to be chosen; return what it plays, as it sounds."""
        written = [*turn.adopted, *self._plan_token(turn, token)]
        turn.adopted.clear()
        sounding = [turn.rendering.sounding(event) for event in written]
        turn.planned += zip(written, sounding, strict=True)
        return sounding

    def conclude(self, from_s: float | None, by_s: float | None = None) -> None:
        """Begin nothing new in this turn, from a moment on; None: from the next rest on, or `by_s`.

        What was planned for later than `from_s` is forgotten, for it will not be played; the turn
        is planned on from there.
        """
        turn = self._turn
        if turn is None:
            return
        if from_s is None:
            turn.answer.rest_soon(self._now_s(turn) + LAST_PHRASE_S if by_s is None else by_s)
            return
        turn.planned = [pair for pair in turn.planned if pair[1].time_s <= from_s]
        turn.adopted.clear()
        kept = [written for written, _ in turn.planned]
        turn.rendering.withdraw(from_s, turn.planned)
        in_written_time = turn.rendering.written_s
        planned = [TimedEvent(in_written_time(time_s), event) for time_s, event in kept]
        self._go_back(turn, planned, may_again=True)
        self._memory.wait_until(in_written_time(from_s))
        turn.answer.close(from_s, kept)
        self._follow_pedal(turn)

    def end_turn(self, performed: Sequence[TimedEvent], heard: Sequence[TimedEvent] = ()) -> None:
        """End the turn; `performed` is what was really sent. The memory is made to agree.

        `heard` is what the player did beside that of which `hear` was told.
        """
        turn = self._turn
        if turn is None:
            return
        turn.heard += [self._as_written(event) for event in heard]
        for event in heard:
            self._player.take(event)
        self._turn = None
        self._go_back(turn, turn.rendering.written(performed))
        self._memory.shift_clock(self._now_s(turn) - self._memory.now_s)
        self._left_down |= turn.rendering.left

    def _go_back(
        self, turn: Turn, played: Sequence[TimedEvent], *, may_again: bool = False
    ) -> None:
        """Let this, and what was heard, be all that happened since the turn began."""
        truth = sorted([*turn.heard, *played], key=lambda event: event.time_s)
        self._memory.agree(turn.bookmark, truth, may_again=may_again)
        self._struck = turn.struck_before
        for event in truth:
            self._compare(event)

    def _plan_token(self, turn: Turn, token: int | None) -> list[TimedEvent]:
        """Take a token; return what it plans, pitches as written, times as they sound."""
        answer, now_s = turn.answer, self._now_s(turn)
        turn.steps += 1
        if answer.is_over(now_s):
            answer.complete = True
            return answer.release(now_s)
        event = self._memory.take(self._choose(turn, now_s) if token is None else token)
        if event is None:
            return []
        self._compare(event)
        turn.following.take(event)
        planned = TimedEvent(now_s, event.event)
        answer.note(planned)
        return [planned]

    def _choose(self, turn: Turn, now_s: float) -> int:
        """Choose the next token: the model's prediction, turned by the parameters and the rules."""
        answer, parameters, logits = turn.answer, turn.answer.parameters, self._memory.logits()
        if parameters.repetition_penalty:
            self._struck = self._struck.at(self._memory.now_s)
            logits = discouraged(
                logits, self._struck, parameters.repetition_penalty, parameters.repetition_notes
            )
        if parameters.follow:
            towards_player = turn.following.lean()
            if towards_player is not None:
                logits = logits + parameters.follow * towards_player
        how_far = answer.ending(now_s)
        if how_far:
            loudness = self._memory.state.velocity_bin
            logits = logits + ending.lean(how_far, 0 if loudness is None else loudness)
        allowed = answer.allowed(self._memory.state, now_s, turn.rendering.keys)
        return sample(logits, allowed, answer.sampling, answer.rng)
