"""Writes down what is played, by both, as MIDI files that training can use as they are."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from daemon.messages.brain import BeginTurn, EndTurn, ToBrain, Took
from daemon.messages.journal import Opening, as_text
from perceivers.errors import MidiFileError
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import Marker, Track, read_performance, write_performance

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 10.0
CAPTURES = "captures"  # folder beside that of the recordings, which is what models learn from
NEW_FILE_AFTER_S = 60.0  # of silence with every key up
FILE_LASTS_S = 1800.0  # then the next pause between exchanges is enough: a file is kept in memory
PAUSE_S = 1.0
_SHARE_OF_TIME = 0.05  # at most this much of the time goes into writing a long session again
CHANNELS = {"player": 0, "performer": 1}


class Recorder:
    """Keeps the session and writes it again, whole, whenever there is something new.

    One file lasts until both have been silent for a while, or for half an hour and until nobody
    plays. Times in the file count from its first event. `now_s` is the clock that all event times
    come from.
    """

    def __init__(self, folder: Path, now_s: Callable[[], float]) -> None:
        self._folder = folder
        self._now_s = now_s
        self._path: Path | None = None
        self._parts: dict[str, list[TimedEvent]] = {part: [] for part in CHANNELS}
        self._parts_before = self._parts  # of the file before this one
        self._markers: list[Marker] = []
        self._waiting: list[Marker] = []  # for the next file
        self._opening: Opening | None = None
        self._before: str | None = None  # the file before this one
        self._exchange_s = self._next_exchange_s = 0.0  # when the last one, and the next, began
        self._keys_down: set[tuple[str, int]] = set()
        self._in_turn = False
        self._last_s = 0.0
        self._changed = False
        self._write_at_s = 0.0
        self._failed = False

    def add(self, part: str, timed: TimedEvent) -> None:
        """Take down what the `player` or the `performer` did."""
        self._end_if_long_ago(timed.time_s)
        if self._path is None:
            self._begin()
        self._parts[part].append(timed)
        self._last_s = max(self._last_s, timed.time_s)
        self._changed = True
        if isinstance(timed.event, NoteOn):
            self._keys_down.add((part, timed.event.pitch))
        elif isinstance(timed.event, NoteOff):
            self._keys_down.discard((part, timed.event.pitch))

    def played_by(self, opening: Opening) -> None:
        """Take note which model plays from now on; each file begins with it."""
        self._opening = opening

    def note(self, time_s: float, line: ToBrain | Took) -> None:
        """Write down what the brain was told; it belongs to the file of what happened then."""
        self._end_if_long_ago(time_s)
        if isinstance(line, BeginTurn | EndTurn):
            self._in_turn = isinstance(line, BeginTurn)
        if isinstance(line, EndTurn):
            self._exchange_s, self._next_exchange_s = self._next_exchange_s, time_s
        marker = Marker(time_s, as_text(line))
        if self._path is None:
            self._waiting.append(marker)
        else:
            self._markers.append(marker)
            self._changed = True

    def _end_if_long_ago(self, now_s: float) -> None:
        if self._path is None or self._keys_down:
            return
        silent_s = now_s - self._last_s
        is_pause = silent_s > PAUSE_S and not self._in_turn
        is_long = is_pause and now_s - _start_s(self._parts) > FILE_LASTS_S
        if is_long or silent_s > NEW_FILE_AFTER_S:
            self.write()
            self._path = None

    def all_released(self) -> None:
        """Take note that nobody will release what is down: who played is gone."""
        self._keys_down.clear()

    def capture(self, name: str, last_s: float | None) -> None:
        """Write the last seconds, or the last exchange, of what is being recorded to a file."""
        from_s = self._exchange_s if last_s is None else self._now_s() - last_s
        parts = {
            part: [timed for timed in self._remembered(part) if timed.time_s >= from_s]
            for part in CHANNELS
        }
        if not any(parts.values()):
            logger.warning("nothing was played that could be captured as %s", name)
            return
        path = _free_path(self._folder.with_name(CAPTURES), name)
        try:
            write_performance(path, _tracks(parts))
        except OSError as error:
            logger.error("%s cannot be written: %s", path, error)
        else:
            logger.info("captured as %s", path)

    def _remembered(self, part: str) -> list[TimedEvent]:
        """Return what is kept of a part, of this file and of the one before."""
        if self._parts is self._parts_before:
            return self._parts[part]
        return self._parts_before[part] + self._parts[part]

    def write_if_due(self) -> None:
        """Write if something is new and the last writing is a while ago."""
        if self._changed and self._now_s() >= self._write_at_s:
            self.write()

    def write(self) -> None:
        """Write the session if something is new; a full disk is reported once, and tried again."""
        if not self._changed or self._path is None:
            return
        began_s = time.monotonic()
        try:
            write_performance(self._path, _tracks(self._parts), markers=self._marked())
        except OSError as error:
            if not self._failed:
                logger.error("the recording %s cannot be written: %s", self._path, error)
            self._failed = True
        else:
            self._failed = self._changed = False
        took_s = time.monotonic() - began_s
        self._write_at_s = self._now_s() + max(WRITE_EVERY_S, took_s / _SHARE_OF_TIME)

    def _begin(self) -> None:
        stamp = datetime.now(UTC).astimezone().strftime("%Y-%m-%d_%H-%M-%S")
        path = _free_path(self._folder, stamp)
        self._markers = self._waiting
        self._waiting = []
        if self._opening is not None:
            opening = replace(self._opening, before=self._before)
            self._markers.insert(0, Marker(0.0, as_text(opening)))
        self._path = path
        self._before = path.name
        self._write_at_s = self._now_s() + WRITE_EVERY_S
        self._parts_before, self._parts = self._parts, {part: [] for part in CHANNELS}

    def _marked(self) -> list[Marker]:
        start_s = _start_s(self._parts)
        return [Marker(max(0.0, time_s - start_s), text) for time_s, text in self._markers]


def _start_s(parts: Mapping[str, Sequence[TimedEvent]]) -> float:
    return min(events[0].time_s for events in parts.values() if events)


def _tracks(parts: Mapping[str, Sequence[TimedEvent]]) -> list[Track]:
    """Return the parts as tracks, in seconds since the first event of both."""
    start_s = _start_s(parts)
    return [
        Track(
            part,
            channel,
            tuple(TimedEvent(max(0.0, time_s - start_s), event) for time_s, event in parts[part]),
        )
        for part, channel in CHANNELS.items()
    ]


def _free_path(folder: Path, name: str) -> Path:
    """Return where a file of this name may lie, with a number if there is one already."""
    path, number = folder / f"{name}.mid", 2
    while path.exists():
        path = folder / f"{name}_{number}.mid"
        number += 1
    return path


def last_session(folder: Path, end_s: float) -> list[TimedEvent]:
    """Return what both played in the newest recording, as though it had ended at `end_s`.

    Every key is then up, and the pedal. A recording that cannot be read is told, and passed over.
    """
    for path in sorted(folder.glob("*.mid"), key=lambda each: each.stat().st_mtime, reverse=True):
        try:
            events = read_performance(path)
        except MidiFileError as error:
            logger.warning("not remembered: %s", error)
            continue
        if events:
            logger.info("remembering %s", path)
            later_s = end_s - events[-1].time_s
            return _released([TimedEvent(time_s + later_s, event) for time_s, event in events])
    return []


def _released(events: list[TimedEvent]) -> list[TimedEvent]:
    """Return events after which nothing is held."""
    down: set[int] = set()
    pedal = False
    for _, event in events:
        match event:
            case NoteOn(pitch=pitch):
                down.add(pitch)
            case NoteOff(pitch=pitch):
                down.discard(pitch)
            case Pedal(down=pedal):
                pass
    end_s = events[-1].time_s
    lifted = [TimedEvent(end_s, NoteOff(pitch)) for pitch in sorted(down)]
    return [*events, *lifted, *([TimedEvent(end_s, Pedal(False))] if pedal else [])]
