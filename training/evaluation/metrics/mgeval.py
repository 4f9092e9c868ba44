"""The mgeval-compatible column: figures that can stand beside those of published papers.

The toolbox mgeval (Yang and Lerch, "On the evaluation of generative models in music", 2018) has
faults that its published figures share. This module follows its definitions, faults included, and
serves no other purpose; `distances.py` holds the sound metrics. It was written from a description
of the toolbox and has not been run against it.

Where it goes wrong, on purpose:

- the two densities of a Kullback-Leibler divergence are evaluated on two different grids, each
  between the extremes of its own distances, and compared point by point: a set of distances that
  is shifted or scaled as a whole has divergence 0;
- densities leak below 0, where no distance lies, and are integrated between the extremes of the
  data only: the overlap of a set with itself is below 1;
- counts and transition counts are not normalised, so that they measure length before anything;
- pitch classes are weighted by velocity as well as duration; transitions are counted from every
  note to every note that begins within 50 ms of its end, a short one to itself included;
- note lengths are told in classes of a bar of 2 s, whatever is played; a chord is a run of
  intervals of 0 s;
- there is no interval and no floor.

Conventions: `Notes` as played, the pedal not applied and no grid: the piano-roll does the one by
itself, and the other is ours. Distances are Euclidean, each with all others of its set (N (N - 1))
or with all of the other set (N M); bandwidths are Scott's.
"""

from collections.abc import Callable, Sequence

import numpy as np

from training.evaluation.metrics.distances import distances, scott_bandwidth
from training.evaluation.metrics.features import Feature
from training.evaluation.metrics.notes import Floats, Ints, Notes, TooFewNotes

FRAMES_PER_S = 100
TOUCHING_S = 0.05
BAR_S = 2.0  # four beats at 120 per minute
# From the whole note to the 16th, the dotted half to the dotted 16th, then the triplets of half,
# quarter and eighth: in 96ths of a bar.
LENGTH_CLASSES = np.array([96, 48, 24, 12, 6, 72, 36, 18, 9, 32, 16, 8]) / 96 * BAR_S
GRID_POINTS = 1000
NOTES_AT_ONCE = 256  # a table of all notes by all would fill the memory for a long piece
POINTS_AT_ONCE = 50  # of a density of 10,000 distances: fits into a cache
ROUNDING = 1e-12  # distances that differ by less, relatively, are equal
FEWEST_EXCERPTS = 3  # two distances differ, so that a density exists

Divergences = dict[str, dict[str, float | None]]


def piano_roll(notes: Notes) -> Floats:
    """Return velocities, (128, frames of 10 ms); under the pedal each pitch keeps its loudest."""
    begin = (notes.onset_s * FRAMES_PER_S).astype(np.int64)
    end = (notes.offset_s * FRAMES_PER_S).astype(np.int64)
    pedal = (notes.pedal_s * FRAMES_PER_S).astype(np.int64)
    roll = np.zeros((128, int(max([0, *end, *pedal[:, 1]]))))
    for pitch, first, last, velocity in zip(notes.pitch, begin, end, notes.velocity, strict=True):
        roll[pitch, first:last] += velocity
    for down, up in pedal:
        roll[:, down:up] = np.maximum.accumulate(roll[:, down:up], axis=1)
    return roll


def total_used_pitch(notes: Notes) -> Floats:
    """PC: the number of pitches in the piano-roll, shape (1,)."""
    return np.array([np.count_nonzero(piano_roll(notes).sum(axis=1))], dtype=np.float64)


def total_used_note(notes: Notes) -> Floats:
    """NC: the number of notes, shape (1,)."""
    return np.array([len(notes)], dtype=np.float64)


def total_pitch_class_histogram(notes: Notes) -> Floats:
    """PCH: the piano-roll summed over time by pitch class, shape (12,), sum 1."""
    by_pitch = piano_roll(notes).sum(axis=1)
    by_class = np.bincount(np.arange(128) % 12, by_pitch, minlength=12)
    return np.asarray(by_class / max(float(by_class.sum()), 1.0))


def pitch_class_transition_matrix(notes: Notes) -> Floats:
    """PCTM: counts of pairs of which one begins within 50 ms of the other's end, shape (144,)."""
    pitch_class = notes.pitch % 12
    counts = np.zeros(144)
    for start in range(0, len(notes), NOTES_AT_ONCE):
        ends_s = notes.offset_s[start : start + NOTES_AT_ONCE]
        source, target = np.nonzero(np.abs(ends_s[:, None] - notes.onset_s) < TOUCHING_S)
        pairs = pitch_class[source + start] * 12 + pitch_class[target]
        counts += np.bincount(pairs, minlength=144)
    return counts


def pitch_range(notes: Notes) -> Floats:
    """PR: semitones from the lowest to the highest pitch, shape (1,)."""
    return np.array([np.ptp(notes.pitch)], dtype=np.float64)


