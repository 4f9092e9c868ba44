"""Drawings of a report as inline SVG: dots with intervals, and piano rolls.

Drawn by hand rather than by a plotting library: the colours are those of the page, so that the
drawings follow its light and dark appearance, and text stays text.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from training.evaluation.metrics.notes import Notes

WIDTH = 760.0
LABEL_WIDTH = 250.0
ROW_HEIGHT = 24.0
ROLL_WIDTH = 1000.0
ROLL_HEIGHT = 150.0
PEDAL_HEIGHT = 6.0
LOUDNESS_STEPS = 4
DESCRIBED = '<svg viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">'


@dataclass(frozen=True, slots=True)
class Mark:
    """A value and, where they are known, the ends of its interval."""

    value: float | None
    low: float | None = None
    high: float | None = None
    series: int = 0  # its colour


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a chart: its name, its marks, and the band in which chance would lie."""

    label: str
    marks: tuple[Mark, ...]
    band: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """The range of an axis, and where its ticks are."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def x(self, value: float) -> float:
        """Return the place of a value, within the picture."""
        share = (value - self.low) / (self.high - self.low)
        return LABEL_WIDTH + min(max(share, 0.0), 1.0) * (WIDTH - LABEL_WIDTH - 20.0)


def dot_chart(
    rows: Sequence[Row],
    name: str,
    series: Sequence[str] = (),
    goal: float | None = None,
    bounds: tuple[float, float] | None = None,
) -> str:
    """Return a chart with a line per row, whose intervals are bars and whose goal is dashed.

    The axis spans `bounds`, or what is drawn. Nothing to draw gives an empty string.
    """
    values = [x for row in rows for x in _values_of(row)] + ([] if goal is None else [goal])
    if not any(mark.value is not None for row in rows for mark in row.marks):
        return ""
    span = _span_of(values, bounds)
    top = 22.0 if series else 4.0
    bottom = top + ROW_HEIGHT * len(rows)
    parts = [DESCRIBED.format(WIDTH, bottom + 34.0, escape(name, quote=True))]
    parts += [
        f'<text class="tick" x="{span.x(tick):.1f}" y="{bottom + 14:g}">{_number(tick)}</text>'
        f'<path class="grid" d="M{span.x(tick):.1f} {top:g}V{bottom:g}"/>'
        for tick in span.ticks
    ]
    if goal is not None:
        parts.append(f'<path class="goal" d="M{span.x(goal):.1f} {top:g}V{bottom:g}"/>')
    for number, row in enumerate(rows):
        parts += _row_parts(row, span, top + ROW_HEIGHT * (number + 0.5))
    x = LABEL_WIDTH
    for number, label in enumerate(series):
        parts.append(f'<circle class="s{number}" cx="{x:g}" cy="10" r="4"/>')
        parts.append(f'<text x="{x + 9:g}" y="14">{escape(label)}</text>')
        x += 40.0 + 7.0 * len(label)
    middle = (LABEL_WIDTH + WIDTH) / 2
    parts.append(f'<text class="tick" x="{middle:g}" y="{bottom + 30:g}">{escape(name)}</text>')
    return "".join([*parts, "</svg>"])


def _values_of(row: Row) -> list[float]:
    found = [x for mark in row.marks for x in (mark.value, mark.low, mark.high)]
    return [x for x in (*found, *(row.band or ())) if x is not None]


def _row_parts(row: Row, span: Span, y: float) -> list[str]:
    parts = [
        f'<text class="label" x="{LABEL_WIDTH - 12:g}" y="{y + 4:g}">{escape(row.label)}</text>'
    ]
    if row.band is not None:
        left, right = span.x(row.band[0]), span.x(row.band[1])
        parts.append(
            f'<rect class="band" x="{left:.1f}" y="{y - 8:g}" '
            f'width="{max(right - left, 1.0):.1f}" height="16"/>'
        )
    for number, mark in enumerate(row.marks):
        if mark.value is None:
            continue
        at = y + 6.0 * (number - (len(row.marks) - 1) / 2)
        if mark.low is not None and mark.high is not None:
            ends = f"M{span.x(mark.low):.1f} {at:g}H{span.x(mark.high):.1f}"
            parts.append(f'<path class="bar s{mark.series}" d="{ends}"/>')
        told = _number(mark.value) + (
            ""
            if mark.low is None or mark.high is None
            else f" ({_number(mark.low)} … {_number(mark.high)})"
        )
        parts.append(
            f'<circle class="s{mark.series}" cx="{span.x(mark.value):.1f}" cy="{at:g}" r="4">'
            f"<title>{escape(row.label)}: {told}</title></circle>"
        )
    return parts


def _span_of(values: Sequence[float], bounds: tuple[float, float] | None) -> Span:
    low, high = bounds or (min(values), max(values))
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    wanted = (high - low) / 5.0
    power = 10.0 ** math.floor(math.log10(wanted))
    step = next(power * factor for factor in (1.0, 2.0, 5.0, 10.0) if power * factor >= wanted)
    if bounds is None:
        low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    first = math.ceil(low / step - 1e-9)
    ticks = [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]
    return Span(low, high, tuple(ticks))


def _number(value: float) -> str:
    return f"{value:.4g}"


@dataclass(frozen=True, slots=True)
class Frame:
    """What all rolls of one comparison share: the pitches and the seconds."""

    lowest: int
    highest: int
    seconds: float

    @classmethod
    def around(cls, parts: Sequence[Notes]) -> "Frame":
        """Return the frame that holds all parts."""
        pitches = [int(pitch) for part in parts for pitch in (part.pitch.min(), part.pitch.max())]
        return cls(min(pitches), max(pitches), max(1.0, *(part.duration_s for part in parts)))


def piano_roll(notes: Notes, frame: Frame, name: str, series: int) -> str:
    """Return notes as lines from key down to key up, louder ones stronger; the pedal lies below."""
    x_scale = ROLL_WIDTH / frame.seconds
    row = (ROLL_HEIGHT - 2 * PEDAL_HEIGHT) / (frame.highest - frame.lowest + 1)
    lines: list[list[str]] = [[] for _ in range(LOUDNESS_STEPS)]
    for onset_s, offset_s, pitch, velocity in zip(
        notes.onset_s, notes.offset_s, notes.pitch, notes.velocity, strict=True
    ):
        x, width = onset_s * x_scale, max((offset_s - onset_s) * x_scale, 1.2)
        y = (frame.highest - pitch + 0.5) * row
        lines[velocity * LOUDNESS_STEPS // 128].append(f"M{x:.1f} {y:.1f}h{width:.1f}")
    parts = [DESCRIBED.format(ROLL_WIDTH, ROLL_HEIGHT, escape(name, quote=True))]
    parts += [
        f'<path class="note s{series}" stroke-width="{max(1.5, row * 0.9):.1f}" '
        f'stroke-opacity="{0.3 + 0.7 * (loudness + 1) / LOUDNESS_STEPS:.2f}" d="{"".join(found)}"/>'
        for loudness, found in enumerate(lines)
        if found
    ]
    down = "".join(
        f"M{begin * x_scale:.1f} {ROLL_HEIGHT - PEDAL_HEIGHT / 2:g}h{(end - begin) * x_scale:.1f}"
        for begin, end in notes.pedal_s
    )
    parts.append(f'<path class="pedal s{series}" stroke-width="{PEDAL_HEIGHT - 3:g}" d="{down}"/>')
    parts += [
        f'<path class="grid" d="M{second * x_scale:.1f} 0V{ROLL_HEIGHT:g}"/>'
        for second in range(10, math.ceil(frame.seconds), 10)
    ]
    return "".join([*parts, "</svg>"])
