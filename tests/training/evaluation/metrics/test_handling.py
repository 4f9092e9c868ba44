"""How keys are handled: every figure means what its name says."""

import numpy as np
import pytest

from training.evaluation.metrics.handling import HANDLING, handling
from training.evaluation.metrics.notes import Notes, TooFewNotes, make_notes


def row_of(lengths_s: list[float], gap_s: float = 0.5, pitch: int = 60) -> Notes:
    return make_notes(
        [
            (n * gap_s, n * gap_s + length_s, pitch + n % 3, 64)
            for n, length_s in enumerate(lengths_s)
        ]
    )


def test_shares_are_of_notes_by_how_long_the_key_is_down() -> None:
    found = handling(row_of([6.0, 3.5, 0.5, 0.08, 0.07, 0.2, 0.2, 0.2]))

    assert found["held_5_s"] == 1 / 8
    assert found["held_3_s"] == 2 / 8
    assert found["shorter_than_80_ms"] == 1 / 8
    assert found["notes_per_second"] == pytest.approx(2.0)


def test_what_stays_the_same_does_not_drift() -> None:
    found = handling(row_of([0.2] * 12))

    assert [found[name] for name in HANDLING if name.startswith("drift")] == pytest.approx(
        [0.0] * 4, abs=1e-9
    )


def test_drift_is_what_the_second_half_has_more() -> None:
    first = [(0.5 * n, 0.5 * n + 0.1, 60, 50) for n in range(6)]
    second = [(10 + 0.25 * n, 10 + 0.25 * n + 0.2, 65, 70) for n in range(6)]

    found = handling(make_notes(first + second))

    drift = [found[f"drift_of_{name}"] for name in ("density", "length", "pitch", "velocity")]
    assert drift == pytest.approx([1.0, 1.0, 5.0, 20.0])


def test_too_few_notes_are_refused() -> None:
    with pytest.raises(TooFewNotes, match="3 notes are too few"):
        handling(row_of([0.1] * 3))


def test_chords_at_one_instant_have_a_density_all_the_same() -> None:
    found = handling(make_notes([(0.0, 1.0, pitch, 64) for pitch in range(60, 68)]))

    assert np.isfinite(list(found.values())).all()
