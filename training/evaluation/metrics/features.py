"""Features of an excerpt: what its notes are like, one number or one histogram each.

What is measured: pitch, time, length, touch and pedal of one excerpt. None of it needs a beat or a
bar, which a performance does not have. Features of two excerpts are comparable when both have the
same number of notes or the same duration.

Conventions: pure functions of `Notes` with at least one note (TooFewNotes otherwise); times in
seconds; histograms sum to 1, or are all 0 where there is nothing to count (an excerpt of one note
has no transition). Chords: onsets within 30 ms of the first of them are one onset.

Features (the abbreviations are those of Yang and Lerch, "On the evaluation of generative models in
music", 2018, whose definitions are changed where they depend on a bar or on the piece's length):

    pitch_count                         PC    distinct pitches
    pitch_class_histogram               PCH   by count
    pitch_class_histogram_by_duration   PCH   by sounding time
    pitch_class_transitions             PCTM  rows sum to 1
    pitch_range                         PR    semitones
    notes_per_second                    NC
    onset_interval_mean                 IOI   seconds
    onset_interval_histogram            IOI   logarithmic
    note_length_histogram               NLH   logarithmic
    note_length_transitions             NLTM  sums to 1
    velocity_mean
    velocity_histogram
    polyphony                                 sounding notes
    pedal_ratio                               share of time
"""

from collections.abc import Callable

import numpy as np

from perceivers.events import CHORD_S
from perceivers.vocabulary import STEPS_PER_SECOND
from training.evaluation.metrics.notes import Floats, Ints, Notes, TooFewNotes

Feature = Callable[[Notes], Floats]

PITCH_CLASSES = 12
VELOCITY_BINS = 16
# Eight octaves of time. The quarter keeps every edge between two steps of the 10 ms grid.
SHORTEST_S = 2**-4.75
LONGEST_S = 2**3.25
LENGTH_BINS = 12  # two thirds of an octave each
INTERVAL_BINS = 16  # half an octave each


def pitch_count(notes: Notes) -> Floats:
    """Return the number of distinct pitches, shape (1,)."""
    _require_notes(notes)
    return np.array([len(np.unique(notes.pitch))], dtype=np.float64)


def pitch_class_histogram(notes: Notes) -> Floats:
    """Return the share of notes of each pitch class, from C, shape (12,)."""
    _require_notes(notes)
    return _shares(notes.pitch % 12, np.ones(len(notes)), PITCH_CLASSES)


def pitch_class_histogram_by_duration(notes: Notes) -> Floats:
    """Return the share of sounding time of each pitch class, from C, shape (12,).

    Velocity does not count. All 0 when no note has a length.
    """
    _require_notes(notes)
    return _shares(notes.pitch % 12, notes.offset_s - notes.onset_s, PITCH_CLASSES)


def pitch_class_transitions(notes: Notes) -> Floats:
    """Return how often one pitch class follows another, shape (144,), each row of 12 sums to 1.

    Notes follow each other in order of onset, those of a chord from the lowest up. The row of a
    class that nothing follows is 0.
    """
    _require_notes(notes)
    order = np.lexsort((notes.pitch, onset_groups(notes.onset_s)))
    pitch_class = notes.pitch[order] % 12
    table = _transitions(pitch_class, PITCH_CLASSES)
    rows = table.sum(axis=1, keepdims=True)
    return np.asarray(table / np.maximum(rows, 1.0)).ravel()


def pitch_range(notes: Notes) -> Floats:
    """Return the semitones from the lowest to the highest pitch, shape (1,)."""
    _require_notes(notes)
    return np.array([np.ptp(notes.pitch)], dtype=np.float64)


def notes_per_second(notes: Notes) -> Floats:
    """Return notes per second of duration, silence included, shape (1,).

    0 for what is shorter than a step of the grid and so has no duration to speak of.
    """
    _require_notes(notes)
    long_enough = notes.duration_s * STEPS_PER_SECOND >= 1.0
    return np.array([len(notes) / notes.duration_s if long_enough else 0.0])


def onset_interval_mean(notes: Notes) -> Floats:
    """Return the mean seconds from one onset to the next, chords merged, shape (1,).

    0 where there is only one onset.
    """
    _require_notes(notes)
    intervals_s = onset_intervals(notes)
    return np.array([intervals_s.mean() if len(intervals_s) else 0.0])


def onset_interval_histogram(notes: Notes) -> Floats:
    """Return the shares of intervals between onsets, chords merged, shape (16,).

    Bins of half an octave from 37 ms to 9.5 s; the outer ones take what lies beyond.
    """
    _require_notes(notes)
    bins = _time_bin(onset_intervals(notes), INTERVAL_BINS)
    return _shares(bins, np.ones(len(bins)), INTERVAL_BINS)


