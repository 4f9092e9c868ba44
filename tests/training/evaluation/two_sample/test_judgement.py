import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perceivers.errors import PerformerError
from training.evaluation.metrics.notes import Notes, excerpt, make_notes, read_notes
from training.evaluation.two_sample.classifiers import (
    Heard,
    Labels,
    LogisticClassifier,
    piece_folds,
)
from training.evaluation.two_sample.hand_features import SHORTEST_NOTES, hand_features
from training.evaluation.two_sample.judgement import Pair, two_sample_test
from training.evaluation.two_sample.passages import passage_of
from training.evaluation.two_sample.telltales import telltales

pytestmark = pytest.mark.slow

STARTER = Path(__file__).resolve().parents[4] / "training" / "starter"
NOTES = 64
ONCE = {"logistic": 1, "neural": 1}  # of the seconds that a test takes, nearly all are the latter


def part(notes: Notes, start: int, count: int) -> Notes:
    """Return consecutive notes, with the pedal of their time."""
    return excerpt(notes, float(notes.onset_s[start]), float(notes.onset_s[start + count]))


@pytest.fixture(scope="module")
def performances() -> list[Notes]:
    paths = sorted(STARTER.rglob("*.mid"))[:16]
    return [read_notes(path) for path in paths]


def pairs_of(
    performances: list[Notes], model: Callable[[Notes, Notes], Notes], cuts: int = 2
) -> list[Pair]:
    """Cut each performance; `model` is given what the pianist plays next, and after that."""
    pairs = []
    for number, notes in enumerate(performances):
        room = (len(notes) - 3 * NOTES - 2) // cuts
        for cut in range(cuts):
            start = NOTES + cut * room
            human, later = part(notes, start, NOTES), part(notes, start + NOTES, NOTES)
            primer = part(notes, start - NOTES, NOTES)
            pairs.append(Pair(str(number), primer, model(human, later), human))
    return pairs


def louder(human: Notes, _later: Notes) -> Notes:
    return replace(human, velocity=np.minimum(human.velocity + 24, 127))


def test_pianists_are_not_told_from_themselves(performances: list[Notes]):
    pairs = pairs_of(performances, lambda _human, later: later)

    figures = two_sample_test(pairs, quiet=True, repeats={"logistic": 3})

    for test in ("model_against_human", "human_against_human"):
        for found in figures[test].values():
            assert found["auc"]["low"] < 0.5 < found["auc"]["high"]


def test_a_louder_copy_is_found(performances: list[Notes]):
    pairs = pairs_of(performances[:12], louder, cuts=1)

    figures = two_sample_test(pairs, quiet=True, repeats=ONCE)

    for found in figures["model_against_human"].values():
        assert found["auc"]["value"] > 0.9
        assert found["auc"]["low"] > 0.8
        assert found["told_apart_side_by_side"]["value"] > 0.9
    for found in figures["human_against_human"].values():
        assert found["auc"]["low"] < 0.5 < found["auc"]["high"]


def test_the_same_seed_gives_the_same_figures_and_pairs_are_counted(performances: list[Notes]):
    pairs = pairs_of(performances[:4], louder, cuts=1)
    short = Pair("short", pairs[0].primer, part(pairs[0].model, 0, 3), pairs[0].human)

    figures = two_sample_test([*pairs, short], seed=3, quiet=True, repeats=ONCE)

    assert figures == two_sample_test([*pairs, short], seed=3, quiet=True, repeats=ONCE)
    assert (figures["pairs"], figures["pieces"], figures["left_out"]) == (4, 4, 1)
    found = figures["model_against_human"]
    assert found[figures["headline"]]["auc"] == max(
        (judged["auc"] for judged in found.values()), key=lambda auc: auc["value"]
    )


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_too_few_pieces_are_refused(performances: list[Notes], pieces: int):
    pairs = pairs_of(performances[:pieces], louder)

    with pytest.raises(PerformerError, match=rf"of {pieces} pieces; it needs 4 pieces or more"):
        two_sample_test(pairs, quiet=True)


