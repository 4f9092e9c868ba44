"""Performances for tests that need some music and care little which."""

import numpy as np

from perceivers.events import NoteOff, NoteOn, TimedEvent


def music(notes: int, seed: int = 0) -> list[TimedEvent]:
    """Return notes of 0.2 s, four a second, with random pitches and velocities."""
    rng = np.random.default_rng(seed)
    performance = []
    for i, pitch in enumerate(rng.integers(40, 90, notes)):
        performance.append(TimedEvent(i * 0.25, NoteOn(int(pitch), int(rng.integers(30, 100)))))
        performance.append(TimedEvent(i * 0.25 + 0.2, NoteOff(int(pitch))))
    return performance
