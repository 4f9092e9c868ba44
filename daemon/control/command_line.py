"""The command line of `daemon.ctl`: what it takes, and the help that the tables give it."""

import argparse
import json
from typing import Any

from daemon.control.commands import COMMANDS, Argument, Command, Names
from daemon.parameters import APPLIES, TABLE
from daemon.settings import ControlSettings
from perceivers.ranges import Setting

_DEFAULTS = ControlSettings()


def parser_of_commands() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    found = argparse.ArgumentParser(
        prog="python -m daemon.ctl",
        description="Control a running Performer.",
        epilog=_parameter_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_options(found)
    commands = found.add_subparsers(dest="command", required=True, metavar="COMMAND")
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
            if list_of_names(command) or command.only_argument is not None:
                what = str(command.only_argument or "name").upper()
            added.add_argument("words", nargs="+" if command.at_least else "*", metavar=what)
    watch = commands.add_parser("watch", help="print events as they happen, until Ctrl-C")
    watch.add_argument("words", nargs="*", metavar="TOPIC", help="such as state; none: all of them")
    commands.add_parser("console", help="state, parts and parameters, live, in this terminal")
    keys = commands.add_parser("keys", help="make keys, for control from another computer")
    keys.add_argument("folder", metavar="FOLDER")
    for added in commands.choices.values():
        _add_options(added, default=argparse.SUPPRESS)  # so that they may follow the command too
    return found


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
    if command.takes_parameters or list_of_names(command) is not None:
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


def list_of_names(command: Command) -> Names | None:
    """Return the argument of a command that takes a list of names and nothing else."""
    arguments = [*command.arguments.values()]
    return arguments[0] if len(arguments) == 1 and isinstance(arguments[0], Names) else None
