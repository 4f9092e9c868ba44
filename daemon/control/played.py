"""What a client plays, as it comes in a request: an argument of the table of commands."""

import math
import sys
from dataclasses import dataclass
from typing import Any

from perceivers.events import Event, NoteOff, NoteOn, Pedal
from perceivers.ranges import RangeError, Setting, setting, shown, suggestion, table

LEASE_S = 3.0
"""Who plays and has asked nothing for so long is gone; what it holds comes up."""
MOST_EVENTS = 256  # in one request
LATE_S = 0.25
"""What was played longer ago counts as played so long ago."""
FAR_S = 1.0
"""What is said to be played further from now, to either side, is refused."""


@dataclass(frozen=True, slots=True)
class PlayedEvent:
    """One thing that a client plays, at its moment of the session; None: on arrival."""

    event: Event
    at_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Members:
    """What the members of an event may be."""

    pitch: int = setting(0, "", "which key", minimum=0, maximum=127)
    velocity: int = setting(1, "", "how hard it is struck", minimum=1, maximum=127)
    down: bool = setting(False, "", "where the pedal is")
    at_s: float | None = setting(
        None, "s", "when, in seconds of the session; null: on arrival", optional=True
    )


_ROWS: dict[str, Setting] = table(_Members)
_KINDS: dict[str, tuple[str, ...]] = {
    "note_on": ("pitch", "velocity"),
    "note_off": ("pitch",),
    "pedal": ("down",),
}


@dataclass(frozen=True, slots=True)
class PlayedEvents:
    """An argument that is a list of events."""

    name: str = "events"

    @property
    def allowed_text(self) -> str:
        """What would do, in words."""
        return f"a list of up to {MOST_EVENTS} events"

    def admit(self, value: Any) -> tuple[PlayedEvent, ...]:
        """Return the events; raise RangeError where one of them is none."""
        if not isinstance(value, list):
            raise RangeError(
                "wrong_type", f"{self.name} = {shown(value)} is no {self.allowed_text}", []
            )
        if len(value) > MOST_EVENTS:
            message = f"{len(value)} events are too many; {self.allowed_text}"
            raise RangeError("out_of_range", message, [0, MOST_EVENTS])
        return tuple(_played(each) for each in value)

    def described(self) -> dict[str, Any]:
        """Describe it as JSON."""
        return {
            "type": "events",
            "maximum": MOST_EVENTS,
            "description": self.allowed_text,
            "kinds": {kind: [*needed] for kind, needed in _KINDS.items()},
            "members": {name: row.described() for name, row in _ROWS.items()},
        }


def _played(told: Any) -> PlayedEvent:
    if not isinstance(told, dict):
        raise RangeError("wrong_type", f"{shown(told)} is no event; send an object", [], "events")
    kind = told.get("event")
    if not isinstance(kind, str) or kind not in _KINDS:
        message = f"event = {shown(kind)} is not allowed; one of {', '.join(_KINDS)}"
        raise RangeError("out_of_range", message, [*_KINDS], "event")
    needed = _KINDS[kind]
    for name in told:
        if name not in ("event", "at_s", *needed):
            message = f"{kind} has no {shown(name)}; {suggestion(name, [*needed, 'at_s'])}"
            raise RangeError("unknown_field", message, [*needed, "at_s"], name)
    for name in needed:
        if name not in told:
            raise RangeError("missing_field", f"{kind} needs {name}", [], name)
    values = {name: _value(name, value) for name, value in told.items() if name != "event"}
    at_s = values.pop("at_s", None)
    return PlayedEvent(_event(kind, values), at_s)


def _value(name: str, value: Any) -> Any:
    try:
        return _ROWS[name].admit(_finite(value))
    except RangeError as error:
        error.part = name
        raise


def _finite(value: Any) -> Any:
    """Let a whole number that no float can hold be what it is to all purposes: infinite."""
    return math.inf if isinstance(value, int) and abs(value) > sys.float_info.max else value


def _event(kind: str, values: dict[str, Any]) -> Event:
    if kind == "note_on":
        return NoteOn(values["pitch"], values["velocity"])
    if kind == "note_off":
        return NoteOff(values["pitch"])
    return Pedal(values["down"])
