"""Requests and events as Open Sound Control says them: addresses and plain arguments, no bytes.

    /performer/COMMAND [NAME VALUE ...]      any command of the table, `play` but for its own words
    /performer/set/NAME VALUE                one parameter, as a fader sends it
    /performer/play/note PITCH VELOCITY      a key as the player's; velocity 0: it comes up
    /performer/play/pedal DOWN

What is told comes as /performer/reply/COMMAND, /performer/error, /performer/event/TOPIC, and new
values of parameters as /performer/set/NAME, so that faders follow.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daemon.control.commands import COMMANDS, Names
from daemon.control.replies import EVENT_HEAD
from daemon.parameters import TABLE
from perceivers.errors import PerformerError
from perceivers.ranges import Setting, shown, suggestion

ROOT = "/performer"
PLAY = "play"

Told = tuple[str, list[Any]]  # an address, and what goes there


class OscError(PerformerError, ValueError):
    """A message that means nothing here."""


def request_of(address: str, values: Sequence[Any]) -> tuple[str, dict[str, Any]] | None:
    """Return the command and the arguments that a message asks for.

    None for the release of a button, which asks for nothing: a command with a single 0. Raises
    OscError for an address or a row of arguments that means nothing; whether values are allowed,
    the daemon says.
    """
    parts = address.removeprefix(ROOT + "/").split("/")
    if not address.startswith(ROOT + "/") or not all(parts):
        raise OscError(f"{shown(address)} is not known here; addresses begin with {ROOT}/")
    command, *rest = parts
    if command == PLAY:
        return PLAY, {"events": [_played(rest, values)]}
    if command not in COMMANDS:
        raise OscError(f"no command {shown(command)}; {suggestion(command, COMMANDS)}")
    if command == "set" and len(rest) == 1:
        return "set", {rest[0]: _value(rest[0], values)}
    if rest:
        raise OscError(f"{shown(address)} is not known here; {ROOT}/{command} is")
    if len(values) == 1 and _is_number(values[0]):
        return (command, {}) if values[0] else None
    return command, _arguments(command, values)


def _arguments(command: str, values: Sequence[Any]) -> dict[str, Any]:
    arguments = COMMANDS[command].arguments
    if len(arguments) == 1 and isinstance(next(iter(arguments.values())), Names):
        return {name: [*values] for name in arguments} if values else {}
    only = COMMANDS[command].only_argument
    if only is not None and len(values) == 1:
        return {only: values[0]}
    if len(values) % 2:
        raise OscError(f"{command} takes names and values in pairs; {shown(values[-1])} is alone")
    return {str(name): _value(str(name), [each]) for name, each in _pairs(values)}


def _pairs(values: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(values[::2], values[1::2], strict=True)


def _value(name: str, values: Sequence[Any]) -> Any:
    """Return the value that a parameter is to have, as JSON would have it.

    Faders send numbers with a point and no words; single precision is rounded to what was meant.
    """
    row = TABLE.get(name)
    if row is not None and row.kind is tuple:
        return values[0] if len(values) == 1 and values[0] != "null" else [*values]
    if len(values) != 1:
        raise OscError(f"{name} takes one value, not {len(values)}")
    value = values[0]
    if isinstance(value, float):
        value = float(f"{value:.7g}")
    if row is None or isinstance(value, bool):
        return value
    return _typed(row, value)


def _typed(row: Setting, value: Any) -> Any:
    if value == "null":
        return None
    if row.kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if row.kind is bool and value in (0, 1):
        return bool(value)
    return value


def _played(rest: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        raise OscError(f"{ROOT}/{PLAY} takes numbers, not {shown([*values])}")
    match (*rest, len(values)):
        case ("note", 2):
            pitch, velocity = (round(value) for value in values)
            if not velocity:
                return {"event": "note_off", "pitch": pitch}
            return {"event": "note_on", "pitch": pitch, "velocity": velocity}
        case ("pedal", 1):
            return {"event": "pedal", "down": bool(values[0])}
    raise OscError(f"{ROOT}/{PLAY}/note takes PITCH VELOCITY, {ROOT}/{PLAY}/pedal takes DOWN")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def reply_of(command: str, reply: Mapping[str, Any]) -> list[Told]:
    """Return what is answered to a command."""
    if not reply["ok"]:
        error = reply["error"]
        return [error_of(command, error["code"], error["message"])]
    result = dict(reply["result"])
    parameters = result.pop("parameters", None)
    if command == "schema":
        return [*_limits()]
    told = [(f"{ROOT}/reply/{command}", [*_members(result)])]
    return [*told, *_parameters(parameters)] if isinstance(parameters, Mapping) else told


def error_of(about: str, code: str, message: str) -> Told:
    """Return how an error is told: what it is about, its code, and in words."""
    return f"{ROOT}/error", [about, code, message]


def event_of(topic: str, event: Mapping[str, Any]) -> list[Told]:
    """Return what is told of an event."""
    payload = {name: value for name, value in event.items() if name not in EVENT_HEAD}
    if topic == "parameters":
        return [*_parameters(payload.get("parameters", {}))]
    return [(f"{ROOT}/event/{topic}", [*_members(payload)])]


def _parameters(values: Mapping[str, Any]) -> Iterator[Told]:
    for name, value in values.items():
        yield f"{ROOT}/set/{name}", _plain(value)


def _limits() -> Iterator[Told]:
    """Yield of each parameter its limits, as a patch needs them to scale a fader."""
    for name, row in TABLE.items():
        allowed: list[Any] = row.allowed or [None, None]  # any text
        values = [*_plain(row.default), *(_atom(one) for one in allowed)]
        yield f"{ROOT}/reply/schema", [name, *values]


def _members(told: Mapping[str, Any], prefix: str = "") -> Iterator[Any]:
    """Yield names and values in turn; those of an object within are named `outer.inner`."""
    for name, value in told.items():
        if isinstance(value, Mapping):
            yield from _members(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{name}"
            yield " ".join(str(_atom(each)) for each in value if not isinstance(each, Mapping))
        else:
            yield f"{prefix}{name}"
            yield _atom(value)


def _plain(value: Any) -> list[Any]:
    return [" ".join(value)] if isinstance(value, list | tuple) else [_atom(value)]


def _atom(value: Any) -> Any:
    """Return a value as every receiver of OSC can read it: a number or a text."""
    if value is None:
        return "null"
    return int(value) if isinstance(value, bool) else value
