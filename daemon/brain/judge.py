"""Which of several ways on sounds most like the player: a likelihood under what the player played.

A passage is cut into windows of some seconds, and a few plain numbers are told of each: how many
notes, where, how long, how loud, how many together, how much pedal. The player's own windows say
what is usual and how much it varies; a candidate is worth as much as its windows are likely there.
Pure functions: events in, a number out.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from daemon.brain.candidates import Score
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent

Floats = npt.NDArray[np.float64]

WINDOW_S = 2.0
SHORTEST_WINDOW_S = 0.5
HOP_S = 0.5
HEARD_S = 60.0  # of the player, the last minute
FEWEST_WINDOWS = 4  # fewer say nothing of what is usual
TOGETHER_S = 0.03  # notes that begin so near to each other are one chord
SHORTEST_S = 0.02  # below, a length is not told from others
MOST_DEVIATIONS = 3.0  # what is rarer than this counts as just as rare
UNTOLD = 1.0  # deviations, of a number that cannot be told

# How much each number varies between the windows of a performance, in general: it counts as much as
# PRIOR_WINDOWS of the player's own, which may be few and all alike.
USUAL = np.array([0.6, 7.0, 4.0, 0.7, 0.25, 9.0, 5.0, 0.35, 0.35, 0.6])
PRIOR_WINDOWS = 6.0


@dataclass(frozen=True, slots=True)
class Note:
    """A key from its stroke to its release; one that never comes up ends at infinity."""

    start_s: float
    end_s: float
    pitch: int
    velocity: int


@dataclass(frozen=True, slots=True)
class Passage:
    """Notes in the order of their strokes, and every change of the pedal."""

    notes: tuple[Note, ...]
    pedal: tuple[tuple[float, bool], ...]


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual for somebody: mean and deviation of each number of a window."""

    mean: Floats
    deviation: Floats


def passage_of(events: Sequence[TimedEvent]) -> Passage:
    """Return what events, in order of time, sound like."""
    down: dict[int, tuple[float, int]] = {}
    notes, pedal = [], []
    for time_s, event in events:
        if isinstance(event, NoteOn):
            down[event.pitch] = time_s, event.velocity
        elif isinstance(event, NoteOff) and event.pitch in down:
            start_s, velocity = down.pop(event.pitch)
            notes.append(Note(start_s, time_s, event.pitch, velocity))
        elif isinstance(event, Pedal):
            pedal.append((time_s, event.down))
    notes += [
        Note(start_s, math.inf, pitch, velocity) for pitch, (start_s, velocity) in down.items()
    ]
    notes.sort(key=lambda note: (note.start_s, note.pitch))
    return Passage(tuple(notes), tuple(pedal))


def numbers_of(passage: Passage, start_s: float, end_s: float) -> Floats:
    """Tell a window in numbers; what lies behind its end is not known yet. NaN: it cannot be told.

    Notes a second (log), mean and spread of pitch, mean length of what was struck (log), share of
    notes shorter than 80 ms, mean and spread of velocity, notes in a chord (log), share of pedal,
    and how long the key is down that is down for longest (log).
    """
    struck = [note for note in passage.notes if start_s <= note.start_s < end_s]
    found = np.full(len(USUAL), np.nan)
    found[0] = math.log((len(struck) + 0.5) / (end_s - start_s))
    found[8] = _pedal_share(passage.pedal, start_s, end_s)
    sounding = [note for note in passage.notes if note.start_s < end_s and note.end_s > start_s]
    if sounding:
        longest_s = max(min(note.end_s, end_s) - note.start_s for note in sounding)
        found[9] = math.log(max(longest_s, SHORTEST_S))
    if not struck:
        return found
    pitches = np.array([note.pitch for note in struck], np.float64)
    velocities = np.array([note.velocity for note in struck], np.float64)
    starts_s = np.array([note.start_s for note in struck])
    lengths_s = np.array([min(note.end_s, end_s) - note.start_s for note in struck])
    chords = 1 + np.count_nonzero(np.diff(starts_s) > TOGETHER_S)
    found[1:8] = (
        pitches.mean(),
        pitches.std() if len(struck) > 1 else np.nan,
        np.log(np.maximum(lengths_s, SHORTEST_S)).mean(),
        np.count_nonzero(lengths_s < 0.08) / len(struck),
        velocities.mean(),
        velocities.std() if len(struck) > 1 else np.nan,
        math.log(len(struck) / chords),
    )
    return found


def _pedal_share(pedal: Sequence[tuple[float, bool]], start_s: float, end_s: float) -> float:
    """Return the share of a window with the pedal down."""
    share_s, since_s, is_down = 0.0, start_s, False
    for time_s, down in pedal:
        within_s = min(max(time_s, start_s), end_s)
        share_s += is_down * (within_s - since_s)
        since_s, is_down = within_s, down
    return (share_s + is_down * (end_s - since_s)) / (end_s - start_s)


def usual_of(heard: Sequence[TimedEvent]) -> Usual | None:
    """Return what is usual for who played that; None where it is too little to tell."""
    if not heard:
        return None
    last_s = heard[-1].time_s
    first_s = max(heard[0].time_s, last_s - HEARD_S)
    passage = passage_of([event for event in heard if event.time_s >= first_s])
    starts_s = np.arange(first_s, last_s - WINDOW_S, HOP_S)
    windows = [numbers_of(passage, start_s, start_s + WINDOW_S) for start_s in starts_s]
    windows = [window for window in windows if not np.isnan(window[1])]  # a pause is no playing
    if len(windows) < FEWEST_WINDOWS:
        return None
    table = np.array(windows)
    known = ~np.isnan(table)
    count = known.sum(axis=0)
    mean = np.where(known, table, 0.0).sum(axis=0) / np.maximum(count, 1)
    squares = np.where(known, (table - mean) ** 2, 0.0).sum(axis=0)
    variance = (squares + PRIOR_WINDOWS * USUAL**2) / (count + PRIOR_WINDOWS)
    return Usual(np.where(count > 0, mean, np.nan), np.sqrt(variance))


def likelihood(usual: Usual, passage: Passage, start_s: float, end_s: float) -> float:
    """Return how likely a passage is from `start_s` on, in nats for each number told of a window.

    Windows are as long as it takes to fill the passage. One that ends at once is judged by what
    would be heard for a while.
    """
    end_s = max(end_s, start_s + SHORTEST_WINDOW_S)
    count = max(1, round((end_s - start_s) / WINDOW_S))
    edges_s = np.linspace(start_s, end_s, count + 1)
    total = 0.0
    for first_s, last_s in itertools.pairwise(edges_s.tolist()):
        numbers = numbers_of(passage, first_s, last_s)
        deviations = np.abs(numbers - usual.mean) / usual.deviation
        deviations = np.where(np.isnan(deviations), UNTOLD, deviations)
        total -= float((np.minimum(deviations, MOST_DEVIATIONS) ** 2).mean()) / 2
    return total / count


def judge_by_likelihood(heard: Sequence[TimedEvent]) -> Score | None:
    """Return a score by the player's own playing; None where that is too little."""
    usual = usual_of(heard)
    if usual is None:
        return None
    return lambda events, start_s, end_s: likelihood(usual, passage_of(events), start_s, end_s)
