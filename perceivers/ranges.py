"""What a setting may be: its type, its limits, and how a wrong value is told.

A dataclass whose fields are made by `setting` is a table; `table` reads it. Files, commands and
documentation all validate and describe by that table, so that no range is stated twice.
"""

import difflib
import math
import re
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from perceivers.errors import SettingsError

Value = float | int | str | bool | tuple[str, ...] | None

_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    tuple: "a list",
}
_BETWEEN_WORDS = re.compile(r"\s*,\s*|\s+")
_SHOWN_CHARACTERS = 60  # of a wrong value, in a message


class RangeError(SettingsError):
    """A value is of the wrong type or outside its range; `allowed` says what would do.

    `part` is what is wrong, where that is not the value as a whole but something in it.
    """

    def __init__(
        self, code: str, message: str, allowed: list[Value], part: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code  # "wrong_type" or "out_of_range"
        self.allowed = allowed
        self.part = part


@dataclass(frozen=True, slots=True)
class Range:
    """What a setting is and which values it takes."""

    unit: str
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False  # null is allowed


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of a table."""

    name: str
    kind: type[bool] | type[int] | type[float] | type[str] | type[tuple[str, ...]]
    default: Value
    range: Range

    @property
    def allowed(self) -> list[Value]:
        """The limits, or the choices; empty when only the type limits."""
        if self.range.choices:
            return [str(choice) for choice in self.range.choices]
        if self.range.minimum is None and self.range.maximum is None:
            return []
        return [self.range.minimum, self.range.maximum]

    @property
    def allowed_text(self) -> str:
        """What would do, in words."""
        text = _WORDS[self.kind]
        if self.range.choices:
            number = "any of" if self.kind is tuple else "one of"
            text = f"{number} " + ", ".join(self.range.choices)
        if self.range.minimum is not None:
            text += f" from {self.range.minimum:g}"
        if self.range.maximum is not None:
            text += f" to {self.range.maximum:.10g}"
        return f"{text}, or null" if self.range.optional else text

    def described(self) -> dict[str, Any]:
        """Describe the row as JSON."""
        return {
            "type": "list" if self.kind is tuple else self.kind.__name__,
            "unit": self.range.unit,
            "minimum": self.range.minimum,
            "maximum": self.range.maximum,
            "choices": [str(choice) for choice in self.range.choices],
            "null_allowed": self.range.optional,
            "default": self.default,
            "description": self.range.description,
        }

    def admit(self, value: Any) -> Value:
        """Return the value as this setting's type; raise RangeError if it does not fit.

        A list may also be one word, or words with commas or spaces between them.
        """
        if value is None and self.range.optional:
            return None
        if self.kind is tuple:
            return self._admit_list(value)
        if not self._has_kind(value):
            raise self._refusal("wrong_type", value)
        if not self._lies_within(value):
            raise self._refusal("out_of_range", value)
        return float(value) if self.kind is float else value

    def _admit_list(self, value: Any) -> tuple[str, ...]:
        words = value
        if isinstance(value, str):
            words = _BETWEEN_WORDS.split(value.strip()) if value.strip() else []
        if not isinstance(words, list | tuple) or not all(isinstance(each, str) for each in words):
            raise self._refusal("wrong_type", value)
        if self.range.choices and not set(words) <= set(self.range.choices):
            raise self._refusal("out_of_range", value)
        return tuple(dict.fromkeys(words))

    def _has_kind(self, value: object) -> bool:
        if isinstance(value, bool) or self.kind in (bool, str):  # a bool is an int to Python
            return isinstance(value, bool if self.kind is bool else str)
        return isinstance(value, (int, float) if self.kind is float else int)

    def _lies_within(self, value: Any) -> bool:
        if self.range.choices:
            return value in self.range.choices
        if self.kind in (bool, str):
            return True
        if isinstance(value, float) and not math.isfinite(value):
            return False
        lowest, highest = self.range.minimum, self.range.maximum
        return (lowest is None or value >= lowest) and (highest is None or value <= highest)

    def _refusal(self, code: str, value: object) -> RangeError:
        message = f"{self.name} = {shown(value)} is not allowed; allowed: {self.allowed_text}"
        return RangeError(code, message, self.allowed)


def setting(default: Value, unit: str, description: str, **limits: Any) -> Any:
    """Make a dataclass field that is a row of a table; `limits` as in Range."""
    return field(default=default, metadata={"range": Range(unit, description, **limits)})


def table(cls: type) -> dict[str, Setting]:
    """Return the rows of a dataclass of settings by name."""
    hints = typing.get_type_hints(cls)
    rows: dict[str, Setting] = {}
    for item in fields(cls):
        default: Any = item.default
        rows[item.name] = Setting(
            item.name, _kind(hints[item.name]), default, item.metadata["range"]
        )
    return rows


def _kind(hint: Any) -> Any:
    if typing.get_origin(hint) is tuple:
        return tuple
    if isinstance(hint, types.UnionType):
        (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
    return hint


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return which known name was probably meant, as the end of a sentence."""
    known = sorted(known)
    near = difflib.get_close_matches(name[:_SHOWN_CHARACTERS], known, n=1)
    return f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(known)


def shown(value: object) -> str:
    """Return a value as a message may show it: on one line, and not endless."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
