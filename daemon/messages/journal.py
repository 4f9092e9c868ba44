"""What the brain was told, and when in its work it took it in, as lines of text and back.

With these lines a session can be played again (`daemon/offline/replaying.py`): a recording carries
them as markers. Times are written so that they are read exactly.
"""

import json
import typing
from dataclasses import asdict, dataclass, fields
from typing import Any

from daemon.messages.brain import (
    BeginTurn,
    Conclude,
    EndTurn,
    Events,
    Hear,
    Recall,
    Return,
    Steer,
    ToBrain,
    Took,
)
from daemon.parameters import TABLE, Parameters, as_json, with_changes
from perceivers.errors import PerformerError, SettingsError
from perceivers.events import Event, NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.ranges import shown

FORMAT = 1


class JournalError(PerformerError, ValueError):
    """A line is none of a journal, or of one that is not understood."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The first line of a recording: by which model it was played, and what came before it."""

    model: str  # its folder
    checkpoint_sha256: str
    precision: str
    provider: str
    before: str | None  # the recording that it goes on from, in the same folder
    format: int = FORMAT


Line = Opening | ToBrain | Took

_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (Opening, Hear, BeginTurn, Conclude, Steer, EndTurn, Recall, Return, Took)
}


def as_text(line: Line) -> str:
    """Return a line as text."""
    members = {item.name: _plain(getattr(line, item.name)) for item in fields(line)}
    return json.dumps({"is": type(line).__name__, **members}, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, Parameters):
        return as_json(value)
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_row(timed) for timed in value]
    return value


def _row(timed: TimedEvent) -> list[Any]:
    return [timed.time_s, type(timed.event).__name__, *asdict(timed.event).values()]


def line_of(text: str) -> Line:
    """Return the line that a text is; raise JournalError if it is none."""
    try:
        members = json.loads(text)
        kind = _KINDS[members.pop("is")]
        hints = typing.get_type_hints(kind)
        values = {name: _value(hints[name], value) for name, value in members.items()}
        line: Line = kind(**values)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        if isinstance(error, JournalError):
            raise
        raise JournalError(f"{shown(text)} is no line of a journal") from None
    if isinstance(line, Opening) and line.format != FORMAT:
        raise JournalError(f"a journal of format {line.format}; {FORMAT} is understood here")
    return line


def _value(hint: Any, value: Any) -> Any:
    if hint is Parameters:
        return _parameters(value)
    if hint == Events:
        return tuple(TimedEvent(float(row[0]), _event(row[1], row[2:])) for row in value)
    if hint == frozenset[int]:
        return frozenset(value)
    return value


def _parameters(values: dict[str, Any]) -> Parameters:
    try:
        admitted = {name: TABLE[name].admit(value) for name, value in values.items()}
        return with_changes(Parameters(), admitted)
    except (KeyError, SettingsError) as error:
        raise JournalError(f"parameters that are not understood here: {error}") from None


def _event(kind: str, values: list[Any]) -> Event:
    return {each.__name__: each for each in (NoteOn, NoteOff, Pedal)}[kind](*values)
