"""Augmentation: the same music in another key, at another tempo or with another touch.

Pure functions on the tokens of a piece or of a part of one. What the grammar allowed, it allows
afterwards.
"""

import math

import numpy as np
import numpy.typing as npt

from perceivers import vocabulary as v
from perceivers.score import MAX_EVENTS_AT_ONE_INSTANT

LOWEST_KEY, HIGHEST_KEY = 21, 108

Ids = npt.NDArray[np.int64]


def transpose(tokens: Ids, semitones: int) -> Ids:
    """Transpose by as much of `semitones` as keeps every note on the keyboard."""
    is_note = _are_notes(tokens)
    pitches = (tokens[is_note] - v.NOTE_ON) % v.PITCHES
    if pitches.size == 0:
        return tokens
    lowest, highest = int(pitches.min()), int(pitches.max())
    downwards = min(0, LOWEST_KEY - lowest)
    upwards = max(0, HIGHEST_KEY - highest)
    moved = tokens.copy()
    moved[is_note] += min(max(semitones, downwards), upwards)
    return moved


def shift_velocities(tokens: Ids, bins: int) -> Ids:
    """Play louder or softer by as many of `bins` as keep every velocity within its range."""
    is_velocity = v.is_kind(tokens, v.Kind.VELOCITY)
    found = tokens[is_velocity] - v.VELOCITY
    if found.size == 0:
        return tokens
    downwards, upwards = -int(found.min()), v.VELOCITY_BINS - 1 - int(found.max())
    moved = tokens.copy()
    moved[is_velocity] += min(max(bins, downwards), upwards)
    return moved


def stretch(tokens: Ids, factor: float) -> Ids:
    """Multiply all times by `factor`, counted from the first token.

    Each time is rounded to the grid by itself, as the encoder does, so that nothing drifts. Events
    that come to fall on one crowded step pass on to the next one, as in the encoder.
    """
    is_shift = v.is_kind(tokens, v.Kind.TIME_SHIFT)
    steps = np.cumsum(v.steps_passed(tokens))
    stretched = np.floor(steps * factor + 0.5).astype(np.int64)
    times = _uncrowded(tokens[~is_shift], stretched[~is_shift])
    end = max(int(stretched[-1]), int(times[-1]) if times.size else 0) if len(tokens) else 0
    return _timed(tokens[~is_shift], times, end)


def draw_factor(largest_change: float, rng: np.random.Generator) -> float:
    """Draw a tempo factor, log-uniformly, of at most 1 + largest_change or its inverse."""
    return math.exp(rng.uniform(-1.0, 1.0) * math.log1p(largest_change))


def _uncrowded(body: Ids, times: Ids) -> Ids:
    """Return the times with no more events at one instant than the grammar allows."""
    is_event = _are_events(body)
    most = int(np.bincount(times[is_event] - times[0]).max()) if is_event.any() else 0
    if most <= MAX_EVENTS_AT_ONE_INSTANT:
        return times
    spread = times.copy()
    step, events = int(times[0]), 0
    for i, token in enumerate(body):
        if times[i] > step:
            step, events = int(times[i]), 0
        if events >= MAX_EVENTS_AT_ONE_INSTANT and token != v.EOS:
            step, events = step + 1, 0
        spread[i] = step
        events += int(is_event[i])
    return spread


def _are_events(tokens: Ids) -> npt.NDArray[np.bool_]:
    """Tell which tokens strike or release a key or move the pedal."""
    moves_pedal = v.is_kind(tokens, v.Kind.PEDAL_DOWN) | v.is_kind(tokens, v.Kind.PEDAL_UP)
    return _are_notes(tokens) | moves_pedal


def _are_notes(tokens: Ids) -> npt.NDArray[np.bool_]:
    """Tell which tokens strike or release a key."""
    return v.is_kind(tokens, v.Kind.NOTE_ON) | v.is_kind(tokens, v.Kind.NOTE_OFF)


def _timed(body: Ids, times: Ids, end: int) -> Ids:
    """Put time-shifts between tokens of which each stands at its time; the last one ends at `end`.

    A gap is told as the encoder tells it: as many of the longest shifts as fit, then the rest.
    """
    gaps = np.diff(np.concatenate(([0], times, [end])))
    longest, rest = np.divmod(gaps, v.MAX_SHIFT_STEPS)
    shifts = longest + (rest > 0)
    # the index of each token of the body: all before it, and the shifts up to it
    places = np.arange(len(body)) + np.cumsum(shifts)[:-1]
    told = np.full(len(body) + int(shifts.sum()), v.TIME_SHIFT + v.MAX_SHIFT_STEPS - 1)
    told[places] = body
    last_of_gap = np.concatenate((places, [len(told)])) - 1
    told[last_of_gap[rest > 0]] = v.TIME_SHIFT + rest[rest > 0] - 1
    return told
