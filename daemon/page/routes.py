"""What is served beside the page's own files and its WebSocket: music in, music out."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

from daemon.page.openings import OPENINGS, opening_of
from daemon.page.play_in import Piece, PlayIn, piece_of
from daemon.page.recordings import NoRecordingError, Recordings
from daemon.page.session_log import SessionLog
from daemon.page.web import Answer, Answering, Question, Route, as_json
from perceivers.midi_files import Track, parse_performance, performance_bytes
from perceivers.ranges import shown

_MIDI = "audio/midi"
_MOST_NAME_CHARACTERS = 80


class Routes:
    """Who answers what."""

    def __init__(self, log: SessionLog, play_in: PlayIn, recordings: Path) -> None:
        self._log = log
        self._play_in = play_in
        self._recordings = Recordings(recordings)

    def table(self) -> Sequence[Route]:
        """Return all routes."""
        return (
            Route("POST", "/play-in", self._file),
            Route("POST", "/play-in/opening", self._opening),
            Route("POST", "/play-in/stop", self._stop),
            Route("GET", "/openings", self._openings),
            Route("GET", "/recordings", self._listed),
            Route("GET", "/recordings/{name}", self._recording),
            Route("GET", "/recordings/{name}/notes", self._notes),
            Route("GET", "/session/phrase.mid", self._kept("phrase", self._log.phrase)),
            Route("GET", "/session/answer.mid", self._kept("answer", self._log.answer)),
            Route("GET", "/session/all.mid", self._kept("session", self._log.everything)),
        )

    async def _file(self, question: Question) -> Answer:
        name = _file_name(question.headers.get("X-File-Name", ""))
        events = await asyncio.to_thread(parse_performance, question.body, name)
        return await self._begin(piece_of(name, events))

    async def _opening(self, question: Question) -> Answer:
        try:
            name = json.loads(question.body)["name"]
            opening = next(each for each in OPENINGS if each.name == name)
        except (ValueError, KeyError, TypeError, RecursionError, StopIteration):
            known = ", ".join(each.name for each in OPENINGS)
            return as_json({"error": f"{shown(question.body)} names no opening of {known}"}, 404)
        return await self._begin(await asyncio.to_thread(opening_of, opening))

    async def _begin(self, piece: Piece) -> Answer:
        await self._play_in.play(piece)
        return as_json({"name": piece.name, "seconds": piece.seconds, "notes": piece.notes})

    async def _stop(self, _: Question) -> Answer:
        await self._play_in.stop()
        return as_json({})

    async def _openings(self, _: Question) -> Answer:
        return as_json([
            {"name": each.name, "title": each.title, "seconds": each.seconds}
            for each in OPENINGS
            if each.path.is_file()
        ])  # fmt: skip

    async def _listed(self, _: Question) -> Answer:
        return as_json(await asyncio.to_thread(self._recordings.listed))

    async def _recording(self, question: Question) -> Answer:
        try:
            content = await asyncio.to_thread(self._recordings.content, question.name)
        except NoRecordingError as error:
            return as_json({"error": str(error)}, 404)
        return _attachment(content, question.name)

    async def _notes(self, question: Question) -> Answer:
        try:
            notes = await asyncio.to_thread(self._recordings.notes, question.name)
        except NoRecordingError as error:
            return as_json({"error": str(error)}, 404)
        return as_json(notes)

    def _kept(self, name: str, tracks: Callable[[], list[Track]]) -> Answering:
        async def answer(_: Question) -> Answer:
            kept = tracks()
            if not kept:
                return as_json({"error": "nothing of that has been played yet"}, 404)
            return _attachment(await asyncio.to_thread(performance_bytes, kept), f"{name}.mid")

        return answer


def _attachment(content: bytes, name: str) -> Answer:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Answer(content, _MIDI, headers=headers)


def _file_name(told: str) -> str:
    """Return a name that may be shown, of whatever a browser says."""
    shown_name = "".join(letter for letter in unquote(told) if letter.isprintable())
    return shown_name[:_MOST_NAME_CHARACTERS] or "the file"
