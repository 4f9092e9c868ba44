"""Notes as arrays: what every metric of a performance is computed from.

All times are in seconds. Real and generated music take the same way: events to notes, then
`on_grid`, then `sustained` once, so that neither the resolution of the source nor the pedal's
bookkeeping tells them apart.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceivers.errors import PerformerError
from perceivers.events import NoteOn, Pedal, TimedEvent
from perceivers.midi_files import read_performance

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
GRID_S = 0.01  # the step of the vocabulary: no generated note lies between


class TooFewNotes(PerformerError, ValueError):
    """A performance holds fewer notes than what is asked of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Notes:
    """The notes of a performance, in order of onset; of one onset, the lower pitch first."""

    onset_s: Floats  # (N,)
    offset_s: Floats  # (N,), never before the onset
    pitch: Ints  # (N,), 0-127
    velocity: Ints  # (N,), 1-127
    pedal_s: Floats  # (P, 2): when the pedal goes down and comes up, in order, not overlapping
    duration_s: float  # from time 0 to the end of what was heard, silence included

    def __post_init__(self) -> None:
        sizes = {len(self.onset_s), len(self.offset_s), len(self.pitch), len(self.velocity)}
        if len(sizes) > 1:
            raise ValueError(f"arrays of notes differ in length: {sorted(sizes)}")
        if self.pedal_s.ndim != 2 or self.pedal_s.shape[1] != 2:
            raise ValueError(f"pedal intervals of shape {self.pedal_s.shape}, needed: (P, 2)")
        if np.any(np.diff(self.onset_s) < 0):
            raise ValueError("notes are not in order of onset")
        if np.any(self.offset_s < self.onset_s) or np.any(self.pedal_s[:, 1] < self.pedal_s[:, 0]):
            raise ValueError("a note or the pedal ends before it begins")
        if np.any(self.pedal_s[1:, 0] < self.pedal_s[:-1, 1]):
            raise ValueError("pedal intervals overlap or are not in order")

    def __len__(self) -> int:
        return len(self.onset_s)


def make_notes(
    rows: Iterable[tuple[float, float, int, int]],
    pedal_s: Iterable[tuple[float, float]] = (),
    duration_s: float | None = None,
) -> Notes:
    """Sort rows of (onset_s, offset_s, pitch, velocity) into arrays.

    Without `duration_s` the performance lasts until the last note or the pedal ends.
    """
    table = np.array([*rows], dtype=np.float64).reshape(-1, 4)
    pedals = np.array(sorted(pedal_s), dtype=np.float64).reshape(-1, 2)
    if duration_s is None:
        duration_s = float(max([0.0, *table[:, 1], *pedals[:, 1]]))
    return _sorted(
        table[:, 0],
        table[:, 1],
        table[:, 2].astype(np.int64),
        table[:, 3].astype(np.int64),
        pedals,
        duration_s,
    )


def notes_of(events: Iterable[TimedEvent]) -> Notes:
    """Return the notes of events in order of time; a note lasts as long as its key is down.

    A key struck again while it is down ends its first note; a release of a silent key is read over;
    what is still down at the end lasts until the last event.
    """
    rows: list[tuple[float, float, int, int]] = []
    pedals: list[tuple[float, float]] = []
    struck: dict[int, tuple[float, int]] = {}
    down_s: float | None = None
    end_s = 0.0
    for time_s, event in events:
        end_s = time_s
        if isinstance(event, Pedal):
            if event.down and down_s is None:
                down_s = time_s
            elif not event.down and down_s is not None:
                pedals.append((down_s, time_s))
                down_s = None
            continue
        if event.pitch in struck:
            onset_s, velocity = struck.pop(event.pitch)
            rows.append((onset_s, time_s, event.pitch, velocity))
        if isinstance(event, NoteOn):
            struck[event.pitch] = (time_s, event.velocity)
    rows += [(onset_s, end_s, pitch, velocity) for pitch, (onset_s, velocity) in struck.items()]
    if down_s is not None:
        pedals.append((down_s, end_s))
    return make_notes(rows, pedals, end_s)


def read_notes(path: Path) -> Notes:
    """Read a MIDI file, in seconds from its first event.

    Raises MidiFileError when it cannot be read, TooFewNotes when it holds no notes.
    """
    events = read_performance(path)
    start_s = events[0].time_s if events else 0.0
    notes = notes_of(TimedEvent(time_s - start_s, event) for time_s, event in events)
    if not len(notes):
        raise TooFewNotes(f"{path}: holds no notes")
    return notes


