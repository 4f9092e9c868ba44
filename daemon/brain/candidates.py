"""Several ways on for the next few seconds of an answer, and which of them is played.

A way on is tried in the memory itself and taken back, long before its time: what is decided too
late would be heard, so whoever plans may settle at any moment for the best so far.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from daemon.brain.memory import Bookmark
from daemon.brain.performer import Turn
from perceivers.events import TimedEvent
from perceivers.repetition_penalty import StruckChords

logger = logging.getLogger(__name__)

SEGMENT_S = 2.0  # what a candidate holds

Events = Sequence[TimedEvent]
Score = Callable[[Events, float, float], float]
"""How well events go on from one instant to another, given what stands before it among them: the
more, the better."""
Judge = Callable[[Events], Score | None]
"""Makes a score of what the player played; None where that is too little to judge by."""


@dataclass(slots=True)
class Candidate:
    """A way on: its tokens, and what they play."""

    tokens: list[int] = field(default_factory=list)
    events: list[TimedEvent] = field(default_factory=list)
    until_s: float = 0.0
    is_end: bool = False
    """Whether the answer is complete with it."""


@dataclass(slots=True)
class Fork:
    """A place in a turn from which ways on are tried."""

    place: Bookmark
    struck: StruckChords
    from_s: float
    trying: Turn
    """A copy of the turn, in which the present candidate is played."""
    candidate: Candidate = field(default_factory=Candidate)
    finished: list[Candidate] = field(default_factory=list)


class Chooser:
    """Asks a judge; one that fails or is missing costs one warning, and is not asked again."""

    def __init__(self, judge: Judge | None) -> None:
        self._judge = judge
        self._score: Score | None = None
        self._has_warned = False

    def listen(self, heard: Events) -> bool:
        """Take what the player played as the measure; tell whether anything can be judged by it."""
        self._score = None
        if self._judge is None:
            self._give_up("there is no judge of candidates")
            return False
        try:
            self._score = self._judge(heard)
        except Exception as error:  # whatever it is, the music goes on
            self._give_up(f"the judge of candidates failed ({type(error).__name__}: {error})")
        return self._score is not None

    def best(self, candidates: Sequence[Candidate], before: Events, from_s: float) -> Candidate:
        """Return the candidate that goes on best, the first of equals."""
        if self._score is None or len(candidates) == 1:
            return candidates[0]
        try:
            scores = [
                self._score([*before, *each.events], from_s, each.until_s) for each in candidates
            ]
        except Exception as error:  # whatever it is, the music goes on
            self._give_up(f"the judge of candidates failed ({type(error).__name__}: {error})")
            return candidates[0]
        return candidates[scores.index(max(scores))]

    def _give_up(self, reason: str) -> None:
        self._judge = self._score = None
        if not self._has_warned:
            logger.warning("%s; answers are played without choosing", reason)
            self._has_warned = True
