"""What a browser says, frame by frame: read, checked, or refused in words. Pure."""

import json
from dataclasses import dataclass
from typing import Any

from daemon.control.commands import COMMANDS, Result
from daemon.control.played import LATE_S, PlayedEvents
from perceivers.errors import PerformerError
from perceivers.events import Event
from perceivers.ranges import shown, suggestion

NOT_FROM_HERE = ("play", "shutdown")
"""Commands that a page does not give: playing has a frame of its own, and who ends the daemon does
so where it was started."""
_MOST_AGO_MS = LATE_S * 1000
_MOST_CLOCK_MS = 1e15
_EVENTS = PlayedEvents()


class FrameError(PerformerError, ValueError):
    """A frame says nothing that is understood."""


@dataclass(frozen=True, slots=True)
class Playing:
    """These events were played, each so many seconds ago."""

    events: tuple[tuple[Event, float], ...]


@dataclass(frozen=True, slots=True)
class Asking:
    """A command, and the number by which the browser knows it."""

    number: int | str
    command: str
    args: Result


@dataclass(frozen=True, slots=True)
class ReadingClock:
    """What does the session's clock show? And what the browser's shows, in ms."""

    browser_ms: float


Said = Playing | Asking | ReadingClock


def read(frame: str | bytes) -> Said:
    """Return what a frame says; raise FrameError if that is nothing."""
    if isinstance(frame, bytes):
        raise FrameError("a binary frame is not understood; send JSON as text")
    try:
        told = json.loads(frame, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise FrameError(f"{shown(frame)} is no JSON") from None
    if not isinstance(told, dict):
        raise FrameError(f"{shown(told)} is no message; send an object")
    match told.get("type"):
        case "play":
            return _playing(told)
        case "command":
            return _asking(told)
        case "clock":
            return ReadingClock(_number("t", told.get("t"), -_MOST_CLOCK_MS, _MOST_CLOCK_MS))
        case other:
            raise FrameError(f"type = {shown(other)} is not known; play, command or clock")


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _playing(told: dict[str, Any]) -> Playing:
    events = told.get("events")
    ago_ms = []
    plain = []
    for event in events if isinstance(events, list) else ():
        if not isinstance(event, dict):
            raise FrameError(f"{shown(event)} is no event; send an object")
        if "at_s" in event:
            raise FrameError("at_s is not taken from a browser; say ago_ms, how long ago it was")
        ago_ms.append(_number("ago_ms", event.get("ago_ms", 0), 0.0, _MOST_AGO_MS))
        plain.append({name: value for name, value in event.items() if name != "ago_ms"})
    try:
        played = _EVENTS.admit(plain if isinstance(events, list) else events)
    except PerformerError as error:
        raise FrameError(str(error)) from None
    return Playing(
        tuple((each.event, ago / 1000) for each, ago in zip(played, ago_ms, strict=True))
    )


def _asking(told: dict[str, Any]) -> Asking:
    number, command, args = told.get("id"), told.get("cmd"), told.get("args", {})
    if isinstance(number, bool) or not isinstance(number, int | str) or len(str(number)) > 64:
        raise FrameError(f"id = {shown(number)} is not allowed; a number or a short text")
    if command in NOT_FROM_HERE:
        raise FrameError(f"{command} is not for the page")
    if not isinstance(command, str) or command not in COMMANDS:
        raise FrameError(
            f"cmd = {shown(command)} is not known; {suggestion(str(command), COMMANDS)}"
        )
    if not isinstance(args, dict):
        raise FrameError(f"args = {shown(args)} is not allowed; an object")
    return Asking(number, command, args)


def _number(name: str, value: Any, lowest: float, highest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FrameError(f"{name} = {shown(value)} is not allowed; a number")
    if not lowest <= value <= highest:
        raise FrameError(f"{name} = {shown(value)} is not allowed; {lowest:g} to {highest:g}")
    return float(value)
