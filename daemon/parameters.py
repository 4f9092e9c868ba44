"""The parameters that a musician can turn: one table from which all else derives.

Validation, the `schema` reply, the command-line client, config.yaml and the documentation read
this table; nothing else states a range or a default. Its rows stand in `daemon.parameter_groups`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from daemon.parameter_groups.giving_way import HandBack, HeldKeys, WhenPlayedOver
from daemon.parameter_groups.instrument import Instrument, Passes
from daemon.parameter_groups.limits import refuse_contradictions
from daemon.parameter_groups.rows import Applies, parameter
from daemon.parameter_groups.turn_taking import Entry, LengthUnit, Trigger
from perceivers.errors import SettingsError
from perceivers.midi_numbers import CHANNELS
from perceivers.ranges import Range, Setting, Value, shown, suggestion, table

__all__ = [
    "APPLIES",
    "RANGES",
    "TABLE",
    "Applies",
    "Changes",
    "Entry",
    "HandBack",
    "HeldKeys",
    "LengthUnit",
    "Parameters",
    "Passes",
    "Trigger",
    "WhenPlayedOver",
    "as_json",
    "with_changes",
    "with_words",
]


@dataclass(frozen=True, slots=True)
class Parameters(Instrument):
    """A value for every parameter."""

    channel: int = parameter(
        1, "", "MIDI channel of the answer", applies=Applies.NEXT_TURN, minimum=1, maximum=CHANNELS
    )

    def __post_init__(self) -> None:
        """Refuse values that contradict each other, each of them allowed though it is."""
        refuse_contradictions(self)


TABLE: dict[str, Setting] = table(Parameters)
RANGES: dict[str, Range] = {name: row.range for name, row in TABLE.items()}
Changes = Mapping[str, Value]  # new values of some parameters, by name
APPLIES: dict[str, Applies] = {item.name: item.metadata["applies"] for item in fields(Parameters)}


def with_changes(parameters: Parameters, changes: Changes) -> Parameters:
    """Return the parameters with other values; `changes` are such as the table admits.

    Raises SettingsError where values contradict each other.
    """
    values: dict[str, Any] = dict(changes)
    return replace(parameters, **values)


def as_json(parameters: Parameters) -> dict[str, Value]:
    """Return every parameter by name."""
    return asdict(parameters)


def with_words(parameters: Parameters, words: Sequence[str]) -> Parameters:
    """Return the parameters changed by names and values, in turn, as a command line has them.

    Raises SettingsError for an unknown name, a value that is not allowed, or a name alone.
    """
    if len(words) % 2:
        raise SettingsError(f"names and values come in pairs; {shown(words[-1])} is alone")
    changes: dict[str, Value] = {}
    for name, text in zip(words[::2], words[1::2], strict=True):
        if name not in TABLE:
            raise SettingsError(f"unknown parameter {shown(name)}; {suggestion(name, TABLE)}")
        changes[name] = TABLE[name].admit(_value_of(TABLE[name], text))
    return with_changes(parameters, changes)


def _value_of(row: Setting, text: str) -> Value:
    """Return the value that a text means, or the text itself where it means none."""
    if row.range.optional and text.lower() in ("null", "none"):
        return None
    try:
        return row.kind(text) if row.kind in (int, float) else text
    except ValueError:
        return text
