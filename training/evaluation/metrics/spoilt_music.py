"""Spoilt music: what the metrics must tell from a pianist's playing if they are worth anything."""

import numpy as np

from training.evaluation.metrics.notes import Notes, TooFewNotes, make_notes

LOWEST_PITCH, HIGHEST_PITCH = 21, 108  # the keyboard of a piano


def shuffled(notes: Notes, rng: np.random.Generator) -> Notes:
    """Return the same notes in another order and another rhythm, under the same pedal.

    Pitch, length and velocity stay together and so do the gaps between onsets as a set: counts and
    histograms of pitch are as they were, order and chords are not.
    """
    _require_notes(notes)
    gaps_s = rng.permutation(np.diff(notes.onset_s))
    onset_s = notes.onset_s[0] + np.concatenate([[0.0], np.cumsum(gaps_s)])
    order = rng.permutation(len(notes))
    offset_s = onset_s + (notes.offset_s - notes.onset_s)[order]
    rows = zip(onset_s, offset_s, notes.pitch[order], notes.velocity[order], strict=True)
    return make_notes(rows, map(tuple, notes.pedal_s), notes.duration_s)


def random_notes(notes: Notes, rng: np.random.Generator) -> Notes:
    """Return as many notes in the same time, at random instants, keys and velocities, no pedal."""
    _require_notes(notes)
    count = len(notes)
    onset_s = rng.uniform(0.0, notes.duration_s, count)
    length_s = rng.exponential((notes.offset_s - notes.onset_s).mean(), count)
    pitch = rng.integers(LOWEST_PITCH, HIGHEST_PITCH, count, endpoint=True)
    velocity = rng.integers(1, 127, count, endpoint=True)
    rows = zip(onset_s, onset_s + length_s, pitch, velocity, strict=True)
    return make_notes(rows, duration_s=notes.duration_s)


def _require_notes(notes: Notes) -> None:
    if not len(notes):
        raise TooFewNotes("an excerpt without notes cannot be spoilt")


CONTROLS = {"shuffled": shuffled, "random": random_notes}
