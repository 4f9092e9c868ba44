import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.compare import main
from training.evaluation.metrics.distances import (
    METRICS,
    Floats,
    common_grid,
    compare,
    distances,
    jensen_shannon,
    make_pairs,
    overlap_area,
    reflected_kernel,
    wasserstein_1,
)
from training.evaluation.metrics.features import FEATURES
from training.evaluation.metrics.notes import Notes, TooFewNotes, make_notes, read_notes, windows
from training.evaluation.metrics.resampling import make_draws
from training.evaluation.metrics.spoilt_music import random_notes

ROOT = Path(__file__).resolve().parents[4]
STARTER = ROOT / "training" / "starter"
GOLDEN = json.loads((Path(__file__).parent / "golden" / "distances.json").read_text())
COLUMNS = {
    "value",
    "low",
    "high",
    "floor",
    "floor_low",
    "floor_high",
    "at_half",
    "worse_than_floor",
}
BEST = {"overlap_area": 1.0, "jensen_shannon": 0.0, "wasserstein_1": 0.0, "energy_distance": 0.0}

DENSITY = st.lists(st.floats(0.0, 1.0), min_size=8, max_size=8).filter(lambda p: sum(p) > 0.01)


def figures(model: list[float], human: list[float]) -> dict[str, float]:
    """Compare one number per excerpt, every excerpt of a piece of its own."""
    values = np.array([*model, *human])[:, None]
    is_model = np.arange(len(values)) < len(model)
    pairs = make_pairs(values, np.arange(len(values)), is_model)
    weights = is_model.astype(np.float64), (~is_model).astype(np.float64)
    return dict(zip(METRICS, pairs.figures([weights])[0].tolist(), strict=True))


def unit(weights: list[float]) -> Floats:
    return np.array(weights) / sum(weights)


@pytest.fixture(scope="module")
def real() -> tuple[list[Notes], list[str]]:
    """Return 24 excerpts of 64 notes of the eight shortest performances of the starter set."""
    excerpts, pieces = [], []
    for path in sorted(STARTER.rglob("*.mid"), key=lambda path: path.stat().st_size)[:8]:
        found = windows(read_notes(path), 64)[:3]
        excerpts += found
        pieces += [path.stem] * len(found)
    return excerpts, pieces


@pytest.fixture(scope="module")
def spoilt(real: tuple[list[Notes], list[str]]) -> dict[str, Any]:
    excerpts, pieces = real
    rng = np.random.default_rng(0)
    noise = [random_notes(notes, rng) for notes in excerpts]
    return compare(noise, excerpts, pieces, np.random.default_rng(1))


def test_figures_are_those_of_scipy() -> None:
    found = figures(GOLDEN["model"], GOLDEN["human"])

    expected = GOLDEN["within model, within human"]
    # The grid of 512 points costs up to 4e-5.
    assert found["overlap_area"] == pytest.approx(min(expected["overlap_area"]), abs=2e-4)
    assert found["jensen_shannon"] == pytest.approx(max(expected["jensen_shannon"]), abs=2e-4)
    assert found["wasserstein_1"] == pytest.approx(max(expected["wasserstein_1"]), abs=1e-12)
    assert found["energy_distance"] == pytest.approx(GOLDEN["energy_distance"], abs=1e-12)


def test_one_bandwidth_serves_all_three_sets() -> None:
    values = np.array([*GOLDEN["model"], *GOLDEN["human"]])[:, None]
    is_model = np.arange(len(values)) < len(GOLDEN["model"])

    pairs = make_pairs(values, np.arange(len(values)), is_model)

    assert pairs.bandwidth == pytest.approx(GOLDEN["bandwidth"])


def test_wasserstein_agrees_with_matching_sorted_values() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=40), rng.normal(1.0, 2.0, size=40)
    values = np.sort(np.concatenate([a, b]))
    p, q = (np.isin(values, side) / 40 for side in (a, b))

    assert wasserstein_1(values, p, q) == pytest.approx(np.abs(np.sort(a) - np.sort(b)).mean())


