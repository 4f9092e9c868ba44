"""What the player plays: the opening of a performance that no shipped model was trained on."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from perceivers.events import NoteOff, NoteOn, TimedEvent
from perceivers.midi_files import Track, read_performance, write_performance

STARTER_SET = Path(__file__).resolve().parents[2] / "training" / "starter"
UNSEEN = STARTER_SET / "asap" / "Bach" / "Prelude" / "bwv_858" / "VuV01M.mid"  # split: test
_GAP_S = 0.02  # between two strokes of one key


class Key(NamedTuple):
    """A key and how long it is held."""

    start_s: float
    pitch: int
    length_s: float


def opening(seconds: float, path: Path = UNSEEN) -> list[Key]:
    """Return the keys of the first seconds, from the first note on; all are released by then."""
    keys: list[Key] = []
    down: dict[int, float] = {}
    events = read_performance(path)
    first_s = next(timed.time_s for timed in events if isinstance(timed.event, NoteOn))
    for time_s, event in events:
        now_s = min(time_s - first_s, seconds)
        if isinstance(event, NoteOn | NoteOff) and event.pitch in down:
            start_s = down.pop(event.pitch)
            keys.append(Key(start_s, event.pitch, max(_GAP_S, now_s - start_s - _GAP_S)))
        if isinstance(event, NoteOn) and now_s < seconds - _GAP_S:
            down[event.pitch] = now_s
    return sorted(keys)


def write_midi_file(path: Path, keys: Sequence[Key], velocity: int = 64) -> None:
    """Write keys as a MIDI file of one track, on the first channel."""
    strokes = [TimedEvent(key.start_s, NoteOn(key.pitch, velocity)) for key in keys]
    releases = [TimedEvent(key.start_s + key.length_s, NoteOff(key.pitch)) for key in keys]
    events = sorted(strokes + releases, key=lambda timed: timed.time_s)
    write_performance(path, [Track("player", 0, tuple(events))])
