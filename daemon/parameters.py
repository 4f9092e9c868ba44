"""The parameters that a musician can turn: one table from which all else derives.

Validation, the `schema` reply, the command-line client, config.yaml and the documentation read
this table; nothing else states a range or a default.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from perceivers.errors import SettingsError
from perceivers.ranges import Range, Setting, Value, shown, suggestion, table


class LengthUnit(StrEnum):
    """What the length of an answer counts."""

    SECONDS = "seconds"
    NOTES = "notes"


class Trigger(StrEnum):
    """What hands the turn to the Performer; the command `perform` always does."""

    SILENCE = "silence"
    COMMAND = "command"


class Applies(StrEnum):
    """From when on a new value counts."""

    AT_ONCE = "at_once"
    NEXT_TOKEN = "next_token"  # noqa: S105 - a token of music
    NEXT_TURN = "next_turn"


def _parameter(
    default: Value, unit: str, description: str, *, applies: Applies, **limits: Any
) -> Any:
    row = Range(unit, description, **limits)
    return field(default=default, metadata={"range": row, "applies": applies})


@dataclass(frozen=True, slots=True)
class Parameters:
    """A value for every parameter."""

    temperature: float = _parameter(
        1.0,
        "",
        "how daring the choice of notes is; 1 is the model itself",
        applies=Applies.NEXT_TOKEN,
        minimum=0.1,
        maximum=2.0,
    )
    time_temperature: float | None = _parameter(
        None,
        "",
        "the same for how much time passes; null: as temperature",
        applies=Applies.NEXT_TOKEN,
        minimum=0.1,
        maximum=2.0,
        optional=True,
    )
    pitch_temperature: float | None = _parameter(
        None,
        "",
        "the same for which key is struck; null: as temperature",
        applies=Applies.NEXT_TOKEN,
        minimum=0.1,
        maximum=2.0,
        optional=True,
    )
    top_p: float = _parameter(
        0.99,
        "",
        "only the likeliest tokens up to this share of probability",
        applies=Applies.NEXT_TOKEN,
        minimum=0.01,
        maximum=1.0,
    )
    min_p: float = _parameter(
        0.005,
        "",
        "only tokens at least this likely, relative to the likeliest",
        applies=Applies.NEXT_TOKEN,
        minimum=0.0,
        maximum=0.5,
    )
    repetition_penalty: float = _parameter(
        0.0,
        "nats per note",
        "how much each further note of a repetition is disfavoured; 0: not at all",
        applies=Applies.NEXT_TOKEN,
        minimum=0.0,
        maximum=10.0,
    )
    repetition_notes: int = _parameter(
        8,
        "notes",
        "how long a repetition may be before the penalty counts",
        applies=Applies.NEXT_TOKEN,
        minimum=1,
        maximum=256,
    )
    seed: int | None = _parameter(
        None,
        "",
        "makes an answer repeatable; null: a new one each turn",
        applies=Applies.NEXT_TURN,
        minimum=0,
        maximum=2**31 - 1,
        optional=True,
    )
    length: float = _parameter(
        15.0,
        "s or notes",
        "how long an answer is",
        applies=Applies.NEXT_TOKEN,
        minimum=1.0,
        maximum=3600.0,
    )
    length_unit: str = _parameter(
        LengthUnit.SECONDS.value,
        "",
        "what length counts",
        applies=Applies.NEXT_TOKEN,
        choices=tuple(LengthUnit),
    )
    trigger: str = _parameter(
        Trigger.SILENCE.value,
        "",
        "what starts an answer",
        applies=Applies.AT_ONCE,
        choices=tuple(Trigger),
    )
    silence_s: float = _parameter(
        1.2,
        "s",
        "with every key up, how long the player pauses before the answer",
        applies=Applies.AT_ONCE,
        minimum=0.1,
        maximum=10.0,
    )
    phrase_notes: int = _parameter(
        3,
        "notes",
        "how much the player must have played before silence counts",
        applies=Applies.AT_ONCE,
        minimum=1,
        maximum=1000,
    )
    channel: int = _parameter(
        1, "", "MIDI channel of the answer", applies=Applies.NEXT_TURN, minimum=1, maximum=16
    )


TABLE: dict[str, Setting] = table(Parameters)
RANGES: dict[str, Range] = {name: row.range for name, row in TABLE.items()}
APPLIES: dict[str, Applies] = {item.name: item.metadata["applies"] for item in fields(Parameters)}


def as_json(parameters: Parameters) -> dict[str, Value]:
    """Return every parameter by name."""
    return asdict(parameters)


def with_words(parameters: Parameters, words: Sequence[str]) -> Parameters:
    """Return the parameters changed by names and values, in turn, as a command line has them.

    Raises SettingsError for an unknown name, a value that is not allowed, or a name alone.
    """
    if len(words) % 2:
        raise SettingsError(f"names and values come in pairs; {shown(words[-1])} is alone")
    changes: dict[str, Any] = {}
    for name, text in zip(words[::2], words[1::2], strict=True):
        if name not in TABLE:
            raise SettingsError(f"unknown parameter {shown(name)}; {suggestion(name, TABLE)}")
        changes[name] = TABLE[name].admit(_value_of(TABLE[name], text))
    return replace(parameters, **changes)


def _value_of(row: Setting, text: str) -> Value:
    """Return the value that a text means, or the text itself where it means none."""
    if row.range.optional and text.lower() in ("null", "none"):
        return None
    try:
        return row.kind(text) if row.kind in (int, float) else text
    except ValueError:
        return text
