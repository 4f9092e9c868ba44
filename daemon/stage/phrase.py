"""What the player's hands have done since the last turn: keys, pedal, pulse, and when it has ended.

Pure, like the turns: times are seconds of the session, and come in.
"""

import math
import statistics
from collections import deque

from daemon.parameters import HeldKeys, Parameters
from perceivers.events import Event, NoteOff, NoteOn, Pedal

ONE_ONSET_S = 0.05  # strikes so near to each other are one onset
INTERVALS = 12  # of the last onsets, by which the pulse is known
FEWEST_INTERVALS = 2
SHORTEST_BEAT_S = 1 / 3  # 180 a minute; the longest is twice as long
SLOWEST_PULSE_S = 2.0  # who strikes more seldom has none that an answer could wait for


class Phrase:
    """The player's hands, and what they have played since the Performer played last."""

    def __init__(self) -> None:
        self.held: set[int] = set()
        self.pedal_down = False
        self.notes = 0
        """Struck since the last turn."""
        self.last_heard_s = 0.0
        self.last_release_s: float | None = None
        self._released: set[int] = set()  # of those held: they count as released already
        self._began_s: float | None = None
        self._onset_s: float | None = None
        self._intervals_s: deque[float] = deque(maxlen=INTERVALS)

    def hear(self, event: Event, time_s: float) -> bool:
        """Keep account of what the player does; tell whether it is news.

        It is none if a key comes up that counts as released already.
        """
        self.last_heard_s = time_s
        is_news = True
        if isinstance(event, NoteOn):
            self.held.add(event.pitch)
            self._released.discard(event.pitch)
            self.notes += 1
            self._strike(time_s)
        elif isinstance(event, NoteOff):
            is_news = event.pitch not in self._released
            self._released.discard(event.pitch)
            self.held.discard(event.pitch)
            self.last_release_s = time_s
        else:
            self.pedal_down = event.down
        return is_news

    def count_as_released(self) -> list[int]:
        """Let the keys that are down count as released; return those that did not yet."""
        released = sorted(self.held - self._released)
        self._released.update(released)
        return released

    def _strike(self, time_s: float) -> None:
        if self._began_s is None:
            self._began_s = time_s
        if self._onset_s is None:
            self._onset_s = time_s
        elif time_s - self._onset_s > ONE_ONSET_S:
            self._intervals_s.append(time_s - self._onset_s)
            self._onset_s = time_s

    def end(self) -> None:
        """Begin another phrase: nothing was played yet."""
        self.notes = 0
        self._began_s = None
        self._onset_s = None
        self._intervals_s.clear()

    @property
    def remembered(self) -> frozenset[int]:
        """The keys that are down, but for those that count as released."""
        return frozenset(self.held - self._released)

    def remember_only(self, pitches: frozenset[int]) -> None:
        """Let keys that are down count as released, but for these."""
        self._released = self.held - pitches

    def lifted(self) -> list[Event]:
        """Return the events that let go of everything that the hands hold."""
        events: list[Event] = [NoteOff(pitch) for pitch in sorted(self.held)]
        if self.pedal_down:
            events.append(Pedal(down=False))
        return events

    @property
    def length_s(self) -> float:
        """How long it is, from its first strike to what was done last."""
        return 0.0 if self._began_s is None else self.last_heard_s - self._began_s

    @property
    def interval_s(self) -> float | None:
        """The player's own interval from onset to onset; None while too few were played."""
        if len(self._intervals_s) < FEWEST_INTERVALS:
            return None
        return statistics.median(self._intervals_s)

    def silence_s(self, parameters: Parameters) -> float:
        """Return how long the pause is that ends this phrase, with every key up.

        It follows the player's pulse, and the last interval where that is longer: who slows down,
        or ends on a long note, is given more time.
        """
        most_s, interval_s = parameters.silence_s, self.interval_s
        if parameters.silence_intervals is None or interval_s is None:
            return most_s
        longer_s = max(interval_s, self._intervals_s[-1])
        return min(most_s, max(parameters.silence_least_s, parameters.silence_intervals * longer_s))

    def ends_s(self, parameters: Parameters) -> float | None:
        """Return when the phrase will have ended if nothing more is played; None for never."""
        if self.notes < parameters.phrase_notes:
            return None
        if not self.held:
            return self.last_heard_s + self.silence_s(parameters)
        if parameters.held_after_s is None or parameters.held_keys == HeldKeys.WAIT:
            return None
        return self.last_heard_s + parameters.held_after_s

    def is_over(self, parameters: Parameters, now_s: float) -> bool:
        """Tell whether nobody plays any more, however few notes there were."""
        return not self.held and now_s >= self.last_heard_s + self.silence_s(parameters)

    @property
    def _pulse_s(self) -> float | None:
        """The player's interval, where it is none that nobody would wait for."""
        interval_s = self.interval_s
        return None if interval_s is None or interval_s > SLOWEST_PULSE_S else interval_s

    @property
    def beat_s(self) -> float | None:
        """How long a beat of the player's is: its interval, or so many or a part of them.

        None while there is no pulse.
        """
        interval_s = self._pulse_s
        if interval_s is None:
            return None
        doublings = math.ceil(math.log2(SHORTEST_BEAT_S / interval_s) - 1e-9)
        return interval_s * 2.0**doublings

    def next_beat_s(self, from_s: float) -> float:
        """Return the first moment from `from_s` on that lies on the player's own pulse, if any."""
        interval_s = self._pulse_s
        if interval_s is None or self._onset_s is None:
            return from_s
        beats = math.ceil((from_s - self._onset_s) / interval_s - 1e-6)
        return max(from_s, self._onset_s + beats * interval_s)