def test_distances_agree_with_a_slow_formula() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))

    found = distances(a, b)

    for i, j in itertools.product(range(4), range(5)):
        assert found[i, j] == pytest.approx(math.dist(a[i], b[j]))


def test_density_keeps_all_its_mass_above_zero_where_distances_pile_up() -> None:
    half_normal = np.abs(np.random.default_rng(0).normal(size=2000))
    grid = common_grid(float(half_normal.max()), 0.2)

    kernel = reflected_kernel(grid, 0.2)
    step = grid[1] - grid[0]
    density = np.mean(
        [kernel[round(value / step)] / (0.2 * math.sqrt(2 * math.pi)) for value in half_normal],
        axis=0,
    )

    assert grid[0] == 0
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=0.005)
    # Without the reflection the density at 0 would be about half of what it is.
    assert density[0] == pytest.approx(math.sqrt(2 / math.pi), rel=0.1)


def test_same_values_on_both_sides_give_the_best_figures() -> None:
    values = np.random.default_rng(0).normal(size=20).tolist()
    stacked = np.array([*values, *values])[:, None]
    is_model = np.arange(40) < 20

    pairs = make_pairs(stacked, np.arange(40) % 20, is_model)
    found = pairs.figures([(is_model.astype(np.float64), (~is_model).astype(np.float64))])[0]

    np.testing.assert_allclose(found, [1.0, 0.0, 0.0, 0.0], atol=1e-9)


def test_shift_and_scale_are_seen() -> None:
    values = np.random.default_rng(0).normal(size=40).tolist()
    again = np.random.default_rng(1).normal(size=40).tolist()

    alike = figures(again, values)
    shifted = figures([value + 3 for value in again], values)
    scaled = figures([value * 10 for value in again], values)

    assert alike["overlap_area"] > 0.9
    assert alike["jensen_shannon"] < 0.02
    for worse in (shifted, scaled):
        assert worse["overlap_area"] < 0.6
        assert worse["jensen_shannon"] > 0.2
    # Three to either side: the distances across grow from about 1.1 to about 3.1.
    assert shifted["wasserstein_1"] == pytest.approx(2.0, abs=0.4)


def test_model_that_repeats_itself_is_seen_although_it_repeats_the_average() -> None:
    values = np.random.default_rng(0).normal(size=40).tolist()

    collapsed = figures([0.0] * 40, values)

    assert collapsed["overlap_area"] < 0.5


def test_energy_distance_sees_a_shift_that_is_small_beside_the_spread() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(80, 20))
    values[:40] += 0.4
    is_model = np.arange(80) < 40
    pairs = make_pairs(values, np.arange(80) % 40, is_model)
    draws = make_draws(np.arange(80) % 40, is_model, rng)

    found = pairs.figures([*draws.halves, *draws.floor])
    halves, floor = found[:100].mean(axis=0), found[100:]

    overlap, energy = METRICS.index("overlap_area"), METRICS.index("energy_distance")
    assert halves[energy] > np.quantile(floor[:, energy], 0.975)
    assert halves[overlap] > np.quantile(floor[:, overlap], 0.025)


def test_all_values_equal_on_both_sides_is_no_difference() -> None:
    assert figures([3.0] * 5, [3.0] * 5) == BEST


def test_two_constants_differ_completely() -> None:
    found = figures([3.0] * 5, [5.0] * 5)

    worst = {"overlap_area": 0.0, "jensen_shannon": 1.0, "wasserstein_1": 2.0}
    assert found == pytest.approx(worst | {"energy_distance": 1.0})


