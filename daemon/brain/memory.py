"""The Performer's musical memory: what was heard, as tokens in the engine's caches.

Session times go in and come out; inside, time is the token stream's own grid. A long silence is
remembered as MAX_SILENCE_S, so that an hour's break does not fill the context with waiting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from perceivers.encoder import StreamEncoder
from perceivers.events import Pedal, TimedEvent
from perceivers.score import ScoreState
from perceivers.vocabulary import STEPS_PER_SECOND, Source

MAX_SILENCE_S = 10.0
OPENING_TOKENS = 2  # BOS and the tag of the source
LIVE = Source.DISKLAVIER  # of the sources in training, the one nearest to a live keyboard
MOST_MOMENTS = 2048  # of a long turn; the engine goes back no further in any case
SAME_MOMENT_S = 0.02  # an event sent this near to its plan was sent as planned

Logits = npt.NDArray[np.float32]


class TokenEngine(Protocol):
    """What the memory needs of an engine: it knows token ids, nothing of music."""

    def feed(self, tokens: Sequence[int]) -> Logits:
        """Read tokens; return the logits (V,) of the one that follows."""

    def mark(self) -> Any:
        """Return a place to come back to."""

    def rewind(self, mark: Any) -> None:
        """Forget every token read since a mark. Raises LookupError past the caches' reach."""

    def reset(self) -> None:
        """Forget everything."""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A moment in the memory that it can return to."""

    token_count: int  # since the last `forget`
    state: ScoreState
    offset_s: float


class Moment(NamedTuple):
    """The engine after a token: where it can come back to, and what it expected next."""

    mark: Any
    logits: Logits


class Memory:
    """Keeps engine, token history and musical state in agreement.

    Tokens, heard or taken, wait (`lag_tokens`) until `digest` or `logits` feeds them. So what a
    token says can leave before the engine has read it.
    """

    def __init__(self, engine: TokenEngine, context: int) -> None:
        self._engine = engine
        self._context = context
        self.forget()

    def forget(self) -> None:
        """Start afresh, as before the first note."""
        self._engine.reset()
        self._encoder = StreamEncoder()
        self._offset_s = 0.0  # session time minus stream time
        self._tokens: list[int] = self._encoder.begin(LIVE)  # fed or waiting, oldest first
        self._dropped = 0  # tokens that left the context before the oldest
        self._fed = 0
        self._moments: dict[int, Moment] = {}  # by token count
        self._bookmarked = False
        self._pinned: dict[int, Moment] = {}  # by token count
        self._oldest_pinned: int | None = None

    @property
    def state(self) -> ScoreState:
        """The musical state after everything heard; not to be changed."""
        return self._encoder.state

    @property
    def token_count(self) -> int:
        """Tokens remembered since the last `forget`."""
        return self._dropped + len(self._tokens)

    @property
    def lag_tokens(self) -> int:
        """Tokens heard or taken but not yet fed."""
        return self.token_count - self._fed

    @property
    def now_s(self) -> float:
        """Session time of the last token."""
        return self._offset_s + self._encoder.state.time_s

    def hear(self, event: TimedEvent) -> None:
        """Remember an event; one earlier than the last counts as simultaneous with it."""
        self._adjust_clock(event.time_s)
        stream_event = TimedEvent(event.time_s - self._offset_s, event.event)
        self._tokens += self._encoder.feed(stream_event)

    def wait_until(self, time_s: float) -> None:
        """Remember that nothing happened until the grid step at or after `time_s`."""
        self._adjust_clock(time_s)
        stream_s = time_s - self._offset_s
        self._tokens += self._encoder.wait_until(stream_s + 0.499 / STEPS_PER_SECOND)

    def _adjust_clock(self, time_s: float) -> None:
        """Start the stream at the first event, and shorten a long silence."""
        if self.token_count == len(self._tokens) == OPENING_TOKENS:
            self._offset_s = time_s
        self._offset_s += max(0.0, time_s - self.now_s - MAX_SILENCE_S)

    def shift_clock(self, by_s: float) -> None:
        """Let the last token lie so much later (earlier) in the session than it was written."""
        self._offset_s += by_s

    def digest(self, most_tokens: int) -> int:
        """Feed up to so many waiting tokens; return how many were fed."""
        start = self._fed - self._dropped
        waiting = self._tokens[start : start + most_tokens]
        if waiting:
            self._feed(waiting)
        return len(waiting)

    def logits(self) -> Logits:
        """Feed what waits and return the logits (V,) of the next token."""
        self.digest(self.lag_tokens)
        return self._moments[self._fed].logits

    def take(self, token: int) -> TimedEvent | None:
        """Take one token of our own; return the event that it completes, in session time."""
        event = self._encoder.state.advance(token)
        self._tokens.append(token)
        return None if event is None else TimedEvent(self.now_s, event)

    def _feed(self, tokens: list[int]) -> None:
        logits = self._engine.feed(tokens)
        self._fed += len(tokens)
        moment = Moment(self._engine.mark(), logits)
        if not self._bookmarked:  # nobody will come back further than here
            self._moments.clear()
            self._forget_oldest()
            self._moments |= self._pinned
        self._moments[self._fed] = moment
        if len(self._moments) > MOST_MOMENTS:
            del self._moments[next(iter(self._moments))]  # the oldest

    def bookmark(self) -> Bookmark:
        """Feed what waits and return this moment, until `agree` returns to it."""
        self.logits()
        self._bookmarked = True
        return Bookmark(self.token_count, self._encoder.state.copy(), self._offset_s)

    def place(self) -> Bookmark:
        """Feed what waits and return this moment, to `go_back` to until `agree`."""
        self.logits()
        return Bookmark(self.token_count, self._encoder.state.copy(), self._offset_s)

    def since(self, place: Bookmark) -> list[int]:
        """Return the tokens since a place."""
        return self._tokens[place.token_count - self._dropped :]

    def go_back(self, place: Bookmark) -> None:
        """Be as at a place, and know nothing of what came since."""
        self._return_to(place.token_count)
        self._encoder = StreamEncoder(place.state.copy())
        self._offset_s = place.offset_s

    def pin(self, bookmarks: Sequence[Bookmark]) -> None:
        """Keep the way back to these bookmarks open, and to no others."""
        counts = [bookmark.token_count for bookmark in bookmarks]
        moments = self._pinned | self._moments
        self._pinned = {count: moments[count] for count in counts if count in moments}
        self._oldest_pinned = min(counts, default=None)

    def return_to(self, bookmark: Bookmark) -> None:
        """Forget everything since a bookmark that was pinned."""
        self._moments = self._pinned | self._moments
        self._bookmarked = False
        self.go_back(bookmark)

    def agree(
        self, bookmark: Bookmark, truth: Sequence[TimedEvent], *, may_again: bool = False
    ) -> None:
        """Make everything since the bookmark be what was really heard: `truth`, in order of time.

        Tokens that led to the events of `truth` stay in the caches; those behind the first
        difference are forgotten, and the rest of `truth` is heard. `may_again`: the bookmark stays.
        """
        kept_tokens, kept_events, state, offset_s = self._agreement(bookmark, truth)
        self._return_to(bookmark.token_count + kept_tokens)
        self._bookmarked = may_again
        self._encoder = StreamEncoder(state)
        self._offset_s = offset_s
        for event in truth[kept_events:]:
            self.hear(event)

    def _agreement(
        self, bookmark: Bookmark, truth: Sequence[TimedEvent]
    ) -> tuple[int, int, ScoreState, float]:
        """Return how many tokens and events agree, and the state and clock after them."""
        state = bookmark.state.copy()
        kept = (0, 0, state.copy(), bookmark.offset_s)
        matched = 0
        taken = self._tokens[bookmark.token_count - self._dropped :]
        for count, token in enumerate(taken, start=1):
            pedal_before = Pedal(state.pedal_down)
            event = state.advance(token)
            if event is None:
                continue
            while matched < len(truth) and truth[matched].event == pedal_before:
                matched += 1  # a pedal put where it already was: never a token
            if matched == len(truth) or truth[matched].event != event:
                break
            if abs(truth[matched].time_s - state.time_s - self._offset_s) > SAME_MOMENT_S:
                break
            matched += 1
            kept = (count, matched, state.copy(), self._offset_s)
        return kept

    def _return_to(self, token_count: int) -> None:
        """Drop every token behind `token_count`, from the caches too."""
        del self._tokens[token_count - self._dropped :]
        if self._fed <= token_count:
            return
        known = max((count for count in self._moments if count <= token_count), default=None)
        if known is None:
            self._feed_again()
            return
        moment = self._moments[known]
        try:
            self._engine.rewind(moment.mark)
        except LookupError:
            self._feed_again()
            return
        self._fed = known
        self._moments = {count: kept for count, kept in self._moments.items() if count <= known}

    def _feed_again(self) -> None:
        """Let the caches be filled anew from the history: the slow way back, past every mark."""
        self._engine.reset()
        self._fed = max(self._dropped, self.token_count - self._context)
        self._moments = {}

    def _forget_oldest(self) -> None:
        """Let go of tokens that have left the context for good."""
        newest = self.token_count if self._oldest_pinned is None else self._oldest_pinned
        surplus = min(self._fed, newest - self._context) - self._dropped
        if surplus > self._context:
            del self._tokens[:surplus]
            self._dropped += surplus
