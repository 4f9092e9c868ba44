"""A picture of a performance: piano roll and pedal, each part in its own colour."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba

from perceivers.atomic import atomic_path
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent

COLOURS = ("#1f5fa8", "#d1495b", "#3a7d44")
INCHES_PER_SECOND = 0.22
WIDEST_INCHES = 60.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time: a note, or the pedal held down."""

    start_s: float
    end_s: float
    pitch: int
    velocity: int


def note_bars(events: Sequence[TimedEvent]) -> list[Bar]:
    """Return a bar for each note; a note that is never released ends with the last event."""
    bars = []
    sounding: dict[int, tuple[float, int]] = {}

    def close(pitch: int, end_s: float) -> None:
        start_s, velocity = sounding.pop(pitch)
        bars.append(Bar(start_s, end_s, pitch, velocity))

    for time_s, event in events:
        match event:
            case NoteOn(pitch=pitch, velocity=velocity):
                if pitch in sounding:
                    close(pitch, time_s)
                sounding[pitch] = (time_s, velocity)
            case NoteOff(pitch=pitch) if pitch in sounding:
                close(pitch, time_s)
    for pitch in sorted(sounding):
        close(pitch, events[-1].time_s)
    return bars


def pedal_bars(events: Sequence[TimedEvent], row: int) -> list[Bar]:
    """Return a bar for each stretch with the pedal down, drawn at height `row`."""
    bars = []
    since_s: float | None = None
    for time_s, event in events:
        if isinstance(event, Pedal) and event.down and since_s is None:
            since_s = time_s
        elif isinstance(event, Pedal) and not event.down and since_s is not None:
            bars.append(Bar(since_s, time_s, row, 127))
            since_s = None
    if since_s is not None:
        bars.append(Bar(since_s, events[-1].time_s, row, 127))
    return bars


def draw_piano_roll(
    path: Path, parts: Sequence[tuple[str, Sequence[TimedEvent]]], from_s: float = 0.0
) -> None:
    """Draw named parts to a PNG, atomically; louder notes are darker, the pedal lies below.

    What ends before `from_s` is left out of the picture.
    """
    end_s = max((events[-1].time_s for _, events in parts if events), default=1.0)
    width = min(WIDEST_INCHES, max(9.0, (end_s - from_s) * INCHES_PER_SECOND))
    figure, axes = pyplot.subplots(figsize=(width, 5.0))
    bars_of = [[bar for bar in note_bars(events) if bar.end_s >= from_s] for _, events in parts]
    pitches = [bar.pitch for bars in bars_of for bar in bars] or [60]
    for number, ((name, events), bars) in enumerate(zip(parts, bars_of, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        pedals = pedal_bars(events, min(pitches) - 3 - 2 * number)
        for kind, height in ((bars, 0.9), (pedals, 0.5)):
            axes.add_collection(_rectangles(kind, colour, height))
        axes.plot([], [], color=colour, lw=6, label=f"{name} ({len(bars)} notes)")
    axes.set(xlim=(from_s, end_s), ylim=(min(pitches) - 4 - 2 * len(parts), max(pitches) + 3))
    axes.set(xlabel="seconds", ylabel="pitch (MIDI); bars at the bottom: pedal")
    axes.legend(loc="upper left")
    axes.grid(alpha=0.2)
    with atomic_path(path) as partial:
        figure.savefig(partial, dpi=110, bbox_inches="tight")
    pyplot.close(figure)


def _rectangles(bars: Sequence[Bar], colour: str, height: float) -> PolyCollection:
    corners = [
        [
            (bar.start_s, bar.pitch - height / 2),
            (bar.end_s, bar.pitch - height / 2),
            (bar.end_s, bar.pitch + height / 2),
            (bar.start_s, bar.pitch + height / 2),
        ]
        for bar in bars
    ]
    colours = [to_rgba(colour, 0.35 + 0.65 * bar.velocity / 127) for bar in bars]
    return PolyCollection(corners, facecolors=colours, edgecolors="none")
