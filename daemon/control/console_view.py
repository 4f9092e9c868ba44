"""What a terminal shows of a running Performer, as lines of text. Pure: events in, lines out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from daemon.parameters import TABLE, Parameters, with_changes
from perceivers.errors import SettingsError
from perceivers.ranges import Setting, Value

PARTS = ("player", "performer")

_BASS, _TREBLE = 21, 108  # those of a piano
_LABEL = 10  # columns
_PRESSES = 30  # from one end of a range to the other
_BLACK = {1, 3, 6, 8, 10}
_FULL_LEAD_MS, _FULL_STEP_MS = 500.0, 20.0


@dataclass(slots=True)
class View:
    """What is known of the Performer."""

    state: str = "not heard of yet"
    reason: str = ""
    told: str = ""  # the last thing that went wrong, or how the last turn went
    parameters: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    down: dict[str, set[int]] = field(default_factory=lambda: {part: set() for part in PARTS})
    pedal: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(PARTS, False))

    def take(self, topic: str, event: Mapping[str, Any]) -> None:
        """Take in an event."""
        match topic:
            case "state":
                self.state, self.reason = event["state"], event["reason"]
            case "note":
                self._play(event)
            case "parameters":
                self.parameters |= event["parameters"]
            case "metrics":
                self.metrics = dict(event)
                self.state = event["state"]
            case "turn":
                first = event["first_note_ms"]
                after = "" if first is None else f", the first after {first:.0f} ms"
                self.told = (
                    f"turn {event['turn']}: {event['notes']} notes{after} ({event['reason']})"
                )

    def _play(self, event: Mapping[str, Any]) -> None:
        part = event["by"]
        match event["event"]:
            case "note_on":
                self.down[part].add(event["pitch"])
            case "note_off":
                self.down[part].discard(event["pitch"])
            case "pedal":
                self.pedal[part] = event["down"]

    def answered(self, result: Mapping[str, Any]) -> None:
        """Take in the answer to a command."""
        self.parameters |= result.get("parameters", {})
        self.state = result.get("state", self.state)

    def tell(self, message: str) -> None:
        """Show a message until the next."""
        self.told = message

    def state_line(self) -> str:
        """Return what the Performer is doing."""
        pedals = "".join(f"  {part}'s pedal" for part in PARTS if self.pedal[part])
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.state.replace('_', ' ').upper()}{why}{pedals}"

    def parameter_line(self, name: str) -> str:
        """Return a parameter with its value, a bar and what it is."""
        row = TABLE[name]
        value = self.parameters.get(name)
        shown = " ".join(value) if isinstance(value, list) else str(value)
        return f"{name:<18} {shown:<11.11} {_bar(row, value, 10)} {row.range.description}"


def part_line(part: str, down: set[int], width: int) -> str:
    """Return the keyboard of one part, what is down standing out; keys may share a column."""
    columns = min(max(1, width - _LABEL), _TREBLE - _BASS + 1)
    keys = range(_BASS, _TREBLE + 1)
    line = ["·"] * columns
    for key in keys:
        column = _column(key, columns)
        if key % 12 in _BLACK and line[column] == "·":
            line[column] = " "
    for key in down:
        line[_column(key, columns)] = "█"
    return f"{part:<{_LABEL}}{''.join(line)}"


def _column(key: int, columns: int) -> int:
    within = min(max(key, _BASS), _TREBLE) - _BASS
    return within * columns // (_TREBLE - _BASS + 1)


def meter_line(view: View, width: int) -> str:
    """Return how the machine does, in two lines."""
    found = view.metrics
    bar = max(4, (width - 50) // 2)
    lead, step = found.get("lead_ms"), found.get("step_ms")
    counts = found.get("counts", {})
    lost = sum(count for name, count in counts.items() if name.startswith("output_"))
    return (
        f"lead {_meter(lead, _FULL_LEAD_MS, bar)} {_ms(lead):>8}   "
        f"step {_meter(step, _FULL_STEP_MS, bar)} {_ms(step):>8}\n"
        f"{found.get('context_tokens') or 0:,} tokens, {found.get('lag_tokens') or 0} unread,"
        f" sent {_ms(found.get('send_late_ms_p99'))} late (p99), {lost} not sent"
    )


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} ms"


def _meter(value: float | None, full: float, width: int) -> str:
    share = 0.0 if value is None else min(1.0, max(0.0, value / full))
    filled = round(share * width)
    return "━" * filled + "─" * (width - filled)


def _bar(row: Setting, value: Any, width: int) -> str:
    lowest, highest = row.range.minimum, row.range.maximum
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if lowest is None or highest is None or not is_number:
        return " " * width
    return _meter(float(value) - lowest, highest - lowest, width)


def stepped(row: Setting, value: Any, direction: int) -> Value:
    """Return the next value of a parameter, up (1) or down (-1)."""
    if row.range.choices and row.kind is tuple:
        return _next_choice(row, value, direction)
    if row.range.choices:
        choices = [*row.range.choices]
        return choices[(choices.index(value) + direction) % len(choices)]
    lowest, highest = row.range.minimum, row.range.maximum
    if lowest is None or highest is None:
        return row.default
    if value is None:  # off: from there into the range
        return _typed(row, lowest if direction > 0 else highest)
    step = max(1.0, round((highest - lowest) / _PRESSES)) if row.kind is int else _step(row, value)
    changed = value + direction * step
    if row.range.optional and not lowest <= changed <= highest:
        return None  # beyond either end it is off
    return _typed(row, min(max(changed, lowest), highest))


def _step(row: Setting, value: float) -> float:
    """Return a step of two digits at most, finer where values are small."""
    assert row.range.minimum is not None
    assert row.range.maximum is not None
    whole = (row.range.maximum - row.range.minimum) / _PRESSES
    steps = (10.0, 1.0, 0.5, 0.1, 0.05)
    return next((step for step in steps if step <= whole and value >= step), 0.01)


def _typed(row: Setting, value: float) -> Value:
    return int(value) if row.kind is int else round(float(value), 4)


def _is_allowed(name: str, choice: str) -> bool:
    """Tell whether a choice means something by itself; a mode without a note does not."""
    try:
        with_changes(Parameters(), {name: (choice,)})
    except SettingsError:
        return False
    return True


def _next_choice(row: Setting, value: Any, direction: int) -> Value:
    """Return the next of: nothing, each choice alone."""
    alone = [(), *((choice,) for choice in row.range.choices if _is_allowed(row.name, choice))]
    present = tuple(value or ())
    index = alone.index(present) if present in alone else 0
    return alone[(index + direction) % len(alone)]
