"""What was played since the page's process began: for who comes later, and for keeping. Pure."""

from collections import deque
from collections.abc import Iterable

from daemon.control.commands import Result
from daemon.control.played import LATE_S
from daemon.recorder import CHANNELS
from perceivers.events import Event, NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import Track

RECENT_S = 60.0
_MOST_EVENTS = 200_000  # hours of music
_PLAYER, _PERFORMER = CHANNELS


class SessionLog:
    """Takes in what the daemon tells, and gives it back as parts."""

    def __init__(self) -> None:
        self._notes: deque[Result] = deque(maxlen=_MOST_EVENTS)
        self._turn_began_s: float | None = None
        self._turn_ended_s: float | None = None
        self._turn_before_s = 0.0  # when the turn before that ended

    def heard(self, topic: str, event: Result) -> None:
        """Take in what the daemon tells."""
        if topic == "note":
            self._notes.append(event)
        elif topic == "state" and event["state"] == "performing":
            self._turn_before_s = self._turn_ended_s or 0.0
            self._turn_began_s, self._turn_ended_s = event["time_s"], None
        elif topic == "state" and event["state"] == "handing_back":
            # What was played over the answer begins the next phrase; it was played before this.
            self._turn_ended_s = event["time_s"] - LATE_S
        elif topic == "turn" and self._turn_ended_s is None:
            self._turn_ended_s = event["time_s"]

    def recent(self, now_s: float) -> list[Result]:
        """Return the notes of the last minute, as they were told."""
        newest_first = []
        for note in reversed(self._notes):
            if note["at_s"] < now_s - RECENT_S:
                break
            newest_first.append(note)
        return newest_first[::-1]

    def phrase(self) -> list[Track]:
        """Return what the player has played last: since the last answer, or before it."""
        if self._turn_began_s is None:
            return self._tracks([_PLAYER], 0.0)
        since = [] if self._turn_ended_s is None else self._tracks([_PLAYER], self._turn_ended_s)
        if any(isinstance(timed.event, NoteOn) for track in since for timed in track.events):
            return since
        return self._tracks([_PLAYER], self._turn_before_s, self._turn_began_s)

    def answer(self) -> list[Track]:
        """Return what the Performer has played last."""
        if self._turn_began_s is None:
            return []
        return self._tracks([_PERFORMER], self._turn_began_s)

    def everything(self) -> list[Track]:
        """Return all that both have played."""
        return self._tracks([_PLAYER, _PERFORMER], 0.0)

    def _tracks(
        self, parts: Iterable[str], from_s: float, until_s: float = float("inf")
    ) -> list[Track]:
        """Return the parts of a time as tracks that begin together, or nothing if it was silent."""
        events: dict[str, list[TimedEvent]] = {part: [] for part in parts}
        for note in self._notes:
            if note["by"] in events and from_s <= note["at_s"] < until_s:
                events[note["by"]].append(TimedEvent(note["at_s"], _event(note)))
        starts_s = [played[0].time_s for played in events.values() if played]
        if not starts_s:
            return []
        start_s = min(starts_s)
        return [
            Track(part, CHANNELS[part], _moved(sorted(played, key=_time), start_s))
            for part, played in events.items()
        ]


def _time(timed: TimedEvent) -> float:
    return timed.time_s


def _moved(events: list[TimedEvent], start_s: float) -> tuple[TimedEvent, ...]:
    return tuple(TimedEvent(time_s - start_s, event) for time_s, event in events)


def _event(note: Result) -> Event:
    if note["event"] == "note_on":
        return NoteOn(note["pitch"], note["velocity"])
    if note["event"] == "note_off":
        return NoteOff(note["pitch"])
    return Pedal(note["down"])