def note_length_histogram(notes: Notes) -> Floats:
    """Return the shares of note lengths, shape (12,).

    Bins of two thirds of an octave from 37 ms to 9.5 s; the outer ones take what lies beyond.
    """
    _require_notes(notes)
    return _shares(_length_bin(notes), np.ones(len(notes)), LENGTH_BINS)


def note_length_transitions(notes: Notes) -> Floats:
    """Return the shares of pairs of lengths of successive notes, shape (144,), sum 1.

    Order and bins are those of `pitch_class_transitions` and `note_length_histogram`.
    """
    _require_notes(notes)
    order = np.lexsort((notes.pitch, onset_groups(notes.onset_s)))
    table = _transitions(_length_bin(notes)[order], LENGTH_BINS)
    return np.asarray(table / max(table.sum(), 1.0)).ravel()


def velocity_mean(notes: Notes) -> Floats:
    """Return the mean MIDI velocity (1-127), shape (1,)."""
    _require_notes(notes)
    return np.array([notes.velocity.mean()])


def velocity_histogram(notes: Notes) -> Floats:
    """Return the shares of velocities, shape (16,), in bins of 8."""
    _require_notes(notes)
    return _shares(notes.velocity // 8, np.ones(len(notes)), VELOCITY_BINS)


def polyphony(notes: Notes) -> Floats:
    """Return the mean number of sounding notes while any sounds, shape (1,).

    0 when no note has a length.
    """
    _require_notes(notes)
    order = np.argsort(notes.onset_s, kind="stable")
    onset_s, offset_s = notes.onset_s[order], notes.offset_s[order]
    before_s = np.concatenate([onset_s[:1], np.maximum.accumulate(offset_s)[:-1]])
    sounding_s = np.maximum(offset_s - np.maximum(onset_s, before_s), 0.0).sum()
    return np.array([(offset_s - onset_s).sum() / sounding_s if sounding_s > 0 else 0.0])


def pedal_ratio(notes: Notes) -> Floats:
    """Return the share of the duration with the pedal down, shape (1,); 0 without duration."""
    _require_notes(notes)
    down_s = float((notes.pedal_s[:, 1] - notes.pedal_s[:, 0]).sum())
    return np.array([min(down_s / notes.duration_s, 1.0) if notes.duration_s > 0 else 0.0])


FEATURES: dict[str, Feature] = {
    feature.__name__: feature
    for feature in (
        pitch_count,
        pitch_class_histogram,
        pitch_class_histogram_by_duration,
        pitch_class_transitions,
        pitch_range,
        notes_per_second,
        onset_interval_mean,
        onset_interval_histogram,
        note_length_histogram,
        note_length_transitions,
        velocity_mean,
        velocity_histogram,
        polyphony,
        pedal_ratio,
    )
}


def onset_groups(onset_s: Floats) -> Ints:
    """Number the chords: shape (N,), equal for onsets within 30 ms of the first of them."""
    groups = np.zeros(len(onset_s), dtype=np.int64)
    start = 0
    while start < len(onset_s):
        # Half a microsecond of tolerance: 30 ms on the grid is 30 ms, however it is rounded.
        limit_s = onset_s[start] + CHORD_S + 5e-7
        start = int(np.searchsorted(onset_s, limit_s, side="right"))
        groups[start:] += 1
    return groups


def onset_intervals(notes: Notes) -> Floats:
    """Return the seconds from the first onset of each chord to that of the next."""
    groups = onset_groups(notes.onset_s)
    is_first = np.concatenate([[True], groups[1:] > groups[:-1]])
    return np.diff(notes.onset_s[is_first])


def _length_bin(notes: Notes) -> Ints:
    return _time_bin(notes.offset_s - notes.onset_s, LENGTH_BINS)


def _time_bin(times_s: Floats, bins: int) -> Ints:
    inner_edges_s = np.geomspace(SHORTEST_S, LONGEST_S, bins + 1)[1:-1]
    return np.searchsorted(inner_edges_s, times_s, side="right").astype(np.int64)


def _shares(bins: Ints, weights: Floats, count: int) -> Floats:
    sums = np.bincount(bins, weights, minlength=count).astype(np.float64)
    total = float(sums.sum())
    return sums / total if total > 0 else sums


def _transitions(states: Ints, count: int) -> Floats:
    pairs = states[:-1] * count + states[1:]
    return np.bincount(pairs, minlength=count * count).astype(np.float64).reshape(count, count)


def _require_notes(notes: Notes) -> None:
    if not len(notes):
        raise TooFewNotes("an excerpt without notes has no features")
