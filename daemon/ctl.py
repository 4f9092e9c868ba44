"""Control a running Performer from the command line: `python -m daemon.ctl set temperature 0.9`."""

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from daemon.control.commands import COMMANDS, Argument, Command, Names, Result
from daemon.control.replies import EVENT_HEAD, HEARTBEAT
from daemon.control.requests import VERSION
from daemon.control.sockets import (
    ClientKeys,
    CommandClient,
    EventClient,
    NoAnswerError,
    create_keys,
)
from daemon.parameters import APPLIES, TABLE
from daemon.settings import ControlSettings
from perceivers.errors import PerformerError
from perceivers.ranges import Setting, Value

_DEFAULTS = ControlSettings()
_CONSOLE_TOPICS = ("state", "turn", "parameters", "metrics")
_POLL_S = 0.2  # how soon Ctrl-C is noticed on systems where it does not end a wait


class ConsoleMissingError(PerformerError):
    """What draws in the terminal is not installed."""


class DaemonRefusedError(PerformerError):
    """The daemon did not do what was asked; the message is its own."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        if options.command == "keys":
            _make_keys(options)
        elif options.command == "watch":
            _watch(options)
        elif options.command == "console":
            _console(options)
        else:
            result = _ask(options, options.command, _args(parser, options))
            if options.json:
                _say(json.dumps(result))
            else:
                _SHOWN.get(options.command, _show_members)(result)
    except PerformerError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def _ask(options: argparse.Namespace, command: str, args: Result) -> Result:
    request = {"v": VERSION, "id": 1, "cmd": command, "args": args}
    with CommandClient(options.address, _keys(options)) as client:
        reply = json.loads(client.ask(json.dumps(request).encode(), options.timeout))
    if not reply["ok"]:
        raise DaemonRefusedError(reply["error"]["message"])
    result: Result = reply["result"]
    return result


def _args(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Result:
    command = COMMANDS[options.command]
    words: list[str] = getattr(options, "words", [])
    if _list_of_names(command) is not None:
        return dict.fromkeys(command.arguments, words)
    if command.only_argument is not None and len(words) == 1:
        words = [command.only_argument, *words]
    if len(words) % 2:
        parser.error(f"{command.name} takes names and values in pairs; {words[-1]!r} is alone")
    pairs = zip(words[::2], words[1::2], strict=True)
    return {name: _typed(command.arguments.get(name), text) for name, text in pairs}


def _list_of_names(command: Command) -> Names | None:
    """Return the argument of a command that takes a list of names and nothing else."""
    arguments = [*command.arguments.values()]
    return arguments[0] if len(arguments) == 1 and isinstance(arguments[0], Names) else None


def _typed(argument: Argument | None, text: str) -> Any:
    """Return the value that a text means; whether it is allowed, the daemon says."""
    if argument is not None and not isinstance(argument, Setting):
        return _json_or_text(text)
    kind = argument.kind if argument else str
    if kind is str:
        return text
    words: dict[str, Value] = {"null": None, "none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return int(text) if kind is int else float(text)
    except ValueError:
        return text


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _console(options: argparse.Namespace) -> None:
    """Show the daemon in a terminal; where there is none, print its events, a line each."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        _show_values(_ask(options, "get", {}))
        options.words = list(_CONSOLE_TOPICS)
        _watch(options)
        return
    try:
        from daemon.console import Console  # noqa: PLC0415 - only this needs it
    except ImportError:
        raise ConsoleMissingError("textual is not installed: pip install '.[console]'") from None
    _ask(options, "state", {})  # no daemon: said before the screen is taken
    Console(options.address, options.events, _keys(options), options.timeout).run()


def _watch(options: argparse.Namespace) -> None:
    topics = (*options.words, HEARTBEAT) if options.words else ("",)
    heard_s = time.monotonic()
    with _heeding_ctrl_c(), EventClient(options.events, topics, _keys(options)) as client:
        while True:
            event = client.next_event(_POLL_S)
            if event is not None:
                heard_s = time.monotonic()
                if event[0] != HEARTBEAT or HEARTBEAT in options.words:
                    _show_event(*event, as_json=options.json)
            elif time.monotonic() - heard_s > options.timeout:
                raise NoAnswerError(f"no daemon is heard at {options.events}; see --events")


