"""How keys are handled, told plainly: how many are struck, how long they are held, what drifts.

A model that forgets which keys are down holds some for seconds; one that loses its way grows
denser, higher or louder. Each figure is of one continuation and means something by itself.
"""

from collections.abc import Callable, Mapping

import numpy as np

from training.evaluation.metrics.notes import Floats, Notes, TooFewNotes

FEWEST_NOTES = 4  # so that each half has two


def _notes_per_second(notes: Notes) -> float:
    return (len(notes) - 1) / max(_span_s(notes.onset_s), 0.01)


def _span_s(onset_s: Floats) -> float:
    return float(onset_s[-1] - onset_s[0])


def _share(of: Callable[[Floats], np.typing.NDArray[np.bool_]]) -> Callable[[Notes], float]:
    return lambda notes: float(of(notes.offset_s - notes.onset_s).mean())


def _drift(of: Callable[[Notes, slice], float]) -> Callable[[Notes], float]:
    """Return what the second half of the notes has more than the first."""

    def drift(notes: Notes) -> float:
        middle = len(notes) // 2
        return of(notes, slice(middle, len(notes))) - of(notes, slice(0, middle))

    return drift


def _octaves_of_density(notes: Notes, half: slice) -> float:
    return -float(np.log2(max(_span_s(notes.onset_s[half]), 0.01)))


def _octaves_of_length(notes: Notes, half: slice) -> float:
    length_s = np.maximum(notes.offset_s[half] - notes.onset_s[half], 0.01)
    return float(np.log2(length_s).mean())


HANDLING: Mapping[str, Callable[[Notes], float]] = {
    "notes_per_second": _notes_per_second,
    "held_5_s": _share(lambda length_s: length_s >= 5.0),
    "held_3_s": _share(lambda length_s: length_s >= 3.0),
    "shorter_than_80_ms": _share(lambda length_s: length_s < 0.08 - 1e-6),
    "drift_of_density": _drift(_octaves_of_density),
    "drift_of_length": _drift(_octaves_of_length),
    "drift_of_pitch": _drift(lambda notes, half: float(notes.pitch[half].mean())),
    "drift_of_velocity": _drift(lambda notes, half: float(notes.velocity[half].mean())),
}
"""Shares are of notes, by how long the key is down. Drift is from the first half of the notes to
the second: of notes per second and of lengths in doublings, of pitch in semitones, of velocity in
steps of MIDI."""


def handling(notes: Notes) -> dict[str, float]:
    """Return every figure of one continuation. Raises TooFewNotes for fewer than FEWEST_NOTES."""
    if len(notes) < FEWEST_NOTES:
        raise TooFewNotes(f"{len(notes)} notes are too few to tell how keys are handled")
    return {name: of(notes) for name, of in HANDLING.items()}
