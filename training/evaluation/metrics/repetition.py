"""Repetition: how much of what is played was played before in the same excerpt.

Recurrence is the share of n-grams of notes that occurred earlier, as they are (`exact`) or at any
pitch (`transposed`). It grows with the length of an excerpt: compare excerpts of equally many
notes, a model's with a pianist's after the same primer. Self-similarity compares windows of a few
seconds with each other, over minutes: what returns, and after how long.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.evaluation.intervals import drawn_again
from training.evaluation.metrics.notes import Notes, TooFewNotes
from training.evaluation.metrics.playing_order import in_playing_order, onset_steps

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NGRAMS = (8, 16, 32)
WINDOW_S = 4.0
HOP_S = 1.0
ONSET_BINS = 16
"""Parts of a window in which onsets are counted: 250 ms each."""
LAG_EDGES_S = (4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 240.0)
RETURN_SIMILARITY = 0.9
RETURN_AWAY_S = 8.0


@dataclass(frozen=True, slots=True)
class Recurrence:
    """The share of n-grams that occurred earlier in the same excerpt, 0-1."""

    exact: float
    transposed: float


def recurrence(notes: Notes, lengths: Sequence[int] = NGRAMS) -> dict[int, Recurrence]:
    """Return the recurrence of n-grams for each length in notes.

    Raises TooFewNotes when there is no second n-gram that could recur.
    """
    pitches = in_playing_order(onset_steps(notes.onset_s), notes.pitch)
    return {
        length: Recurrence(
            recurring_share(pitches, length), recurring_share(np.diff(pitches), length - 1)
        )
        for length in lengths
    }


def recurring_share(sequence: Ints, length: int) -> float:
    """Return the share of the windows of a sequence that equal an earlier one."""
    if length < 1:
        raise ValueError(f"an n-gram has at least 1 element, not {length}")
    total = len(sequence) - length + 1
    if total < 2:
        raise TooFewNotes(f"{len(sequence)} elements hold no two n-grams of {length}")
    windows = np.lib.stride_tricks.sliding_window_view(sequence.astype(np.int16), length)
    whole = np.ascontiguousarray(windows).view(f"V{2 * length}").ravel()
    return 1.0 - len(set(whole.tolist())) / total


def paired_difference(
    model: Sequence[float], human: Sequence[float], groups: Sequence[str]
) -> dict[str, float]:
    """Return means, their difference, and its 95 % bootstrap interval over compositions.

    The values stand in pairs: what model and pianist played after the same primer.
    """
    if not len(model) == len(human) == len(groups):
        raise ValueError(f"{len(model)}, {len(human)} and {len(groups)} values do not pair")
    if not groups:
        raise TooFewNotes("no continuations to compare")
    difference = np.array(model, dtype=np.float64) - np.array(human, dtype=np.float64)
    _, group_of = np.unique(np.array(groups), return_inverse=True)
    sums = np.bincount(group_of, weights=difference)
    counts = np.bincount(group_of)
    drawn = drawn_again(len(sums))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {
        "pairs": len(groups),
        "model": float(np.mean(model)),
        "human": float(np.mean(human)),
        "difference": float(difference.mean()),
        "low": float(low),
        "high": float(high),
    }


def window_features(notes: Notes, window_s: float = WINDOW_S, hop_s: float = HOP_S) -> Floats:
    """Return a row for each window: pitch classes (12) and onsets in time (ONSET_BINS).

    Both halves have length 1, or 0 in a silent window, so that neither outweighs the other.
    Raises TooFewNotes when the music is shorter than two windows.
    """
    end_s = float(notes.onset_s[-1]) if len(notes) else 0.0
    count = int((end_s - window_s) / hop_s) + 1
    if end_s < 2 * window_s:
        raise TooFewNotes(f"{end_s:.1f} s of music; self-similarity needs {2 * window_s:g} s")
    rows = np.zeros((count, 12 + ONSET_BINS))
    for index in range(count):
        start_s = index * hop_s
        first, last = np.searchsorted(notes.onset_s, (start_s, start_s + window_s))
        classes = np.bincount(notes.pitch[first:last] % 12, minlength=12)
        places = ((notes.onset_s[first:last] - start_s) / window_s * ONSET_BINS).astype(np.int64)
        onsets = np.bincount(places.clip(0, ONSET_BINS - 1), minlength=ONSET_BINS)
        rows[index] = np.concatenate([_unit(classes), _unit(onsets)])
    return rows


def _unit(values: Ints) -> Floats:
    norm = float(np.linalg.norm(values))
    return values / norm if norm else values.astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class SelfSimilarity:
    """How like each other the windows of a performance are."""

    matrix: Floats  # (W, W), 0-1: the mean of the cosines of pitch classes and of onsets
    hop_s: float

    def at_lags(self, edges_s: Sequence[float] = LAG_EDGES_S) -> dict[str, float]:
        """Return the mean similarity of windows so far apart, for each span that is there."""
        apart_s = self._apart_s()
        found = {}
        for low_s, high_s in itertools.pairwise(edges_s):
            chosen = (apart_s >= low_s) & (apart_s < high_s)
            if chosen.any():
                found[f"{low_s:g}-{high_s:g} s"] = float(self.matrix[chosen].mean())
        return found

    def returning_share(
        self, similarity: float = RETURN_SIMILARITY, away_s: float = RETURN_AWAY_S
    ) -> float:
        """Return the share of windows that are like one which ended well before them.

        Counted are those that have a window so far back. Raises TooFewNotes when none has.
        """
        earlier = self._apart_s() >= away_s
        asked = earlier.any(axis=1)
        if not asked.any():
            raise TooFewNotes(f"the music is too short for anything to return after {away_s:g} s")
        best = np.where(earlier, self.matrix, -1.0).max(axis=1)
        return float((best[asked] >= similarity).mean())

    def _apart_s(self) -> Floats:
        """Return how long before each window (row) each other (column) begins."""
        begins_s = np.arange(len(self.matrix)) * self.hop_s
        return begins_s[:, None] - begins_s[None, :]


def self_similarity(
    notes: Notes, window_s: float = WINDOW_S, hop_s: float = HOP_S
) -> SelfSimilarity:
    """Compare every window of a performance with every other."""
    features = window_features(notes, window_s, hop_s)
    return SelfSimilarity(np.clip(features @ features.T / 2, 0.0, 1.0), hop_s)
