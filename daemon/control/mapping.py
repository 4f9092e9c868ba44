"""What controllers and keys of the player's device do: turn a parameter, or give a command.

Learnt while it plays: whatever moves next after `learn` is taken, and is no music from then on.
Pure: what moved comes in, what is to happen goes out.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from daemon.control.commands import COMMANDS, Curve, Result
from daemon.control.requests import Code, CommandError
from daemon.messages.turns import Adjust, Commanded, Control, ControlKind
from daemon.parameters import TABLE, Parameters
from perceivers.errors import SettingsError
from perceivers.events import PEDAL_DOWN_FROM, PedalSwitch
from perceivers.midi_numbers import HIGHEST_VALUE
from perceivers.ranges import Setting, Value, shown, suggestion

_DECIMALS = 4
GIVEN = {
    command.name: command.becomes
    for command in COMMANDS.values()
    if command.becomes is not None and command.at_least == 0 and command.name != "shutdown"
}
"""The commands that a key can give: those that need no argument, but for the end of the daemon."""
TURNED = {
    name: row
    for name, row in TABLE.items()
    if row.kind in (bool, int, float) or (row.kind is str and row.range.choices)
}
"""The parameters that a controller can turn: no lists and no free text."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one control does. Raises CommandError for what cannot be."""

    control: ControlKind
    number: int
    target: str
    lowest: float | None = None  # at the beginning of its way; None: of the parameter
    highest: float | None = None  # at the end; below `lowest` it turns the other way round
    curve: str = Curve.EVEN.value

    def __post_init__(self) -> None:
        """Refuse a target that is none, and a range that it does not have."""
        if self.target in GIVEN:
            if self.lowest is not None or self.highest is not None:
                raise _refused("lowest", f"{self.target} is a command; it has no range")
            return
        if self.target not in TURNED:
            known = [*TURNED, *GIVEN]
            is_list = self.target in TABLE
            why = "is a list or a text, which nothing turns" if is_list else "is nothing to learn"
            message = f"target = {shown(self.target)} {why}; {suggestion(self.target, known)}"
            raise CommandError(Code.UNKNOWN_FIELD, message, field="target", allowed=[*known])
        self._check_range(TURNED[self.target])

    def _check_range(self, row: Setting) -> None:
        if row.kind not in (int, float):
            if self.lowest is not None or self.highest is not None:
                raise _refused("lowest", f"{self.target} has no range; leave both out")
            return
        for name, value in (("lowest", self.lowest), ("highest", self.highest)):
            if value is not None and not _least(row) <= value <= _most(row):
                message = f"{name} = {value:g} is not in the range of {self.target}"
                raise CommandError(
                    Code.OUT_OF_RANGE, message, field=name, allowed=[_least(row), _most(row)]
                )
        low, high = self.ends(row)
        if low == high:
            raise _refused("highest", f"lowest and highest are both {low:g}; nothing would turn")
        if self.curve == Curve.BY_RATIO and min(low, high) <= 0:
            raise _refused("curve", "by_ratio needs lowest and highest above 0; give them, or even")

    @property
    def moved_by(self) -> Control:
        """The control."""
        return Control(self.control, self.number)

    def ends(self, row: Setting) -> tuple[float, float]:
        """Return the values at both ends of its way."""
        low = _least(row) if self.lowest is None else self.lowest
        high = _most(row) if self.highest is None else self.highest
        return low, high

    def value_at(self, place: int) -> Value:
        """Return the value of the parameter at a place of its way, 0 to 127."""
        row, share = TURNED[self.target], place / HIGHEST_VALUE
        if row.kind is bool:
            return place >= PEDAL_DOWN_FROM
        if row.kind is str:
            choices = row.range.choices
            return str(choices[min(len(choices) - 1, int(share * len(choices)))])
        low, high = self.ends(row)
        value = low * (high / low) ** share if self.curve == Curve.BY_RATIO else (
            low + (high - low) * share
        )  # fmt: skip
        return round(value) if row.kind is int else round(value, _DECIMALS)

    def place_of(self, value: float | str) -> int:
        """Return the place of its way, 0 to 127, at which the parameter has a value."""
        row = TURNED[self.target]
        if row.kind is bool:
            return HIGHEST_VALUE if value else 0
        if row.kind is str:
            choices = [str(choice) for choice in row.range.choices]
            return round(HIGHEST_VALUE * (choices.index(str(value)) + 0.5) / len(choices))
        low, high = self.ends(row)
        number = min(max(float(value), min(low, high)), max(low, high))
        share = (number - low) / (high - low)
        if self.curve == Curve.BY_RATIO:
            share = math.log(number / low) / math.log(high / low)
        return round(HIGHEST_VALUE * share)


