"""Requests as bytes: read, checked by the table of commands, or refused by a code.

A request is one JSON object, `{"v":1,"id":7,"cmd":"set","args":{"temperature":0.9}}`; it is
checked whole before anything is done, so that a command is carried out or refused, never half.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from daemon.control.commands import COMMANDS, Command
from daemon.messages.turns import Commanded
from perceivers.errors import PerformerError
from perceivers.ranges import RangeError, Value, shown, suggestion

VERSION = 1
MAX_REQUEST_BYTES = 16 * 1024  # every parameter set at once takes less than a tenth of this
_MAX_ID_CHARACTERS = 64

RequestId = int | str | None


class Code(StrEnum):
    """Why a request was refused; names are part of the protocol and never change."""

    BAD_FRAMES = "bad_frames"
    TOO_LARGE = "too_large"
    BAD_JSON = "bad_json"
    BAD_VERSION = "bad_version"
    UNKNOWN_FIELD = "unknown_field"
    UNKNOWN_COMMAND = "unknown_command"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    REFUSED = "refused"  # well said, but not possible now
    INTERNAL = "internal"  # a fault of the daemon; its log has the traceback


class CommandError(PerformerError, ValueError):
    """A request that was not carried out."""

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        field: str | None = None,
        allowed: list[Value] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.allowed = allowed
        self.request_id: RequestId = None


@dataclass(frozen=True, slots=True)
class Request:
    """A command that may be carried out: every name is known, every value allowed."""

    id: RequestId
    command: Command
    values: Mapping[str, Any] = field(default_factory=dict)
    client: str = ""  # who asks: the connection that the request came by

    def happening(self) -> Commanded | None:
        """Return what the turns are told; None where the command only asks."""
        becomes = self.command.becomes
        return None if becomes is None else becomes(**self.values)


def parse_request(frame: bytes, client: str = "") -> Request:
    """Read one request; raise CommandError, with the request's id where it could be read."""
    if len(frame) > MAX_REQUEST_BYTES:
        raise CommandError(
            Code.TOO_LARGE,
            f"{len(frame)} bytes are too many; at most {MAX_REQUEST_BYTES}",
            allowed=[0, MAX_REQUEST_BYTES],
        )
    message = _decode(frame)
    request_id = _request_id(message.get("id"))
    try:
        return replace(_checked(message, request_id), client=client)
    except CommandError as error:
        error.request_id = request_id
        raise


def _decode(frame: bytes) -> dict[str, Any]:
    try:
        message = json.loads(
            frame.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_once
        )
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else "nested too deeply"
        raise _no_request(reason) from None
    if not isinstance(message, dict):
        raise _no_request(shown(message))
    return message


def _no_request(reason: str) -> CommandError:
    return CommandError(Code.BAD_JSON, f"not a request: {reason}; send one JSON object")


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return members


def _request_id(value: Any) -> RequestId:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str) and len(value) <= _MAX_ID_CHARACTERS:
        return value
    raise CommandError(
        Code.WRONG_TYPE,
        f"id = {shown(value)} is not allowed; a whole number or a short text",
        field="id",
    )


def _checked(message: dict[str, Any], request_id: RequestId) -> Request:
    version = message.get("v")
    if version != VERSION or isinstance(version, bool):
        raise CommandError(
            Code.BAD_VERSION,
            f'v = {shown(version)} is not spoken here; send "v":{VERSION}',
            field="v",
            allowed=[VERSION],
        )
    for name in message:
        _refuse_unknown(name, ("v", "id", "cmd", "args"))
    command = _command(message.get("cmd"))
    args = message.get("args", {})
    if not isinstance(args, dict):
        raise _wrong_type("args", args, "an object such as {}")
    values = {name: _value(command, name, value) for name, value in args.items()}
    if len(values) < command.at_least:
        raise CommandError(
            Code.MISSING_FIELD,
            f"{command.name} needs at least {command.at_least} of: {', '.join(command.arguments)}",
            field="args",
        )
    return Request(request_id, command, values)


def _command(name: Any) -> Command:
    if name is None:
        raise CommandError(Code.MISSING_FIELD, "cmd is missing", field="cmd", allowed=[*COMMANDS])
    if not isinstance(name, str):
        raise _wrong_type("cmd", name, "the name of a command")
    if name not in COMMANDS:
        raise CommandError(
            Code.UNKNOWN_COMMAND,
            f"unknown command {shown(name)}; {suggestion(name, COMMANDS)}",
            field="cmd",
            allowed=[*COMMANDS],
        )
    return COMMANDS[name]


def _value(command: Command, name: str, value: Any) -> Any:
    _refuse_unknown(name, command.arguments, f"{command.name} takes no ")
    try:
        return command.arguments[name].admit(value)
    except RangeError as error:
        about = name if error.part is None else error.part[:_MAX_ID_CHARACTERS]
        raise CommandError(
            Code(error.code), str(error), field=about, allowed=error.allowed or None
        ) from None


def _refuse_unknown(name: str, known: Iterable[str], opening: str = "unknown name ") -> None:
    names = [*known]
    if name not in names:
        hint = suggestion(name, names) if names else "it takes no arguments"
        raise CommandError(
            Code.UNKNOWN_FIELD,
            f"{opening}{shown(name)}; {hint}",
            field=name[:_MAX_ID_CHARACTERS],
            allowed=[*names],
        )


def _wrong_type(field: str, value: Any, wanted: str) -> CommandError:
    return CommandError(
        Code.WRONG_TYPE, f"{field} = {shown(value)} is not allowed; {wanted}", field=field
    )
