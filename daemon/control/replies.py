"""What is answered to a command, what an event carries, and both as bytes."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from daemon.control.commands import COMMANDS, Command, Result
from daemon.control.requests import VERSION, CommandError, RequestId
from daemon.parameters import APPLIES, TABLE, Parameters, as_json

HEARTBEAT = "heartbeat"  # topic of the event that says each second that the daemon lives
EVENT_HEAD = ("v", "topic", "n", "time_s")  # what every event carries, before what it tells


def schema() -> Result:
    """Describe every command and parameter."""
    return {
        "version": VERSION,
        "commands": {command.name: _command(command) for command in COMMANDS.values()},
        "parameters": {
            name: row.described() | {"applies": APPLIES[name].value} for name, row in TABLE.items()
        },
    }


def _command(command: Command) -> Result:
    return {
        "description": command.help,
        "arguments": list(command.arguments),
        "at_least": command.at_least,
        "answers": command.answers.value,
        "own_arguments": {
            name: row.described() for name, row in command.arguments.items() if name not in TABLE
        },
    }


def chosen(parameters: Parameters, names: Iterable[str] = ()) -> Result:
    """Answer `get`: the named parameters, or all of them."""
    values = as_json(parameters)
    return {"parameters": {name: values[name] for name in [*names] or values}}


def changed(parameters: Parameters, names: Iterable[str]) -> Result:
    """Answer `set`: the new values of these parameters and from when on each counts."""
    names = [*names]
    return chosen(parameters, names) | {"applies": {name: APPLIES[name].value for name in names}}


def encode_result(request_id: RequestId, result: Result) -> bytes:
    """Return the reply to a command that was carried out."""
    return encode({"id": request_id, "ok": True, "result": result})


def encode_error(error: CommandError) -> bytes:
    """Return the reply to a command that was not."""
    told: Result = {"code": error.code.value, "field": error.field, "message": error.message}
    if error.allowed is not None:
        told["allowed"] = error.allowed
    return encode({"id": error.request_id, "ok": False, "error": told})


def encode_event(topic: str, number: int, time_s: float, payload: Mapping[str, Any]) -> bytes:
    """Return an event; `number` counts those of its topic, so that a gap can be seen."""
    head = dict(zip(EVENT_HEAD, (VERSION, topic, number, time_s), strict=True))
    return encode({**head, **payload, **head})  # the head leads, and a payload cannot change it


def encode(message: Result) -> bytes:
    """Return a JSON object as bytes; raise ValueError or TypeError if it is none."""
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode("ascii")
