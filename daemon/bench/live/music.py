"""Real performances as material for measurements: a long past, and passages of any density."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from perceivers.encoder import StreamEncoder
from perceivers.errors import MidiFileError
from perceivers.events import Event, NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import read_performance

Performance = Sequence[TimedEvent]

MUSIC = Path(__file__).resolve().parents[3] / "training" / "starter"
HOP_NOTES = 16  # between the places where a passage is looked for


@dataclass(frozen=True, slots=True)
class Passage:
    """A cut from a performance: its first note is at second 0, and every key is up at the end."""

    notes_per_s: float
    duration_s: float
    events: tuple[TimedEvent, ...]

    def tokens(self) -> list[int]:
        """Return the passage as the model reads it, without opening and end."""
        encoder = StreamEncoder()
        return [token for event in self.events for token in encoder.feed(event)]


def performances_in(folder: Path = MUSIC) -> Iterator[list[TimedEvent]]:
    """Yield every performance in a folder, in order of their paths. Raises MidiFileError."""
    paths = sorted(folder.rglob("*.mid"))
    if not paths:
        raise MidiFileError(f"{folder}: holds no MIDI files; name a folder of performances")
    yield from map(read_performance, paths)


def past_of(performances: Iterable[Performance], tokens: int) -> list[TimedEvent]:
    """Return music of at least so many tokens, with every key up at its end.

    Raises ValueError where there is too little music.
    """
    encoder = StreamEncoder()
    heard: list[TimedEvent] = []
    count = 0
    for event in _in_a_row(performances):
        if count >= tokens:
            break
        count += len(encoder.feed(event))
        heard.append(event)
    if count < tokens:
        raise ValueError(f"the music has {count} tokens, {tokens} are wanted; give more of it")
    return _closed(heard)


def _in_a_row(performances: Iterable[Performance]) -> Iterator[TimedEvent]:
    start_s = 0.0
    for performance in performances:
        if not performance:
            continue
        for time_s, event in _closed(performance):
            yield TimedEvent(start_s + time_s, event)
        start_s += performance[-1].time_s + 1.0


def _closed(events: Sequence[TimedEvent]) -> list[TimedEvent]:
    """Return events and, at the moment of the last, what lets go of everything."""
    if not events:
        return []
    sounding: set[int] = set()
    pedal_down = False
    for _, event in events:
        match event:
            case NoteOn(pitch=pitch):
                sounding.add(pitch)
            case NoteOff(pitch=pitch):
                sounding.discard(pitch)
            case Pedal(down=down):
                pedal_down = down
    last: list[Event] = [NoteOff(pitch) for pitch in sorted(sounding)]
    last += [Pedal(False)] if pedal_down else []
    return [*events, *(TimedEvent(events[-1].time_s, event) for event in last)]


def densest(performances: Sequence[Performance], window_s: float) -> tuple[float, Passage]:
    """Return the most notes per second that any `window_s` hold, and the passage around it.

    The passage begins a window before and ends one after. Raises ValueError without notes.
    """
    notes, start_s, place = 0, 0.0, 0
    for number, performance in enumerate(performances):
        onsets = _onsets(performance)
        for index, onset_s in enumerate(onsets):
            count = bisect_left(onsets, onset_s + window_s) - index
            if count > notes:
                notes, start_s, place = count, onset_s, number
    if not notes:
        raise ValueError("the music has no notes; give other performances")
    cut = _cut(performances[place], start_s - window_s, start_s + 2 * window_s, 1.0)
    return notes / window_s, cut


def passage(performances: Sequence[Performance], notes_per_s: float, duration_s: float) -> Passage:
    """Return real music of this density: what comes nearest by itself, brought to it in time.

    Raises ValueError where no performance has as many notes.
    """
    count = round(notes_per_s * duration_s)
    nearest: tuple[float, float, float, int] | None = None  # off by, start, stop, performance
    for number, performance in enumerate(performances):
        onsets = _onsets(performance)
        for start_s, stop_s in zip(onsets[::HOP_NOTES], onsets[count::HOP_NOTES], strict=False):
            off = abs(math.log(max(stop_s - start_s, 0.01) / duration_s))
            nearest = min(nearest or (math.inf, 0.0, 0.0, 0), (off, start_s, stop_s, number))
    if nearest is None:
        raise ValueError(f"no performance has {count} notes; ask for less, or give others")
    _, start_s, stop_s, number = nearest
    return _cut(performances[number], start_s, stop_s, duration_s / (stop_s - start_s))


def _onsets(performance: Performance) -> list[float]:
    return [time_s for time_s, event in performance if isinstance(event, NoteOn)]


def _cut(performance: Performance, start_s: float, stop_s: float, stretch: float) -> Passage:
    """Cut from the first note-on at or after `start_s`, and change the pace of it."""
    within = [event for event in performance if start_s <= event.time_s < stop_s]
    onsets = _onsets(within)
    events = [event for event in within if event.time_s >= onsets[0]]
    first = next(place for place, event in enumerate(events) if isinstance(event.event, NoteOn))
    stretched = [
        TimedEvent((time_s - onsets[0]) * stretch, event) for time_s, event in events[first:]
    ]
    duration_s = (stop_s - max(start_s, onsets[0])) * stretch
    return Passage(len(onsets) / duration_s, duration_s, tuple(_closed(stretched)))
