"""The recordings that the daemon writes: listed, read, given out; and nothing else of the disk."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any

from daemon.recorder import CHANNELS
from perceivers.errors import MidiFileError, PerformerError
from perceivers.events import NoteOff, NoteOn, TimedEvent
from perceivers.midi_files import parse_channels

MOST_LISTED = 100
_MOST_BYTES = 16 * 1024 * 1024  # of one recording; days of music
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,100}\.mid")


class NoRecordingError(PerformerError, LookupError):
    """There is no recording of this name."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found in a file, which may have been written again since."""

    size: int
    time_ns: int
    seconds: float
    notes: int


class Recordings:
    """Reads one folder. Its methods touch the disk: they are called in threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, _Known] = {}

    def listed(self) -> list[dict[str, Any]]:
        """Describe the newest recordings, newest first; what cannot be read has no notes."""
        found = [
            (entry.stat(follow_symlinks=False), entry.name)
            for entry in (os.scandir(self._folder) if self._folder.is_dir() else ())
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
        ]
        found.sort(key=lambda each: (each[0].st_mtime_ns, each[1]), reverse=True)
        return [self._described(name, status) for status, name in found[:MOST_LISTED]]

    def _described(self, name: str, status: os.stat_result) -> dict[str, Any]:
        known = self._known.get(name)
        if known is None or (known.size, known.time_ns) != (status.st_size, status.st_mtime_ns):
            seconds, notes = self._extent(name)
            known = _Known(status.st_size, status.st_mtime_ns, seconds, notes)
            self._known[name] = known
        return {
            "name": name,
            "seconds": known.seconds,
            "notes": known.notes,
            "size": known.size,
            "time": status.st_mtime,
        }

    def _extent(self, name: str) -> tuple[float, int]:
        try:
            events = [timed for part in self._parts(name).values() for timed in part]
        except (MidiFileError, NoRecordingError):  # damaged, or removed in this moment
            return 0.0, 0
        notes = sum(isinstance(timed.event, NoteOn) for timed in events)
        return round(max((timed.time_s for timed in events), default=0.0), 3), notes

    def content(self, name: str) -> bytes:
        """Return the file. Raises NoRecordingError for whatever is no plain file of the folder."""
        if not _NAME.fullmatch(name):
            raise NoRecordingError(f"there is no recording {name[:60]!r}")
        try:
            # Not followed: a link of this name may lead anywhere. Nor waited for: a pipe would.
            flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
            descriptor = os.open(self._folder / name, flags | getattr(os, "O_BINARY", 0))
        except OSError:
            raise NoRecordingError(f"there is no recording {name!r}") from None
        if not S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise NoRecordingError(f"{name!r} is no recording")
        with os.fdopen(descriptor, "rb") as file:
            return file.read(_MOST_BYTES)

    def notes(self, name: str) -> dict[str, list[list[float]]]:
        """Return the notes of both parts: begin and end in seconds, pitch, velocity."""
        parts = self._parts(name)
        return {part: _notes(parts.get(channel, [])) for part, channel in CHANNELS.items()}

    def _parts(self, name: str) -> dict[int, list[TimedEvent]]:
        return parse_channels(self.content(name), name)


def _notes(events: list[TimedEvent]) -> list[list[float]]:
    """Pair what is struck with what is released."""
    notes: list[list[float]] = []
    sounding: dict[int, list[float]] = {}
    for time_s, event in events:
        if isinstance(event, NoteOn | NoteOff) and event.pitch in sounding:
            sounding.pop(event.pitch)[1] = round(time_s, 4)
        if isinstance(event, NoteOn):
            note = [round(time_s, 4), round(time_s, 4), event.pitch, event.velocity]
            notes.append(note)
            sounding[event.pitch] = note
    if events:
        for note in sounding.values():
            note[1] = round(events[-1].time_s, 4)
    return notes