@contextlib.contextmanager
def _heeding_ctrl_c() -> Iterator[None]:
    """End at SIGINT even behind `&` in a script, where a shell lets a program ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _show_event(topic: str, body: bytes, *, as_json: bool) -> None:
    if as_json:
        _say(body.decode())
        return
    told = json.loads(body)
    members = {name: value for name, value in told.items() if name not in EVENT_HEAD}
    _say(f"{told['time_s']:12.3f}  {topic:<12} {' '.join(_members(members, between='='))}")


def _make_keys(options: argparse.Namespace) -> None:
    made = create_keys(Path(options.folder))
    _say("control:")
    _say(f"  server_key: {made.server_key}")
    _say(f"  client_keys: {made.client_keys}")
    _say(
        f"Put these lines into config.yaml; a client needs --server-key {options.folder}/server.key"
        f" --client-key {options.folder}/client.key_secret"
    )


def _keys(options: argparse.Namespace) -> ClientKeys | None:
    if options.server_key is None or options.client_key is None:
        return None
    return ClientKeys(server=Path(options.server_key), client=Path(options.client_key))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()  # a pipe gets each event when it happens


def _show_members(result: Result) -> None:
    for line in _members(result) or ["done"]:
        _say(line)


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
    _say("Commands")
    _show_rows([(name, row["description"]) for name, row in result["commands"].items()], "  ")
    _say("Parameters")
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
        _say((indent + "  ".join(cells)).rstrip())


_SHOWN: dict[str, Callable[[Result], None]] = {
    "schema": _show_schema,
    "get": _show_values,
    "set": _show_values,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m daemon.ctl",
        description="Control a running Performer.",
        epilog=_parameter_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_options(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS.values():
        added = commands.add_parser(
            command.name,
            help=command.help,
            description=command.help,
            epilog=_arguments_help(command),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if command.arguments:
            what = "NAME VALUE"
            if _list_of_names(command) or command.only_argument is not None:
                what = str(command.only_argument or "name").upper()
            added.add_argument("words", nargs="+" if command.at_least else "*", metavar=what)
    watch = commands.add_parser("watch", help="print events as they happen, until Ctrl-C")
    watch.add_argument("words", nargs="*", metavar="TOPIC", help="such as state; none: all of them")
    commands.add_parser("console", help="state, parts and parameters, live, in this terminal")
    keys = commands.add_parser("keys", help="make keys, for control from another computer")
    keys.add_argument("folder", metavar="FOLDER")
    for added in commands.choices.values():
        _add_options(added, default=argparse.SUPPRESS)  # so that they may follow the command too
    return parser


def _add_options(parser: argparse.ArgumentParser, default: Any = None) -> None:
    rows: tuple[tuple[str, Any, dict[str, Any]], ...] = (
        ("--address", _DEFAULTS.commands, {"help": f"of its commands ({_DEFAULTS.commands})"}),
        ("--events", _DEFAULTS.events, {"help": f"of its events ({_DEFAULTS.events})"}),
        ("--timeout", 2.0, {"help": "how long to wait for it (2)", "type": float, "metavar": "S"}),
        ("--json", False, {"help": "print JSON, for scripts", "action": "store_true"}),
        ("--server-key", None, {"help": "its public key, if it needs keys", "metavar": "FILE"}),
        ("--client-key", None, {"help": "your secret key, if it needs keys", "metavar": "FILE"}),
    )
    for name, usual, details in rows:
        parser.add_argument(name, default=usual if default is None else default, **details)


def _arguments_help(command: Command) -> str | None:
    if not command.arguments:
        return None
    if command.takes_parameters or _list_of_names(command) is not None:
        return _parameter_help()
    rows = command.arguments.values()
    return "\n".join(["arguments:", *(line for row in rows for line in _argument_lines(row))])


def _argument_lines(row: Argument) -> tuple[str, ...]:
    if isinstance(row, Setting):
        return _help_lines(row)
    return (f"  {row.name:<13} {row.allowed_text}",)


def _parameter_help() -> str:
    return "\n".join(
        ["parameters:", *(line for row in TABLE.values() for line in _help_lines(row))]
    )


def _help_lines(row: Setting) -> tuple[str, str]:
    return f"  {row.name:<13} {row.range.description}", f"  {'':<13} {_help_limits(row)}"


def _help_limits(row: Setting) -> str:
    unit = f" {row.range.unit}" if row.range.unit else ""
    default = json.dumps(row.default).strip('"')
    applies = f"; applies: {APPLIES[row.name].value.replace('_', ' ')}" if row.name in TABLE else ""
    return f"{row.allowed_text}{unit}; default {default}{applies}"


if __name__ == "__main__":
    sys.exit(main())