def sustained(notes: Notes) -> Notes:
    """Let the pedal hold the notes: an end under the pedal moves to where the pedal comes up.

    A string that is struck again ends its note there; a key that comes up at the very moment when
    the pedal goes down is not held. Doing it twice changes nothing.
    """
    if not len(notes.pedal_s):
        return notes
    last = np.searchsorted(notes.pedal_s[:, 0], notes.offset_s, side="left") - 1
    up_s = np.where(last >= 0, notes.pedal_s[last, 1], -np.inf)
    next_s = np.full(len(notes), np.inf)
    for pitch in np.unique(notes.pitch):
        same = np.flatnonzero(notes.pitch == pitch)
        next_s[same[:-1]] = notes.onset_s[same[1:]]
    return replace(notes, offset_s=np.minimum(np.maximum(notes.offset_s, up_s), next_s))


def on_grid(notes: Notes, step_s: float = GRID_S) -> Notes:
    """Round every time to the grid on which the model plays; absolutely, so that nothing drifts.

    The duration stays as it is.
    """
    return _sorted(
        np.round(notes.onset_s / step_s) * step_s,
        np.round(notes.offset_s / step_s) * step_s,
        notes.pitch,
        notes.velocity,
        np.round(notes.pedal_s / step_s) * step_s,
        notes.duration_s,
    )


def excerpt(notes: Notes, start_s: float, end_s: float) -> Notes:
    """Return the notes that begin in [start_s, end_s), with time 0 at `start_s`.

    Ends and pedal are cut at `end_s`, and the excerpt lasts `end_s - start_s`, also where it is
    silent.
    """
    if not end_s > start_s:
        raise ValueError(f"an excerpt must end after it begins, not {start_s} to {end_s} s")
    inside = (notes.onset_s >= start_s) & (notes.onset_s < end_s)
    return Notes(
        notes.onset_s[inside] - start_s,
        np.minimum(notes.offset_s[inside], end_s) - start_s,
        notes.pitch[inside],
        notes.velocity[inside],
        _pedal_between(notes, start_s, end_s),
        end_s - start_s,
    )


def first_notes(notes: Notes, count: int) -> Notes:
    """Return the first `count` notes, with time 0 at the first onset.

    They last until the note after them begins, or until the performance ends. Raises TooFewNotes
    when there are fewer.
    """
    if len(notes) < count:
        raise TooFewNotes(f"{len(notes)} notes where {count} are needed")
    return _successive(notes, 0, count)


def windows(notes: Notes, count: int) -> list[Notes]:
    """Cut a performance into excerpts of `count` notes, one after the other; the rest is left."""
    return [_successive(notes, i, count) for i in range(0, len(notes) - count + 1, count)]


def _successive(notes: Notes, first: int, count: int) -> Notes:
    if count < 1:
        raise ValueError(f"an excerpt needs at least one note, not {count}")
    chosen = slice(first, first + count)
    onset_s = notes.onset_s[chosen]
    beyond = notes.onset_s[first + count : first + count + 1]
    start_s = float(onset_s[0])
    end_s = max(float(beyond[0]) if len(beyond) else notes.duration_s, float(onset_s[-1]))
    return Notes(
        onset_s - start_s,
        np.minimum(notes.offset_s[chosen], end_s) - start_s,
        notes.pitch[chosen],
        notes.velocity[chosen],
        _pedal_between(notes, start_s, end_s),
        end_s - start_s,
    )


def _pedal_between(notes: Notes, start_s: float, end_s: float) -> Floats:
    """Return the pedal intervals within [start_s, end_s], with time 0 at `start_s`."""
    pedal_s = np.clip(notes.pedal_s, start_s, end_s) - start_s
    return np.asarray(pedal_s[pedal_s[:, 1] > pedal_s[:, 0]])


def _sorted(
    onset_s: Floats,
    offset_s: Floats,
    pitch: Ints,
    velocity: Ints,
    pedal_s: Floats,
    duration_s: float,
) -> Notes:
    order = np.lexsort((offset_s, pitch, onset_s))
    return Notes(
        onset_s[order], offset_s[order], pitch[order], velocity[order], pedal_s, duration_s
    )
