"""The commands: one table, from which all else derives, as from that of the parameters.

Validation, the `schema` reply, the command-line client and the documentation read this table. A
command is an entry here, and in `daemon/stage/turns.py` a handler for what it becomes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from daemon.control.played import PlayedEvents
from daemon.messages import turns as t
from daemon.parameters import APPLIES, TABLE, Applies
from perceivers.ranges import Range, RangeError, Setting, shown, suggestion

Result = dict[str, Any]  # a JSON object, just before the socket


class Answers(StrEnum):
    """What the answer to a command holds, once it is carried out."""

    SCHEMA = "schema"  # every command and parameter, with ranges
    PARAMETERS = "parameters"  # those named, or all
    CHANGED = "changed"  # the parameters that were given, and from when on each counts
    STATE = "state"  # what the Performer is doing
    INFO = "info"  # what it runs on, and counts
    MAPPINGS = "mappings"  # what controls of the player's device do, and what is being learnt
    HELD = "held"  # what this client holds by what it has played


class Curve(StrEnum):
    """How the way of a controller is laid out over a range."""

    EVEN = "even"
    BY_RATIO = "by_ratio"  # each step multiplies: for ranges from 1 to 3,600, say


class Argument(Protocol):
    """One thing that a command takes. A setting is one, and so is each parameter."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def allowed_text(self) -> str:
        """What would do, in words."""

    def admit(self, value: Any) -> Any:
        """Return what a value from JSON means; raise RangeError if it is not allowed."""

    def described(self) -> Result:
        """Describe it as JSON."""


@dataclass(frozen=True, slots=True)
class Names:
    """An argument that is a list of names."""

    name: str
    known: tuple[str, ...]
    description: str

    @property
    def allowed_text(self) -> str:
        """What would do, in words."""
        return f"a list of names {self.description}"

    def admit(self, value: Any) -> tuple[str, ...]:
        """Return the names; raise RangeError where it is no list of names that are known."""
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            message = f"{self.name} = {shown(value)} is not allowed; a list of names"
            raise RangeError("wrong_type", message, [])
        for name in value:
            if name not in self.known:
                message = f"unknown name {shown(name)}; {suggestion(name, self.known)}"
                raise RangeError("unknown_field", message, [*self.known], part=name)
        return tuple(value)

    def described(self) -> Result:
        """Describe it as JSON."""
        return {"type": "names", "choices": [*self.known], "description": self.description}


def _by_name(*arguments: Argument) -> dict[str, Argument]:
    return {argument.name: argument for argument in arguments}


ANY_PARAMETER = _by_name(*TABLE.values())
FOR_ONE_TURN = _by_name(
    *(row for name, row in TABLE.items() if APPLIES[name] is not Applies.AT_ONCE)
)


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the table."""

    name: str
    help: str
    answers: Answers
    becomes: Callable[..., t.Commanded] | None = None  # of its arguments, by name; None: it asks
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    at_least: int = 0  # how many of the arguments must be given

    @property
    def takes_parameters(self) -> bool:
        """Whether its arguments are parameters, which are described on their own."""
        return bool(self.arguments) and self.arguments.keys() <= TABLE.keys()

    @property
    def only_argument(self) -> str | None:
        """The name of its argument, if it takes one thing and no parameter: it may go unsaid."""
        names = [*self.arguments]
        return names[0] if len(names) == 1 and not self.takes_parameters else None


COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command("schema", "every command and parameter, with ranges and defaults", Answers.SCHEMA),
        Command(
            "get",
            "the parameters as they are; without names: all",
            Answers.PARAMETERS,
            arguments=_by_name(Names("names", tuple(TABLE), "of parameters")),
        ),
        Command(
            "set",
            "change parameters, all of those given or none",
            Answers.CHANGED,
            lambda **changes: t.Adjust(changes),
            ANY_PARAMETER,
            at_least=1,
        ),
        Command(
            "preset",
            "change the parameters that a preset of the settings file has, all or none",
            Answers.CHANGED,
            t.Preset,
            _by_name(Setting("name", str, "", Range("", "what it is called in the file"))),
            at_least=1,
        ),
        Command(
            "learn",
            "let the next controller or key that moves turn a parameter, or give a command",
            Answers.MAPPINGS,
            arguments=_by_name(
                Setting("target", str, "", Range("", "a parameter or a command")),
                Setting(
                    "lowest",
                    float,
                    None,
                    Range("", "where its way begins; null: at the least", optional=True),
                ),
                Setting(
                    "highest",
                    float,
                    None,
                    Range("", "where it ends; null: at the most", optional=True),
                ),
                Setting(
                    "curve",
                    str,
                    Curve.EVEN.value,
                    Range("", "how the way is laid out", choices=tuple(Curve)),
                ),
            ),
            at_least=1,
        ),
        Command(
            "unlearn",
            "let no controller or key do this any more; without a target: none does anything",
            Answers.MAPPINGS,
            arguments=_by_name(
                Setting("target", str, "", Range("", "a parameter or a command")),
            ),
        ),
        Command("mappings", "what controllers and keys do", Answers.MAPPINGS),
        Command(
            "capture",
            "keep the last seconds, or without them the last exchange, as a recording of this name",
            Answers.STATE,
            t.Capture,
            _by_name(
                Setting("name", str, "", Range("", "of the file, without an ending")),
                Setting(
                    "seconds",
                    float,
                    None,
                    Range("s", "how much of it", minimum=1.0, maximum=3600.0, optional=True),
                ),
            ),
            at_least=1,
        ),
        Command(
            "perform",
            "take the turn now, with these parameters this once",
            Answers.STATE,
            lambda **changes: t.Perform(changes),
            FOR_ONE_TURN,
        ),
        Command(
            "stop",
            "end the answer; once answered, no further note begins",
            Answers.STATE,
            t.Stop,
        ),
        Command(
            "play",
            "play these as the player; what is held comes up 3 s after the client's last request",
            Answers.HELD,
            arguments=_by_name(PlayedEvents()),
            at_least=1,
        ),
        Command(
            "finish",
            "hand the turn back, as the parameter hand_back says",
            Answers.STATE,
            t.Finish,
        ),
        Command(
            "another_take",
            "take the last answer back, and give another from the same hand-over",
            Answers.STATE,
            t.AnotherTake,
        ),
        Command(
            "undo",
            "take the last answer back, and the phrase that it answered",
            Answers.STATE,
            t.Undo,
        ),
        Command("panic", "silence everything at once, on every channel", Answers.STATE, t.Panic),
        Command("reset", "forget what was played so far", Answers.STATE, t.Reset),
        Command("state", "what the Performer is doing", Answers.STATE),
        Command("info", "model, provider, ports, and counts since the start", Answers.INFO),
        Command("shutdown", "end the daemon", Answers.STATE, t.Shutdown),
    )
}
