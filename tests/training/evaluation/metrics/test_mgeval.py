import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from training.evaluation.metrics.distances import common_grid, distances
from training.evaluation.metrics.mgeval import (
    MGEVAL_FEATURES,
    density,
    kl_dist,
    mgeval_compatible,
    overlap_area,
    piano_roll,
)
from training.evaluation.metrics.notes import Notes, TooFewNotes, make_notes, read_notes, windows

STARTER = Path(__file__).resolve().parents[4] / "training" / "starter"
GOLDEN = json.loads((Path(__file__).parent / "golden" / "distances.json").read_text())
NOTES = make_notes(
    [
        (0.00, 0.50, 60, 64),
        (0.50, 1.00, 64, 32),
        (1.04, 1.06, 67, 96),
        (1.50, 3.50, 60, 64),
    ],
    duration_s=4.0,
)
# Worked out by hand; vectors as {index: value}.
BY_HAND = {
    "total_used_pitch": {0: 3},
    "total_used_note": {0: 4},
    # velocity times frames: 64·50 + 64·200 = 16,000; 32·50 = 1,600; 96·2 = 192; together 17,792
    "total_pitch_class_histogram": {0: 16000 / 17792, 4: 1600 / 17792, 7: 192 / 17792},
    # 60 ends where 64 begins; 64 ends 40 ms before 67; 67 lasts 20 ms and follows itself
    "pitch_class_transition_matrix": {4: 1, 4 * 12 + 7: 1, 7 * 12 + 7: 1},
    "pitch_range": {0: 7},
    "avg_pitch_shift": {0: (4 + 3 + 7) / 3},
    "avg_ioi": {0: 0.5},
    # 0.5 s is a quarter (2), 0.02 s the 16th (4), 2 s the whole (0)
    "note_length_hist": {0: 0.25, 2: 0.5, 4: 0.25},
    "note_length_transition_matrix": {2 * 12 + 2: 1, 2 * 12 + 4: 1, 4 * 12 + 0: 1},
}


@pytest.fixture(scope="module")
def real() -> list[Notes]:
    paths = sorted(STARTER.rglob("*.mid"), key=lambda path: path.stat().st_size)[:4]
    return [part for path in paths for part in windows(read_notes(path), 64)[:3]]


@pytest.mark.parametrize("name", MGEVAL_FEATURES)
def test_feature_is_what_was_worked_out_by_hand(name: str) -> None:
    found = MGEVAL_FEATURES[name](NOTES)

    expected = np.zeros(len(found))
    for index, value in BY_HAND[name].items():
        expected[index] = value
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_piano_roll_keeps_the_loudest_under_the_pedal() -> None:
    roll = piano_roll(make_notes([(0.0, 0.1, 60, 50), (0.2, 0.3, 60, 40)], [(0.05, 0.4)], 1.0))

    assert roll.shape == (128, 40)
    assert (roll[60] == 50).all()
    assert (roll[61] == 0).all()


def test_transitions_agree_with_a_slow_formula(real: list[Notes]) -> None:
    for notes in real[:3]:
        expected = np.zeros(144)
        for i, j in itertools.product(range(len(notes)), repeat=2):
            if abs(notes.offset_s[i] - notes.onset_s[j]) < 0.05:
                expected[notes.pitch[i] % 12 * 12 + notes.pitch[j] % 12] += 1
        found = MGEVAL_FEATURES["pitch_class_transition_matrix"](notes)
        np.testing.assert_array_equal(found, expected)


def test_divergence_and_overlap_are_those_of_scipy() -> None:
    model, human = (np.array(GOLDEN[side])[:, None] for side in ("model", "human"))
    across = distances(model, human).ravel()

    for side, values in (("model", model), ("human", human)):
        found = distances(values, values)
        within = found[~np.eye(len(found), dtype=bool)]
        expected = GOLDEN["mgeval"][side]
        assert kl_dist(within, across) == pytest.approx(expected["kld"], abs=1e-9)
        assert overlap_area(within, across) == pytest.approx(expected["oa"], abs=1e-5)


def test_divergence_does_not_see_shift_or_scale_and_that_is_why_it_is_not_ours() -> None:
    values = np.abs(np.random.default_rng(0).normal(size=200))

    assert kl_dist(values, values + 100) == pytest.approx(0.0, abs=1e-9)
    assert kl_dist(values, values * 10) == pytest.approx(0.0, abs=1e-9)

    grid = common_grid(float(values.max()) * 10, 1.0)
    p, q = (density(found, grid) + 1e-12 for found in (values, values * 10))
    p, q = p / p.sum(), q / q.sum()
    assert float((p * np.log(p / q)).sum()) > 1.0


def test_overlap_of_distances_with_themselves_is_below_one() -> None:
    values = np.abs(np.random.default_rng(0).normal(size=400))

    assert overlap_area(values, values) == pytest.approx(0.946, abs=0.01)


def test_density_integrates_to_one() -> None:
    values = np.random.default_rng(0).normal(size=300).round(1)  # with repeats
    grid = np.linspace(-8, 8, 4001)

    assert np.trapezoid(density(values, grid), grid) == pytest.approx(1.0, abs=1e-6)


def test_column_has_both_sides_of_every_feature(real: list[Notes]) -> None:
    found = mgeval_compatible(real[::2], real[1::2])

    assert set(found) == set(MGEVAL_FEATURES)
    for sides in found.values():
        for side in ("model", "human"):
            for value in sides[side].values():
                assert value is None or (math.isfinite(value) and value >= 0)
    # Every excerpt has 64 notes: there is no density of their number.
    assert found["total_used_note"]["model"] == {"kld": None, "oa": None}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_too_few_or_empty_excerpts_are_named(real: list[Notes]) -> None:
    with pytest.raises(TooFewNotes, match="2 human excerpts; at least 3"):
        mgeval_compatible(real[:3], real[:2])
    with pytest.raises(TooFewNotes, match="model excerpt 1 holds no notes"):
        mgeval_compatible([real[0], make_notes([]), real[1]], real[:3])
