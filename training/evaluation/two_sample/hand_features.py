"""Statistics of a passage that a listener might judge by: time, touch, pitch, chords, repetition.

They serve one purpose: to let a simple classifier tell a model's playing from a pianist's. The
metrics that are reported as overlaps live elsewhere.
"""

import numpy as np

from perceivers.events import CHORD_S
from training.evaluation.metrics.notes import Floats
from training.evaluation.two_sample.passages import Passage

SHORTEST_NOTES = 16  # fewer say too little
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
MAJOR_SCALE = np.array([1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1], dtype=np.float64)


def hand_features(passage: Passage) -> dict[str, float]:
    """Return the statistics by name; NaN, all of them, for a passage that is too short."""
    short = len(passage) < SHORTEST_NOTES
    seen = _stand_in() if short else passage
    found: dict[str, float] = {}
    for group in (_time, _touch, _pitch, _chords, _repetition, _drift):
        found |= group(seen)
    return dict.fromkeys(found, float("nan")) if short else found


def _stand_in() -> Passage:
    """Return a passage from which the names can be taken."""
    line = np.arange(SHORTEST_NOTES, dtype=np.float64)
    return Passage(line, line + 1.0, line + 60.0, line, line * 0.0)


def _time(passage: Passage) -> dict[str, float]:
    gap_s = np.diff(passage.onset_s[_chord_starts(passage)])
    log_gap = np.log2(np.maximum(gap_s, CHORD_S)) if len(gap_s) else np.zeros(1)
    log_length = np.log2(passage.length_s)
    next_gap_s = np.maximum(np.diff(passage.onset_s), 0.01)
    legato = np.log2(passage.length_s[:-1] / next_gap_s)
    duration_s = max(float(passage.onset_s[-1]), 0.01)
    return (
        _spread("log gap", log_gap)
        | _memory("log gap", log_gap, (1, 2, 3, 4))
        | _spread("log length", log_length)
        | _memory("log length", log_length, (1, 2))
        | {
            "log notes per second": float(np.log2(len(passage) / duration_s)),
            "sounding keys": float(passage.length_s.sum() / duration_s),
            "gap steadiness": float(np.mean(np.abs(np.diff(log_gap, append=log_gap[-1])) < 0.15)),
            "longest gap": float(log_gap.max()),
            "length against gap": float(np.mean(legato)),
            "length against gap, spread": float(np.std(legato)),
        }
    )


def _touch(passage: Passage) -> dict[str, float]:
    velocity = passage.velocity
    return (
        _spread("velocity", velocity)
        | _memory("velocity", velocity, (1, 2, 4, 8))
        | {
            "velocity step": float(np.mean(np.abs(np.diff(velocity)))),
            "velocity repeated": float(np.mean(np.diff(velocity) == 0)),
            "velocity with pitch": _correlation(velocity, passage.pitch),
            "velocity with length": _correlation(velocity, np.log2(passage.length_s)),
            "pedal": float(passage.pedal.mean()),
            "pedal changes": float(np.mean(np.diff(passage.pedal) != 0)),
        }
    )


def _pitch(passage: Passage) -> dict[str, float]:
    step = np.diff(passage.pitch)
    classes = _pitch_classes(passage)
    used = classes[classes > 0]
    in_scale = [float(classes @ np.roll(MAJOR_SCALE, key)) for key in range(12)]
    shares = {
        "step repeated": step == 0,
        "step of a second": (np.abs(step) >= 1) & (np.abs(step) <= 2),
        "step of a third": (np.abs(step) >= 3) & (np.abs(step) <= 4),
        "step of an octave": np.abs(step) == 12,
        "step beyond an octave": np.abs(step) > 12,
        "step up": step > 0,
    }
    return (
        _spread("pitch", passage.pitch)
        | _memory("pitch", passage.pitch, (1, 2, 3, 4))
        | {name: float(np.mean(share)) for name, share in shares.items()}
        | {
            "pitches": float(len(np.unique(passage.pitch))),
            "pitch class entropy": float(-(used * np.log2(used)).sum()),
            "in the best scale": max(in_scale),
            "turns of direction": float(np.mean(np.sign(step[1:]) != np.sign(step[:-1]))),
        }
    )