def _least(row: Setting) -> float:
    return 0.0 if row.range.minimum is None else row.range.minimum


def _most(row: Setting) -> float:
    return float(HIGHEST_VALUE) if row.range.maximum is None else row.range.maximum


def _refused(name: str, message: str) -> CommandError:
    return CommandError(Code.OUT_OF_RANGE, message, field=name)


@dataclass(slots=True)
class Mappings:
    """All assignments, and what is being learnt."""

    assignments: list[Assignment] = field(default_factory=list)
    learning: Assignment | None = None  # its control is the next that moves
    _switches: dict[Control, PedalSwitch] = field(default_factory=dict)

    @property
    def controls(self) -> frozenset[Control]:
        """The controls that do something, and are no music."""
        return frozenset(each.moved_by for each in self.assignments)

    def learn(self, values: Mapping[str, Any]) -> None:
        """Let the next control that moves do this. Raises CommandError for what cannot be."""
        self.learning = Assignment(ControlKind.CONTROLLER, 0, **values)

    def unlearn(self, target: str | None) -> None:
        """Let nothing do this any more; without a target, let no control do anything."""
        if target is None:
            self.assignments.clear()
            self.learning = None
            return
        kept = [each for each in self.assignments if each.target != target]
        is_learning = self.learning is not None and self.learning.target == target
        if len(kept) == len(self.assignments) and not is_learning:
            known = sorted({each.target for each in self.assignments})
            told = suggestion(target, known) if known else "nothing is learnt"
            raise CommandError(
                Code.UNKNOWN_FIELD, f"nothing does {shown(target)}; {told}", field="target"
            )
        self.assignments = kept
        self.learning = None if is_learning else self.learning

    def take(self, control: Control) -> bool:
        """Let a control that has moved do what is being learnt; tell whether anything is."""
        if self.learning is None:
            return False
        learnt = replace(self.learning, control=control.kind, number=control.number)
        others = [
            each
            for each in self.assignments
            if each.moved_by != control or each.target != learnt.target
        ]
        self.assignments = [*others, learnt]
        self.learning = None
        return True

    def moved(self, control: Control, place: int, parameters: Parameters) -> list[Commanded]:
        """Return what is to happen as a control has moved to a place, 0 to 127."""
        done: list[Commanded] = []
        is_pressed = self._is_pressed(control, place)
        for each in self.assignments:
            if each.moved_by != control:
                continue
            if each.target in TURNED:
                value = each.value_at(place)
                if value != getattr(parameters, each.target):
                    done.append(Adjust({each.target: value}))
            elif is_pressed:
                done.append(GIVEN[each.target]())
        return done

    def _is_pressed(self, control: Control, place: int) -> bool:
        if control.kind is ControlKind.KEY:
            return place > 0
        moved = self._switches.setdefault(control, PedalSwitch()).feed(place)
        return moved is not None and moved.down

    def described(self) -> Result:
        """Describe all as JSON."""
        return {
            "mappings": [asdict(each) for each in self.assignments],
            "learning": None if self.learning is None else self.learning.target,
        }


def mappings_of(rows: Iterable[Mapping[str, Any]]) -> Mappings:
    """Return the mappings that `described` told. Raises SettingsError for what it did not."""
    assignments = []
    for row in rows:
        try:
            kind = ControlKind(row["control"])
            number = row["number"]
            if not isinstance(number, int) or not 0 <= number <= HIGHEST_VALUE:
                raise ValueError(f"number = {shown(number)} is not allowed; 0 to {HIGHEST_VALUE}")
            Curve(row.get("curve", Curve.EVEN))
            told = {name: value for name, value in row.items() if name not in ("control", "number")}
            assignments.append(Assignment(kind, number, **told))
        except (CommandError, KeyError, TypeError, ValueError) as error:
            raise SettingsError(f"{shown(row)}: {error}") from error
    return Mappings(assignments)