@given(
    st.lists(st.floats(-5.0, 5.0), min_size=2, max_size=12),
    st.lists(st.floats(-5.0, 5.0), min_size=2, max_size=12),
)
@settings(max_examples=40, deadline=None)
def test_figures_are_bounded_and_do_not_depend_on_sides_or_order(
    model: list[float], human: list[float]
) -> None:
    found = figures(model, human)

    assert 0 <= found["overlap_area"] <= 1 + 1e-9
    assert 0 <= found["jensen_shannon"] <= 1 + 1e-9
    assert 0 <= found["wasserstein_1"] <= 10
    assert found["energy_distance"] <= 1
    assert figures(human, model) == pytest.approx(found, abs=1e-9)
    assert figures(model[::-1], human[::-1]) == pytest.approx(found, abs=1e-9)


@given(DENSITY, DENSITY)
@settings(deadline=None)
def test_divergence_of_densities_is_bounded_symmetric_and_zero_only_for_equals(
    a: list[float], b: list[float]
) -> None:
    p, q = unit(a), unit(b)

    assert 0 <= jensen_shannon(p, q) <= 1 + 1e-12
    assert jensen_shannon(p, q) == pytest.approx(float(jensen_shannon(q, p)))
    assert jensen_shannon(p, p) == pytest.approx(0.0, abs=1e-12)
    assert overlap_area(p, p) == pytest.approx(1.0)
    assert 1 - overlap_area(p, q) == pytest.approx(np.abs(p - q).sum() / 2)


def test_floor_is_of_pianists_alone_and_halves_have_the_same_sizes() -> None:
    pieces = np.tile(np.arange(10), 2)
    is_model = np.arange(20) < 10

    draws = make_draws(pieces, is_model, np.random.default_rng(0))

    for (here, there), (model_here, human_there) in zip(draws.floor, draws.halves, strict=True):
        assert not here[is_model].any()
        assert not there[is_model].any()
        assert here.sum() == there.sum() == model_here.sum() == 5
        assert (human_there == there).all()
        assert set(pieces[model_here > 0]) == set(pieces[here > 0])
        assert not set(pieces[here > 0]) & set(pieces[there > 0])


def test_resamples_draw_pieces_the_same_for_model_and_pianists() -> None:
    pieces = np.tile(np.repeat(np.arange(6), 2), 2)  # two excerpts of each piece and side
    is_model = np.arange(24) < 12

    draws = make_draws(pieces, is_model, np.random.default_rng(0))

    for model, human in draws.resampled:
        assert (model[:12] == human[12:]).all()
        assert (model[:12:2] == model[1:12:2]).all()
        assert model.sum() == 12


def test_excerpts_of_one_piece_are_not_compared_with_each_other() -> None:
    pieces = np.array([0, 0, 1, 2, 0, 1])
    is_model = np.arange(6) < 3

    pairs = make_pairs(np.arange(6.0)[:, None], pieces, is_model)

    assert (pieces[pairs.first] != pieces[pairs.second]).all()
    assert len(pairs.distance) == 15 - 3 - 1  # three pairs of piece 0, one of piece 1


def test_identical_performances_give_the_best_of_everything(
    real: tuple[list[Notes], list[str]],
) -> None:
    excerpts, pieces = real

    found = compare(excerpts, excerpts, pieces, np.random.default_rng(0))

    assert set(found) == set(FEATURES)
    for name, metrics in found.items():
        assert set(metrics) == set(METRICS)
        for metric, columns in metrics.items():
            assert set(columns) == COLUMNS
            assert columns["value"] == pytest.approx(BEST[metric], abs=1e-9), (name, metric)
            assert columns["at_half"] == pytest.approx(columns["floor"], abs=1e-9)
            assert columns["worse_than_floor"] == 0.5
    assert json.loads(json.dumps(found)) == found


def test_random_notes_fall_below_the_floor(
    spoilt: dict[str, Any],
) -> None:
    for name in ("pitch_count", "pitch_range", "pitch_class_histogram", "velocity_histogram"):
        area = spoilt[name]["overlap_area"]
        assert area["at_half"] < area["floor_low"], name
        assert area["high"] < 0.9
        assert area["worse_than_floor"] == 1.0
        shift = spoilt[name]["wasserstein_1"]
        assert shift["at_half"] > shift["floor_high"], name


