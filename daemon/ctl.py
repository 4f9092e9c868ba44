"""Control a running Performer from the command line: `python -m daemon.ctl set temperature 0.9`."""

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from daemon.control.command_line import list_of_names, parser_of_commands
from daemon.control.commands import COMMANDS, Argument, Result
from daemon.control.printing import say, show_event, show_reply
from daemon.control.replies import HEARTBEAT
from daemon.control.requests import VERSION
from daemon.control.sockets import (
    ClientKeys,
    CommandClient,
    EventClient,
    NoAnswerError,
    create_keys,
)
from perceivers.errors import PerformerError
from perceivers.ranges import Setting, Value

_CONSOLE_TOPICS = ("state", "turn", "parameters", "metrics")
_POLL_S = 0.2  # how soon Ctrl-C is noticed on systems where it does not end a wait


class ConsoleMissingError(PerformerError):
    """What draws in the terminal is not installed."""


class DaemonRefusedError(PerformerError):
    """The daemon did not do what was asked; the message is its own."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    parser = parser_of_commands()
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
                say(json.dumps(result))
            else:
                show_reply(options.command, result)
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
    if list_of_names(command) is not None:
        return dict.fromkeys(command.arguments, words)
    if command.only_argument is not None and len(words) == 1:
        words = [command.only_argument, *words]
    if len(words) % 2:
        parser.error(f"{command.name} takes names and values in pairs; {words[-1]!r} is alone")
    pairs = zip(words[::2], words[1::2], strict=True)
    return {name: _typed(command.arguments.get(name), text) for name, text in pairs}


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
        show_reply("get", _ask(options, "get", {}))
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
                    show_event(*event, as_json=options.json)
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


def _make_keys(options: argparse.Namespace) -> None:
    made = create_keys(Path(options.folder))
    say("control:")
    say(f"  server_key: {made.server_key}")
    say(f"  client_keys: {made.client_keys}")
    say(
        f"Put these lines into config.yaml; a client needs --server-key {options.folder}/server.key"
        f" --client-key {options.folder}/client.key_secret"
    )


def _keys(options: argparse.Namespace) -> ClientKeys | None:
    if options.server_key is None or options.client_key is None:
        return None
    return ClientKeys(server=Path(options.server_key), client=Path(options.client_key))


if __name__ == "__main__":
    sys.exit(main())