def _chords(passage: Passage) -> dict[str, float]:
    starts = _chord_starts(passage)
    sizes = np.diff([*starts, len(passage)])
    together = np.zeros(12)
    widths = []
    for start, size in zip(starts, sizes, strict=True):
        pitches = np.sort(passage.pitch[start : start + size])
        widths.append(pitches[-1] - pitches[0])
        np.add.at(together, (np.diff(pitches) % 12).astype(np.int64), 1.0)
    together /= max(together.sum(), 1.0)
    tops = np.array([passage.pitch[s : s + n].max() for s, n in zip(starts, sizes, strict=True)])
    return (
        {f"chord of {size}": float(np.mean(sizes == size)) for size in (1, 2, 3)}
        | {"chord of more": float(np.mean(sizes > 3)), "chord width": float(np.mean(widths))}
        | {f"chord interval {interval}": float(share) for interval, share in enumerate(together)}
        | {"step of the top": float(np.mean(np.abs(np.diff(tops)))) if len(tops) > 1 else 0.0}
        | _memory("top", tops, (1, 2))
    )


def _repetition(passage: Passage) -> dict[str, float]:
    """Return which share of the runs of intervals was there before, for short and longer runs."""
    steps = [int(step) for step in np.diff(passage.pitch)]
    found = {}
    for size in (2, 4, 8):
        seen: set[tuple[int, ...]] = set()
        repeated = 0
        runs = [tuple(steps[start : start + size]) for start in range(len(steps) - size + 1)]
        for run in runs:
            repeated += run in seen
            seen.add(run)
        found[f"repeated runs of {size + 1}"] = repeated / len(runs)
    return found


def _drift(passage: Passage) -> dict[str, float]:
    """Return how the second half differs from the first."""
    middle = len(passage) // 2
    first, second = passage.part(0, middle), passage.part(middle, len(passage))
    classes = _pitch_classes(first), _pitch_classes(second)
    norm = float(np.linalg.norm(classes[0]) * np.linalg.norm(classes[1]))
    pace = [float(np.log2(max(np.ptp(half.onset_s), 0.01))) for half in (first, second)]
    return {
        "drift of velocity": float(second.velocity.mean() - first.velocity.mean()),
        "drift of pitch": float(second.pitch.mean() - first.pitch.mean()),
        "drift of pace": pace[1] - pace[0],
        "drift of length": float(np.log2(second.length_s).mean() - np.log2(first.length_s).mean()),
        "same key": float(classes[0] @ classes[1]) / norm,
    }


def _chord_starts(passage: Passage) -> list[int]:
    """Return the number of the first note of each chord."""
    starts = [0]
    for note in range(1, len(passage)):
        if passage.onset_s[note] - passage.onset_s[starts[-1]] > CHORD_S:
            starts.append(note)
    return starts


def _pitch_classes(passage: Passage) -> Floats:
    counts = np.bincount(passage.pitch.astype(np.int64) % 12, minlength=12).astype(np.float64)
    shares: Floats = counts / counts.sum()
    return shares


def _spread(name: str, values: Floats) -> dict[str, float]:
    found = {f"{name} at {q:.0%}": float(np.quantile(values, q)) for q in QUANTILES}
    return found | {f"{name}, mean": float(values.mean()), f"{name}, spread": float(values.std())}


def _memory(name: str, values: Floats, lags: tuple[int, ...]) -> dict[str, float]:
    """Return the correlation of a series with itself so many notes later."""
    return {
        f"{name} against {lag} before": _correlation(values[lag:], values[:-lag])
        if len(values) > lag + 2
        else 0.0
        for lag in lags
    }


def _correlation(a: Floats, b: Floats) -> float:
    spread = float(a.std() * b.std())
    return float(((a - a.mean()) * (b - b.mean())).mean()) / spread if spread > 1e-9 else 0.0
