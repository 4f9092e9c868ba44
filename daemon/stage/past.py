"""What was played, in order, and the moments in it that one can go back to.

Pure, like the turns: times are seconds of the session, and come in.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from daemon.messages.brain import HAND_OVERS, BeginTurn, Recall, Return, ToBrain
from daemon.stage.phrase import Phrase
from perceivers.events import Event, NoteOff, NoteOn, Pedal, TimedEvent

HISTORY_EVENTS = 20_000  # more than any model remembers
MOST_EXCHANGES = 8  # that can be taken back, one after the other


class History:
    """What both have played; of a long session the last."""

    def __init__(self, events: Iterable[TimedEvent] = ()) -> None:
        self._events = deque(events, maxlen=HISTORY_EVENTS)
        self.position = len(self._events)
        """How many events there were since the start, those that were dropped included."""

    def __iter__(self) -> Iterator[TimedEvent]:
        return iter(sorted(self._events, key=lambda timed: timed.time_s))

    def __len__(self) -> int:
        return len(self._events)

    def extend(self, events: Iterable[TimedEvent]) -> None:
        """Go on with these."""
        events = [*events]
        self._events.extend(events)
        self.position += len(events)

    def clear(self) -> None:
        """Forget everything."""
        self._events.clear()

    def back_to(self, position: int) -> None:
        """Forget what came after a position."""
        while self.position > position:
            self.position -= 1
            if self._events:
                self._events.pop()

    def shift(self, by_s: float) -> None:
        """Let all of it have happened so much later."""
        later = [TimedEvent(time_s + by_s, event) for time_s, event in self._events]
        self._events = deque(later, maxlen=HISTORY_EVENTS)


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the history, and what the player held there."""

    position: int
    held: frozenset[int]
    pedal_down: bool


@dataclass(slots=True)
class Exchange:
    """A phrase and its answer."""

    begin: BeginTurn
    phrase: Mark  # before the phrase
    hand_over: Mark  # before the answer
    is_seeded: bool  # its seed was asked for, not drawn
    known_to_brain: bool = True


class Past:
    """The history, and the exchanges of which it is made."""

    def __init__(self, history: Iterable[TimedEvent], phrase: Phrase) -> None:
        self.history = History(history)
        self._phrase = phrase
        self._exchanges: deque[Exchange] = deque(maxlen=MOST_EXCHANGES)
        self._between = self._mark()

    def _mark(self) -> Mark:
        return Mark(self.history.position, self._phrase.remembered, self._phrase.pedal_down)

    @property
    def last(self) -> Exchange | None:
        """The exchange that was begun last, if there was one."""
        return self._exchanges[-1] if self._exchanges else None

    def handed_over(self, begin: BeginTurn, *, is_seeded: bool) -> None:
        """An answer begins."""
        self._exchanges.append(Exchange(begin, self._between, self._mark(), is_seeded))
        for exchange in [*self._exchanges][:-HAND_OVERS]:
            exchange.known_to_brain = False

    def handed_back(
        self,
        heard: Iterable[TimedEvent],
        performed: Iterable[TimedEvent],
        unheeded: Iterable[TimedEvent],
    ) -> None:
        """An answer is over; what the player did unheeded belongs to the next exchange."""
        hand_over = self._exchanges[-1].hand_over
        held, pedal_down = {*hand_over.held}, hand_over.pedal_down
        for _, event in heard:
            if isinstance(event, NoteOn):
                held.add(event.pitch)
            elif isinstance(event, NoteOff):
                held.discard(event.pitch)
            else:
                pedal_down = event.down
        self.history.extend(heard)
        self.history.extend(performed)
        self._between = Mark(self.history.position, frozenset(held), pedal_down)
        self.history.extend(unheeded)

    def forget(self) -> None:
        """Forget everything."""
        self.history.clear()
        self._exchanges.clear()
        self._between = self._mark()

    def brain_is_new(self) -> None:
        """The brain knows of no hand-over any more."""
        for exchange in self._exchanges:
            exchange.known_to_brain = False

    def back_to_hand_over(
        self, now_s: float, start_s: float, *, but_one: bool
    ) -> tuple[Exchange, list[ToBrain], list[TimedEvent]]:
        """Go back to before the last answer (the last but one), as though it began at `start_s`.

        Returns that exchange, what brings the brain there, and what the hands did meanwhile.
        """
        skipped = int(but_one and len(self._exchanges) > 1)
        if skipped:
            self._exchanges.pop()
        exchange = self._exchanges.pop()
        by_s = start_s - exchange.begin.start_s
        self._between = exchange.phrase
        self.history.back_to(exchange.hand_over.position)
        self.history.shift(by_s)
        for earlier in self._exchanges:
            earlier.begin = replace(earlier.begin, start_s=earlier.begin.start_s + by_s)
        to_brain: ToBrain = Recall(tuple(self.history))
        if exchange.known_to_brain:
            to_brain = Return(1 + skipped, by_s)
        return exchange, [to_brain], self._hands_since(exchange.hand_over, now_s)

    def back_to_before(self, now_s: float) -> tuple[list[ToBrain], list[TimedEvent]]:
        """Take the last exchange back; return as `back_to_hand_over` does."""
        exchange = self._exchanges.pop()
        self._between = exchange.phrase
        self.history.back_to(exchange.phrase.position)
        self.brain_is_new()  # of what it hears now
        recall = Recall(tuple(self.history))
        return [recall], self._hands_since(exchange.phrase, now_s)

    def _hands_since(self, mark: Mark, now_s: float) -> list[TimedEvent]:
        """Return what lets the hands of then be those of now; what was struck since is nothing."""
        released: list[Event] = [NoteOff(pitch) for pitch in sorted(mark.held - self._phrase.held)]
        self._phrase.remember_only(mark.held)
        if self._phrase.pedal_down != mark.pedal_down:
            released.append(Pedal(self._phrase.pedal_down))
        events = [TimedEvent(now_s, event) for event in released]
        self.history.extend(events)
        return events