def test_worse_than_floor_is_a_share(spoilt: dict[str, Any]) -> None:
    shares = [found["worse_than_floor"] for one in spoilt.values() for found in one.values()]

    assert all(0 <= share <= 1 for share in shares)


def test_intervals_hold_the_value_and_the_bounds_of_the_metric(spoilt: dict[str, Any]) -> None:
    for metrics in spoilt.values():
        for metric, columns in metrics.items():
            assert columns["low"] <= columns["value"] <= columns["high"]
            assert metric == "energy_distance" or columns["low"] >= 0
            assert columns["floor_low"] <= columns["floor"] <= columns["floor_high"]
            assert metric == "wasserstein_1" or columns["high"] <= 1.0


def test_order_of_pieces_does_not_change_the_values(
    real: tuple[list[Notes], list[str]], spoilt: dict[str, Any]
) -> None:
    excerpts, pieces = real
    rng = np.random.default_rng(0)
    noise = [random_notes(notes, rng) for notes in excerpts]
    order = np.random.default_rng(5).permutation(len(excerpts))

    found = compare(
        [noise[i] for i in order],
        [excerpts[i] for i in order],
        [pieces[i] for i in order],
        np.random.default_rng(1),
    )

    for name, metrics in found.items():
        for metric, columns in metrics.items():
            assert columns["value"] == pytest.approx(spoilt[name][metric]["value"], abs=1e-9)


def test_excerpt_without_notes_is_named(real: tuple[list[Notes], list[str]]) -> None:
    excerpts, pieces = real
    silent = [*excerpts[:2], make_notes([], duration_s=5.0), *excerpts[3:]]

    with pytest.raises(TooFewNotes, match="model excerpt 2 holds no notes"):
        compare(silent, excerpts, pieces, np.random.default_rng(0))
    with pytest.raises(TooFewNotes, match="human excerpt 2 holds no notes"):
        compare(excerpts, silent, pieces, np.random.default_rng(0))


def test_too_few_pieces_is_an_error(real: tuple[list[Notes], list[str]]) -> None:
    excerpts, _ = real

    with pytest.raises(TooFewNotes, match="model excerpts of 0 pieces; at least 4"):
        compare([], [], [], np.random.default_rng(0))
    with pytest.raises(TooFewNotes, match="of 1 pieces; at least 4"):
        compare(excerpts, excerpts, ["same"] * len(excerpts), np.random.default_rng(0))


def test_every_excerpt_needs_the_name_of_its_piece(real: tuple[list[Notes], list[str]]) -> None:
    excerpts, pieces = real

    with pytest.raises(ValueError, match="24 model excerpts, but 23 names of pieces"):
        compare(excerpts, excerpts, pieces[1:], np.random.default_rng(0))


@pytest.mark.slow
def test_folders_are_compared_by_one_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    folders = ["--model", str(STARTER), "--human", str(STARTER)]
    splits = ["--model-split", "validation", "--human-split", "test", "--datasets", "asap"]
    size = ["--notes", "32", "--excerpts", "12"]

    code = main([*folders, *splits, *size, "--control", "shuffled", "--json", str(out)])

    assert code == 0
    found = json.loads(out.read_text())
    assert set(found["features"]) == set(FEATURES)
    assert found["pieces"]["human"] > 3
    table = capsys.readouterr().out
    assert "onset_interval_histogram" in table
    assert "mgeval-compatible" in table


def test_folder_with_too_few_excerpts_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "junk.mid").write_bytes(b"junk")

    code = main(["--model", str(tmp_path), "--human", str(tmp_path)])

    assert code == 2
    told = capsys.readouterr()
    assert "skipped" in told.out
    assert "0 excerpts of 256 notes in 1 files" in told.err
    assert "ask for fewer (--excerpts)" in told.err
