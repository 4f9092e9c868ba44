"""Where pianists themselves end a phrase, judged with the ear of one who knows what comes after.

The boundary strength is that of the Local Boundary Detection Model (Cambouropoulos 2001): a place
is strong where pitch, time between onsets and rest change most against their neighbours. Of its
peaks those count as ends at which the pianist lets every key up and takes twice the usual time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from daemon.stage.phrase import ONE_ONSET_S
from perceivers.events import NoteOff, NoteOn, TimedEvent

Floats = npt.NDArray[np.float64]

WEIGHTS = (0.25, 0.5, 0.25)  # of pitch, onsets and rests: the model's own
DEVIATIONS = 2.0  # that a peak stands above the mean strength
APART = 4  # onsets within which no place is stronger
AROUND = 12  # onsets before and after, by which the usual time is known
USUAL_TIMES = 2.0


@dataclass(frozen=True, slots=True)
class Chords:
    """The chords of a performance: (chords,) each."""

    onset_s: Floats
    top: Floats  # highest pitch
    up_s: Floats  # when the last of its keys comes up


def chords_of(events: Sequence[TimedEvent]) -> Chords:
    """Gather strikes that lie within ONE_ONSET_S of a first one."""
    rows: list[list[float]] = []
    chord_of: dict[int, int] = {}
    for time_s, event in events:
        if isinstance(event, NoteOn):
            if not rows or time_s - rows[-1][0] > ONE_ONSET_S:
                rows.append([time_s, event.pitch, time_s])
            rows[-1][1] = max(rows[-1][1], event.pitch)
            chord_of[event.pitch] = len(rows) - 1
        elif isinstance(event, NoteOff) and event.pitch in chord_of:
            row = rows[chord_of.pop(event.pitch)]
            row[2] = max(row[2], time_s)
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return Chords(table[:, 0], table[:, 1], table[:, 2])


def boundary_strength(chords: Chords) -> Floats:
    """Return how strong a boundary lies after each chord but the last: (chords - 1,)."""
    leaps = np.abs(np.diff(chords.top))
    times_s = np.diff(chords.onset_s)
    rests_s = np.maximum(0.0, chords.onset_s[1:] - chords.up_s[:-1])
    strength = np.zeros(len(times_s))
    for weight, values in zip(WEIGHTS, (leaps, times_s, rests_s), strict=True):
        strength += weight * _changing(values)
    return strength


def _changing(values: Floats) -> Floats:
    """Return each value times how much it differs from both neighbours; the greatest is 1."""
    values = np.maximum(values, 1e-9)
    change = np.abs(np.diff(values)) / (values[1:] + values[:-1])
    weighed: Floats = values * (np.append(0.0, change) + np.append(change, 0.0))
    return weighed / max(float(weighed.max()), 1e-9)


def ends_after(chords: Chords) -> list[int]:
    """Return the numbers of the chords after which a phrase ends."""
    if len(chords.onset_s) <= 2 * AROUND:
        return []
    strength, times_s = boundary_strength(chords), np.diff(chords.onset_s)
    least = strength.mean() + DEVIATIONS * strength.std()
    return [
        place
        for place in range(AROUND, len(strength) - 1)
        if strength[place] >= least
        and strength[place] >= strength[max(0, place - APART) : place + APART + 1].max()
        and chords.onset_s[place + 1] > chords.up_s[: place + 1].max()
        and times_s[place] >= USUAL_TIMES * _usual_s(times_s, place)
    ]


def _usual_s(times_s: Floats, place: int) -> float:
    around = np.append(times_s[max(0, place - AROUND) : place], times_s[place + 1 :][:AROUND])
    return float(np.median(around))
