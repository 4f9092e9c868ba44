"""A performer that tries several ways on where there is time, and plays the best.

The first notes of a turn leave as they come. Once enough is planned, the next seconds are played
several times over in the memory, and a judge says which of them goes on best. When the time has
come before all are tried, the best so far is taken, or the one being tried as far as it is: that
needs no more time than playing on.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np

from daemon.brain.candidates import SEGMENT_S, Candidate, Chooser, Fork, Judge
from daemon.brain.grid import NO_GRID, Grid
from daemon.brain.judge import judge_by_likelihood
from daemon.brain.memory import TokenEngine
from daemon.brain.performer import Performer, Turn
from daemon.messages.brain import HAND_OVERS
from daemon.parameters import Parameters
from perceivers.events import TimedEvent

HEARD_EVENTS = 4096  # of the player, that candidates are judged by
RECENT_EVENTS = 256  # of the answer, that a judge may look back on


class ChoosingPerformer(Performer):
    """Performs, and chooses among candidates if the parameters ask for several."""

    def __init__(
        self, engine: TokenEngine, context: int, judge: Judge | None = judge_by_likelihood
    ) -> None:
        """Remember nothing yet.

        judge: of candidates; without one, answers are played as they come.
        """
        super().__init__(engine, context)
        self._chooser = Chooser(judge)
        self._heard: deque[TimedEvent] = deque(maxlen=HEARD_EVENTS)
        self._heard_before: list[tuple[TimedEvent, ...]] = []  # each of the last turns
        self._can_judge: bool | None = None  # in this turn; None: not asked yet
        self._fork: Fork | None = None

    @property
    def planned_until_s(self) -> float | None:
        """Session time up to which the turn is planned; None outside a turn or when complete."""
        return super().planned_until_s if self._fork is None else self._fork.from_s

    @property
    def chooses(self) -> bool:
        """Whether there is a turn that tries several ways on."""
        turn = self._turn
        if turn is None or turn.answer.complete or self._can_judge is False:
            return False
        return turn.answer.parameters.candidates > 1

    def forget(self) -> None:
        """Forget everything heard, and the turn."""
        self._fork = None
        self._heard.clear()
        self._heard_before.clear()
        super().forget()

    def hear(self, events: Sequence[TimedEvent]) -> None:
        """Remember what the player did; in a turn, respect it from the next token on."""
        self._take_back()
        self._heard += events
        super().hear(events)

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
        self._take_back()
        self._heard_before = [*self._heard_before, tuple(self._heard)][-HAND_OVERS:]
        self._can_judge = None
        super().begin_turn(start_s, held, parameters, rng, phrase_s, grid)

    def take_back(self, turns: int, by_s: float) -> None:
        """Go back to before the last turn, or the last but one: all since is forgotten."""
        self._take_back()
        super().take_back(turns, by_s)
        self._heard = deque(self._heard_before[-turns], maxlen=HEARD_EVENTS)
        del self._heard_before[-turns:]

    def steer(self, parameters: Parameters) -> None:
        """Use these parameters from the next token on."""
        self._take_back()
        super().steer(parameters)

    def conclude(self, from_s: float | None, by_s: float | None = None) -> None:
        """Begin nothing new in this turn, from a moment on; None: from the next rest on."""
        self._take_back()
        super().conclude(from_s, by_s)

    def end_turn(self, performed: Sequence[TimedEvent], heard: Sequence[TimedEvent] = ()) -> None:
        """End the turn; `performed` is what was really sent. The memory is made to agree."""
        self._take_back()
        self._heard += heard
        super().end_turn(performed, heard)

    def plan(self, until_s: float, most_tokens: int) -> list[TimedEvent]:
        """Plan on as it comes; what is being tried is settled first."""
        return [*self._settle(), *super().plan(until_s, most_tokens)]

    def ponder(self, most_tokens: int) -> list[TimedEvent]:
        """Try ways on for the next seconds, so many tokens; return the best once all are tried.

        Until then `planned_until_s` stays, and `plan` settles for the best so far.
        """
        for _ in range(most_tokens):
            turn = self._turn
            if turn is None or not self.chooses:
                break
            fork = self._fork = self._fork or self._new_fork(turn)
            if fork is None:
                break
            if self._try_on(fork):
                if len(fork.finished) >= turn.answer.parameters.candidates:
                    return self._settle()
                self._back_to(fork)
                fork.trying, fork.candidate = turn.copy(), Candidate()
        return []

    def _new_fork(self, turn: Turn) -> Fork | None:
        """Return a fork here, or None where nothing can be judged."""
        if self._can_judge is None:
            self._can_judge = self._chooser.listen(tuple(self._heard))
        if not self._can_judge:
            return None
        return Fork(self._memory.place(), self._struck, self._now_s(turn), turn.copy())

    def _try_on(self, fork: Fork) -> bool:
        """Play a token of the candidate that is being tried; return whether it is finished."""
        candidate = fork.candidate
        candidate.events += self._play(fork.trying)
        candidate.until_s = self._now_s(fork.trying)
        candidate.is_end = fork.trying.answer.complete
        if not candidate.is_end and candidate.until_s < fork.from_s + SEGMENT_S:
            return False
        candidate.tokens = self._memory.since(fork.place)
        fork.finished.append(candidate)
        return True

    def _settle(self) -> list[TimedEvent]:
        """Play the best candidate that is finished, or else the one being tried; return it."""
        fork, turn, self._fork = self._fork, self._turn, None
        if fork is None or turn is None:
            return []
        before = [sounding for _, sounding in turn.planned[-RECENT_EVENTS:]]
        best = self._chooser.best(fork.finished or [fork.candidate], before, fork.from_s)
        if best is fork.candidate:  # the memory is where it leads to
            self._turn = fork.trying
        else:
            self._back_to(fork)
            for token in best.tokens:
                self._play(turn, token)
            if best.is_end:
                self._play(turn)
        return best.events

    def _take_back(self) -> None:
        """Be where the plan ends, and know nothing of what was only tried."""
        fork, self._fork = self._fork, None
        if fork is not None:
            self._back_to(fork)

    def _back_to(self, fork: Fork) -> None:
        self._memory.go_back(fork.place)
        self._struck = fork.struck
