"""Plays a file on the piano as if somebody played it: at its own pace, until panic or its end."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from daemon.control.commands import Result
from daemon.control.played import MOST_EVENTS
from daemon.page.piano import Piano
from perceivers.errors import PerformerError
from perceivers.events import NoteOn, TimedEvent

_WHO = "file"
_MOST_NOTES = 50_000


class NothingToPlayError(PerformerError, ValueError):
    """A file has no notes, or too many."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Music with a name, from its first event on."""

    name: str
    events: tuple[TimedEvent, ...]

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.events[-1].time_s

    @property
    def notes(self) -> int:
        """How many notes are struck."""
        return sum(isinstance(timed.event, NoteOn) for timed in self.events)


def piece_of(name: str, events: Sequence[TimedEvent], until_s: float = float("inf")) -> Piece:
    """Return what is played of a file: without the silence before it, and no more than so long.

    Raises NothingToPlayError.
    """
    strikes = [place for place, timed in enumerate(events) if isinstance(timed.event, NoteOn)]
    if not strikes:
        raise NothingToPlayError(f"{name} has no notes to play (drums are left out)")
    if len(strikes) > _MOST_NOTES:
        raise NothingToPlayError(f"{name} has {len(strikes):,} notes; at most {_MOST_NOTES:,}")
    start_s = events[strikes[0]].time_s
    moved = (TimedEvent(time_s - start_s, event) for time_s, event in events[strikes[0] :])
    return Piece(name, tuple(timed for timed in moved if timed.time_s < until_s))


class PlayIn:
    """Plays one piece at a time; another ends the one before."""

    def __init__(self, piano: Piano) -> None:
        self._piano = piano
        self._task: asyncio.Task[None] | None = None

    def heard(self, topic: str, event: Result) -> None:
        """The daemon tells an event; who asks for silence does not want the file to go on."""
        if topic == "withdrawn" and event["reason"] == "panic":
            self._cancel()

    def is_there(self, _: bool) -> None:
        """The daemon was gone, or is: what was played in has lost its thread."""
        self._cancel()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def play(self, piece: Piece) -> None:
        """Begin to play; return at once."""
        await self.stop()
        self._task = asyncio.create_task(self._play(piece))

    async def stop(self) -> None:
        """End what is played, if anything is, and let go."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _play(self, piece: Piece) -> None:
        begun_s = time.monotonic()
        played = 0
        try:
            while played < len(piece.events):
                wait_s = begun_s + piece.events[played].time_s - time.monotonic()
                await asyncio.sleep(max(0.0, wait_s))
                now_s = time.monotonic() - begun_s
                due = [
                    timed
                    for timed in piece.events[played : played + MOST_EVENTS]
                    if timed.time_s <= now_s
                ]
                played += len(due)
                self._piano.play(_WHO, [(event, now_s - time_s) for time_s, event in due])
        finally:
            self._piano.let_go(_WHO)
