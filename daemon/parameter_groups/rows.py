"""What a row of the table of parameters is made of."""

from dataclasses import field
from enum import StrEnum
from typing import Any

from perceivers.ranges import Range, Value


class Applies(StrEnum):
    """From when on a new value counts."""

    AT_ONCE = "at_once"
    NEXT_TOKEN = "next_token"  # noqa: S105 - a token of music
    NEXT_TURN = "next_turn"


def parameter(
    default: Value, unit: str, description: str, *, applies: Applies, **limits: Any
) -> Any:
    """Make a dataclass field that is a row of the table; `limits` as in Range."""
    row = Range(unit, description, **limits)
    return field(default=default, metadata={"range": row, "applies": applies})