def test_what_is_no_music_is_hidden_from_the_judges():
    rng = np.random.default_rng(0)
    onsets = np.sort(rng.uniform(0, 9, 40))
    rows = [(s, s + 0.3, int(rng.integers(40, 80)), int(rng.integers(20, 100))) for s in onsets]
    late = [(s + 7.0, e + 7.0, pitch, velocity) for s, e, pitch, velocity in rows]
    ringing = [*late[:-1], (late[-1][0], late[-1][0] + 50.0, *late[-1][2:])]
    binned = [(s, e, pitch, velocity // 4 * 4 + 2) for s, e, pitch, velocity in ringing]

    plain = passage_of(make_notes(rows, [(1.0, 2.0)]))
    other = passage_of(make_notes(binned, [(8.0, 9.0)]))

    assert np.diff(plain.onset_s).min() >= 0
    for name in ("onset_s", "length_s", "pitch", "velocity", "pedal"):
        np.testing.assert_allclose(getattr(plain, name), getattr(other, name), err_msg=name)
    assert len(passage_of(make_notes(rows), first=7)) == 7
    assert passage_of(make_notes(rows), last=7).pitch.tolist() == [row[2] for row in rows[-7:]]
    assert len(passage_of(make_notes(rows[:1]))) == 0


def test_statistics_are_finite_for_any_music_and_unknown_for_too_little():
    chord = make_notes([(0.0, 1.0, 60, 64)] * SHORTEST_NOTES)
    line = make_notes([(i / 4, i / 4 + 0.2, 40 + i, 64) for i in range(SHORTEST_NOTES)])

    for notes in (chord, line):
        assert np.isfinite(list(hand_features(passage_of(notes)).values())).all()
    short = hand_features(passage_of(line, first=SHORTEST_NOTES - 1))
    assert np.isnan(list(short.values())).all()
    assert short.keys() == hand_features(passage_of(line)).keys()


def test_statistics_say_what_they_are_named_for():
    scale = [60, 62, 64, 65, 67, 69, 71, 72]
    rows = [(i * 0.5, i * 0.5 + 0.25, scale[i % 8], 40 + 8 * (i % 8)) for i in range(32)]

    found = hand_features(passage_of(make_notes(rows, [(0.0, 4.0)])))

    assert found["log gap at 50%"] == pytest.approx(-1.0)
    assert found["log length at 50%"] == pytest.approx(-2.0)
    assert found["in the best scale"] == pytest.approx(1.0)
    assert found["velocity with pitch"] > 0.95
    assert found["chord of 1"] == 1.0
    assert found["pedal"] == pytest.approx(8 / 32)
    assert found["repeated runs of 9"] == pytest.approx((32 - 8 - 8) / 24)


def test_all_rows_of_a_piece_lie_in_one_fold():
    piece = np.random.default_rng(0).integers(0, 9, 100)

    fold = piece_folds(piece, 3, np.random.default_rng(1))

    assert set(fold) == {0, 1, 2}
    assert all(len(set(fold[piece == number])) == 1 for number in range(9))
    assert np.bincount(fold).max() - np.bincount(fold).min() <= np.bincount(piece).max()


def test_the_regression_finds_the_statistic_that_differs_and_ignores_labels_of_the_test_rows(
    performances: list[Notes],
):
    pairs = pairs_of(performances, louder, cuts=1)
    heard = [
        Heard(passage_of(pair.primer), passage_of(notes))
        for pair in pairs
        for notes in (pair.model, pair.human)
    ]
    is_model = np.tile([1.0, 0.0], len(pairs))
    train = np.arange(len(heard) // 2)
    test = np.arange(len(heard) // 2, len(heard))
    labels = Labels(is_model[train], train // 2)

    scores = LogisticClassifier(heard).scores(train, labels, test, seed=0)

    assert (scores[0::2] > scores[1::2]).all()


def test_what_gives_a_model_away_is_named_and_chance_is_not(performances: list[Notes]):
    def found_in(pairs: list[Pair]) -> dict[str, Any]:
        model, human = (
            [passage_of(getattr(x, side)) for x in pairs] for side in ("model", "human")
        )
        return telltales(model, human, [pair.piece for pair in pairs])

    of_louder = found_in(pairs_of(performances, louder))
    of_pianists = found_in(pairs_of(performances, lambda _human, later: later))

    assert of_louder["largest"][0]["name"].startswith("velocity")
    assert of_louder["largest"][0]["standard_errors"] > of_louder["chance"]
    assert of_louder["largest"][0]["model"] > of_louder["largest"][0]["human"]
    assert 0 < of_louder["beyond_chance"] < 12
    assert of_pianists["beyond_chance"] == 0
    json.dumps(of_louder, allow_nan=False)
