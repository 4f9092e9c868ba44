"""What `daemon.ctl` prints: replies and events, as lines for people."""

import json
import sys
from collections.abc import Callable
from typing import Any

from daemon.control.commands import Result
from daemon.control.replies import EVENT_HEAD
from daemon.parameters import TABLE


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()  # a pipe gets each event when it happens


def show_event(topic: str, body: bytes, *, as_json: bool) -> None:
    """Print an event, as a line or as the JSON that it is."""
    if as_json:
        say(body.decode())
        return
    told = json.loads(body)
    members = {name: value for name, value in told.items() if name not in EVENT_HEAD}
    say(f"{told['time_s']:12.3f}  {topic:<12} {' '.join(_members(members, between='='))}")


def show_reply(command: str, result: Result) -> None:
    """Print what a command was answered."""
    _SHOWN.get(command, _show_members)(result)


def _show_members(result: Result) -> None:
    for line in _members(result) or ["done"]:
        say(line)


def _members(told: Result, prefix: str = "", between: str = " ") -> list[str]:
    """Return a line for each member; those of an object within are named `outer.inner`."""
    lines: list[str] = []
    for name, value in told.items():
        if isinstance(value, dict):
            lines += _members(value, f"{prefix}{name}.", between)
        else:
            shown = value if isinstance(value, str) else json.dumps(value)
            lines.append(f"{prefix}{name}{between}{shown}")
    return lines


def _show_values(result: Result) -> None:
    applies = result.get("applies", {})
    rows: list[tuple[str, ...]] = [
        (
            name,
            json.dumps(value),
            TABLE[name].range.unit if name in TABLE else "",
            applies.get(name, "").replace("_", " "),
        )
        for name, value in result["parameters"].items()
    ]
    _show_rows(rows)


def _show_schema(result: Result) -> None:
    say("Commands")
    _show_rows([(name, row["description"]) for name, row in result["commands"].items()], "  ")
    say("Parameters")
    rows = [
        (
            name,
            json.dumps(row["default"]),
            _limits(row),
            row["unit"],
            row["applies"].replace("_", " "),
            row["description"],
        )
        for name, row in result["parameters"].items()
    ]
    _show_rows([("name", "default", "allowed", "unit", "applies", ""), *rows], "  ")


def _limits(row: dict[str, Any]) -> str:
    text = ", ".join(row["choices"]) or f"{row['minimum']} to {row['maximum']}"
    return f"{text} or null" if row["null_allowed"] else text


def _show_rows(rows: list[tuple[str, ...]], indent: str = "") -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        say((indent + "  ".join(cells)).rstrip())


_SHOWN: dict[str, Callable[[Result], None]] = {
    "schema": _show_schema,
    "get": _show_values,
    "set": _show_values,
}
