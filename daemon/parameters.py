"""The parameters that a musician can turn: one table from which all else derives.

Validation, the `schema` reply, the command-line client, config.yaml and the documentation read
this table; nothing else states a range or a default.
"""

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

Value = float | int | str | bool | None


class LengthUnit(StrEnum):
    """What the length of an answer counts."""

    SECONDS = "seconds"
    NOTES = "notes"


class Trigger(StrEnum):
    """What hands the turn to the Performer; the command `perform` always does."""

    SILENCE = "silence"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Range:
    """What a parameter is and which values it takes."""

    unit: str
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False  # null is allowed


def _parameter(default: Value, unit: str, description: str, **limits: Any) -> Any:
    return field(default=default, metadata={"range": Range(unit, description, **limits)})


@dataclass(frozen=True, slots=True)
class Parameters:
    """A value for every parameter."""

    temperature: float = _parameter(
        0.95, "", "how daring the choice of notes is; 1 is the model itself", minimum=0.1, maximum=2.0
    )
    top_p: float = _parameter(
        0.98, "", "only the likeliest tokens up to this share of probability", minimum=0.01, maximum=1.0
    )
    min_p: float = _parameter(
        0.01, "", "only tokens at least this likely, relative to the likeliest", minimum=0.0, maximum=0.5
    )
    seed: int | None = _parameter(
        None, "", "makes an answer repeatable; null: a new one each turn",
        minimum=0, maximum=2**31 - 1, optional=True,
    )
    length: float = _parameter(
        15.0, "length_unit", "how long an answer is", minimum=1.0, maximum=3600.0
    )
    length_unit: str = _parameter(
        LengthUnit.SECONDS.value, "", "what length counts", choices=tuple(LengthUnit)
    )
    trigger: str = _parameter(
        Trigger.SILENCE.value, "", "what starts an answer", choices=tuple(Trigger)
    )
    silence_s: float = _parameter(
        1.2, "s", "with every key up, how long the player pauses before the answer",
        minimum=0.1, maximum=10.0,
    )
    phrase_notes: int = _parameter(
        3, "notes", "how much the player must have played before silence counts",
        minimum=1, maximum=1000,
    )
    channel: int = _parameter(1, "", "MIDI channel of the answer", minimum=1, maximum=16)


RANGES: dict[str, Range] = {item.name: item.metadata["range"] for item in fields(Parameters)}


def as_json(parameters: Parameters) -> dict[str, Value]:
    """Return every parameter by name."""
    return asdict(parameters)