def avg_pitch_shift(notes: Notes) -> Floats:
    """PS: mean semitones between successive note-ons, chords included, shape (1,)."""
    return np.array([np.abs(np.diff(notes.pitch)).mean() if len(notes) > 1 else 0.0])


def avg_ioi(notes: Notes) -> Floats:
    """IOI: mean seconds between successive note-ons, chords included, shape (1,)."""
    return np.array([np.diff(notes.onset_s).mean() if len(notes) > 1 else 0.0])


def note_length_hist(notes: Notes) -> Floats:
    """NLH: shares of the twelve classes of note length, shape (12,)."""
    return np.bincount(_length_class(notes), minlength=12) / len(notes)


def note_length_transition_matrix(notes: Notes) -> Floats:
    """NLTM: counts of successive classes of note length, shape (144,)."""
    found = _length_class(notes)
    return np.bincount(found[:-1] * 12 + found[1:], minlength=144).astype(np.float64)


def _length_class(notes: Notes) -> Ints:
    length_s = notes.offset_s - notes.onset_s
    return np.asarray(np.abs(length_s[:, None] - LENGTH_CLASSES[None, :]).argmin(axis=1))


MGEVAL_FEATURES: dict[str, Feature] = {
    feature.__name__: feature
    for feature in (
        total_used_pitch,
        total_used_note,
        total_pitch_class_histogram,
        pitch_class_transition_matrix,
        pitch_range,
        avg_pitch_shift,
        avg_ioi,
        note_length_hist,
        note_length_transition_matrix,
    )
}


def density(values: Floats, at: Floats) -> Floats:
    """Return the Gaussian kernel estimate of the density of values (K,) at points (P,).

    Scott's bandwidth. Values that repeat are evaluated once.
    """
    bandwidth = scott_bandwidth(values)
    distinct, times = np.unique(values, return_counts=True)
    total = np.empty(len(at))
    for start in range(0, len(at), POINTS_AT_ONCE):
        some = slice(start, start + POINTS_AT_ONCE)
        apart = (at[some, None] - distinct[None, :]) / bandwidth
        total[some] = np.exp(-0.5 * apart**2) @ times
    return np.asarray(total / (len(values) * bandwidth * np.sqrt(2 * np.pi)))


def kl_dist(a: Floats, b: Floats) -> float:
    """Return the divergence in nats of two sets of distances, each on a grid of its own."""
    p = density(a, np.linspace(a.min(), a.max(), GRID_POINTS))
    q = density(b, np.linspace(b.min(), b.max(), GRID_POINTS))
    p, q = p / p.sum(), q / q.sum()
    some = p > 0
    with np.errstate(divide="ignore"):  # infinite where b's density vanishes, as theirs is
        return float((p[some] * np.log(p[some] / q[some])).sum())


def overlap_area(a: Floats, b: Floats) -> float:
    """Return the area under both densities, between the extremes of the data."""
    grid = np.linspace(min(a.min(), b.min()), max(a.max(), b.max()), GRID_POINTS)
    return float(np.trapezoid(np.minimum(density(a, grid), density(b, grid)), grid))


def mgeval_compatible(
    model: Sequence[Notes],
    human: Sequence[Notes],
    on_feature: Callable[[str], None] = lambda _name: None,
) -> dict[str, Divergences]:
    """Compare excerpts by mgeval's formulas; return JSON values.

    Returns {feature: {"model": {"kld", "oa"}, "human": {"kld", "oa"}}}: the distances within the
    model's set, and within the pianists', each against the distances from the one to the other;
    papers rarely say which they print. None where all distances of a set are equal (there is no
    density then), and for an infinite divergence. Raises TooFewNotes for fewer than three excerpts
    on a side and for an excerpt without notes.
    """
    for name, excerpts in (("model", model), ("human", human)):
        if len(excerpts) < FEWEST_EXCERPTS:
            raise TooFewNotes(f"{len(excerpts)} {name} excerpts; at least {FEWEST_EXCERPTS} needed")
        if empty := [i for i, notes in enumerate(excerpts) if not len(notes)]:
            raise TooFewNotes(f"{name} excerpt {empty[0]} holds no notes")
    result: dict[str, Divergences] = {}
    for name, feature in MGEVAL_FEATURES.items():
        a, b = (np.stack([feature(notes) for notes in excerpts]) for excerpts in (model, human))
        across = distances(a, b).ravel()
        result[name] = {
            "model": _against(_leave_one_out(a), across),
            "human": _against(_leave_one_out(b), across),
        }
        on_feature(name)
    return result


def _leave_one_out(values: Floats) -> Floats:
    """Return the distance of every excerpt to every other, N (N - 1) of them."""
    found = distances(values, values)
    return found[~np.eye(len(found), dtype=np.bool_)]


def _against(within: Floats, across: Floats) -> dict[str, float | None]:
    if min(np.ptp(within), np.ptp(across)) <= ROUNDING * across.max():
        return {"kld": None, "oa": None}
    divergence = kl_dist(within, across)
    return {
        "kld": divergence if np.isfinite(divergence) else None,
        "oa": overlap_area(within, across),
    }
