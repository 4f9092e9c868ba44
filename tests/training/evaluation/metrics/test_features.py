import itertools
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceivers.decoder import decode
from perceivers.encoder import encode
from perceivers.errors import MidiFileError, PerformerError
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import Track, read_performance, write_performance
from perceivers.vocabulary import Source
from tests.support.random_music import PERFORMANCES
from training.evaluation.metrics.features import FEATURES, onset_groups, onset_intervals
from training.evaluation.metrics.notes import (
    Notes,
    TooFewNotes,
    excerpt,
    first_notes,
    make_notes,
    notes_of,
    on_grid,
    read_notes,
    sustained,
    windows,
)
from training.evaluation.metrics.spoilt_music import random_notes, shuffled

ROOT = Path(__file__).resolve().parents[4]
STARTER = ROOT / "training" / "starter"
GOLDEN = json.loads((Path(__file__).parent / "golden" / "features.json").read_text())
REAL = STARTER / "asap" / "Bach" / "Fugue" / "bwv_856" / "LuoJ01M.mid"
EMPTY = make_notes([])

ROWS = st.lists(
    st.tuples(st.floats(0.0, 20.0), st.floats(0.0, 3.0), st.integers(0, 127), st.integers(1, 127)),
    min_size=1,
    max_size=40,
)


def notes_from(rows: list[tuple[float, float, int, int]]) -> Notes:
    return make_notes([(on, on + length, pitch, velocity) for on, length, pitch, velocity in rows])


def golden_notes() -> Notes:
    return make_notes(
        map(tuple, GOLDEN["notes"]), map(tuple, GOLDEN["pedal_s"]), GOLDEN["duration_s"]
    )


@pytest.fixture(scope="module")
def real() -> Notes:
    return read_notes(REAL)


def same(a: Notes, b: Notes) -> bool:
    return (
        a.duration_s == pytest.approx(b.duration_s)
        and np.array_equal(a.pitch, b.pitch)
        and np.array_equal(a.velocity, b.velocity)
        and np.allclose(a.onset_s, b.onset_s)
        and np.allclose(a.offset_s, b.offset_s)
        and np.allclose(a.pedal_s, b.pedal_s)
    )


def test_the_golden_file_has_every_feature() -> None:
    assert set(GOLDEN["features"]) == set(FEATURES)


@pytest.mark.parametrize("name", FEATURES)
def test_feature_is_what_was_worked_out_by_hand(name: str) -> None:
    found = FEATURES[name](golden_notes())

    expected = np.zeros(len(found))
    for index, value in GOLDEN["features"][name].items():
        expected[int(index)] = value
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_pedal_holds_what_was_worked_out_by_hand() -> None:
    held = sustained(golden_notes())

    np.testing.assert_allclose(held.offset_s, GOLDEN["sustained_offset_s"])


@pytest.mark.parametrize("name", FEATURES)
def test_feature_of_nothing_is_a_clear_error(name: str) -> None:
    with pytest.raises(TooFewNotes, match="an excerpt without notes has no features"):
        FEATURES[name](EMPTY)


def test_too_few_notes_is_an_expected_error() -> None:
    assert issubclass(TooFewNotes, PerformerError)


@pytest.mark.parametrize("name", FEATURES)
def test_feature_of_a_single_note_is_finite(name: str) -> None:
    found = FEATURES[name](make_notes([(0.0, 0.0, 60, 64)]))

    assert np.isfinite(found).all()


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_histograms_are_shares_and_shapes_do_not_depend_on_the_music(
    rows: list[tuple[float, float, int, int]],
) -> None:
    notes = sustained(on_grid(notes_from(rows)))

    for name, feature in FEATURES.items():
        found = feature(notes)
        assert found.shape == FEATURES[name](golden_notes()).shape
        assert found.dtype == np.float64
        assert np.isfinite(found).all()
        assert (found >= 0).all()
        if "histogram" in name or name == "note_length_transitions":
            assert found.sum() == pytest.approx(1.0) or found.sum() == 0.0
    row_sums = FEATURES["pitch_class_transitions"](notes).reshape(12, 12).sum(axis=1)
    assert all(total == pytest.approx(1.0) or total == 0.0 for total in row_sums)
    assert 0 <= FEATURES["pedal_ratio"](notes)[0] <= 1


@given(ROWS, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_features_do_not_depend_on_the_order_in_which_notes_are_given(
    rows: list[tuple[float, float, int, int]], random: object
) -> None:
    mixed = list(rows)
    random.shuffle(mixed)  # type: ignore[attr-defined]

    for feature in FEATURES.values():
        np.testing.assert_allclose(feature(notes_from(mixed)), feature(notes_from(rows)))


def test_transposition_moves_pitch_classes_and_nothing_else(real: Notes) -> None:
    up = make_notes(
        zip(real.onset_s, real.offset_s, real.pitch + 2, real.velocity, strict=True),
        map(tuple, real.pedal_s),
        real.duration_s,
    )

    moved = FEATURES["pitch_class_histogram"](up)
    np.testing.assert_allclose(np.roll(FEATURES["pitch_class_histogram"](real), 2), moved)
    for name in set(FEATURES) - {n for n in FEATURES if n.startswith("pitch_class")}:
        np.testing.assert_allclose(FEATURES[name](up), FEATURES[name](real), err_msg=name)


def test_real_performance_agrees_with_slow_formulas(real: Notes) -> None:
    notes = sustained(on_grid(first_notes(real, 256)))

    # Transitions by walking over chords; polyphony by looking every 10 ms, which is the grid.
    chords: list[list[int]] = []
    begun_s = -1.0
    for onset_s, pitch in zip(notes.onset_s, notes.pitch, strict=True):
        if not chords or round((onset_s - begun_s) * 1000) > 30:
            chords.append([])
            begun_s = onset_s
        chords[-1].append(int(pitch))
    line = [pitch % 12 for chord in chords for pitch in sorted(chord)]
    pairs = Counter(itertools.pairwise(line))
    starts = Counter(line[:-1])
    table = FEATURES["pitch_class_transitions"](notes).reshape(12, 12)
    for a in range(12):
        for b in range(12):
            assert table[a, b] == pytest.approx(pairs[a, b] / max(starts[a], 1))

    instants_s = np.arange(0, notes.duration_s + 10, 0.01) + 0.005
    sounding = [
        sum(on < t < off for on, off in zip(notes.onset_s, notes.offset_s, strict=True))
        for t in instants_s
    ]
    some = [count for count in sounding if count]
    assert FEATURES["polyphony"](notes)[0] == pytest.approx(sum(some) / len(some))

    bins = Counter(
        min(max(math.floor((math.log2(max(off - on, 1e-9)) + 4.75) * 1.5), 0), 11)
        for on, off in zip(notes.onset_s, notes.offset_s, strict=True)
    )
    for index, share in enumerate(FEATURES["note_length_histogram"](notes)):
        assert share == pytest.approx(bins[index] / 256)


def test_chord_counts_from_its_first_note_so_that_a_run_is_no_chord() -> None:
    run_s = np.arange(6) * 0.02

    assert onset_groups(run_s).tolist() == [0, 0, 1, 1, 2, 2]


def test_thirty_milliseconds_on_the_grid_are_a_chord_wherever_they_lie() -> None:
    starts = np.arange(500) * 0.01

    assert all(onset_groups(np.array([at, at + 0.03])).tolist() == [0, 0] for at in starts)
    assert all(onset_groups(np.array([at, at + 0.04])).tolist() == [0, 1] for at in starts)


def test_no_edge_of_a_time_histogram_lies_on_the_grid() -> None:
    for bins in (12, 16):
        edges = np.geomspace(2**-4.75, 2**3.25, bins + 1)
        assert np.abs(edges * 100 - np.round(edges * 100)).min() > 0.01


def test_key_struck_again_ends_its_first_note() -> None:
    events = [
        TimedEvent(0.0, NoteOn(60, 64)),
        TimedEvent(1.0, NoteOn(60, 70)),
        TimedEvent(1.5, NoteOff(60)),
        TimedEvent(1.6, NoteOff(61)),
    ]

    notes = notes_of(events)

    assert notes.offset_s.tolist() == [1.0, 1.5]
    assert notes.velocity.tolist() == [64, 70]


def test_what_is_down_at_the_end_lasts_until_the_last_event() -> None:
    events = [
        TimedEvent(0.5, Pedal(True)),
        TimedEvent(1.0, NoteOn(60, 64)),
        TimedEvent(3.0, NoteOn(62, 64)),
    ]

    notes = notes_of(events)

    assert notes.offset_s.tolist() == [3.0, 3.0]
    assert notes.pedal_s.tolist() == [[0.5, 3.0]]
    assert notes.duration_s == 3.0


def test_pedal_holds_until_the_string_is_struck_again() -> None:
    notes = make_notes([(0.0, 0.2, 60, 64), (1.0, 1.1, 60, 64)], [(0.1, 2.0)])

    assert sustained(notes).offset_s.tolist() == [1.0, 2.0]


def test_one_pedal_does_not_hand_a_note_to_the_next() -> None:
    notes = make_notes([(0.0, 0.2, 60, 64)], [(0.1, 1.0), (1.0, 2.0)])

    assert sustained(notes).offset_s.tolist() == [1.0]


@given(PERFORMANCES)
@settings(max_examples=60, deadline=None)
def test_sustaining_twice_changes_nothing(performance: list[TimedEvent]) -> None:
    once = sustained(notes_of(performance))

    assert same(sustained(once), once)
    assert (once.offset_s >= notes_of(performance).offset_s).all() or len(once) == 0


@given(PERFORMANCES, st.floats(0.0, 5.0), st.floats(0.5, 20.0))
@settings(max_examples=60, deadline=None)
def test_excerpt_of_the_sustained_is_the_sustained_excerpt(
    performance: list[TimedEvent], start_s: float, length_s: float
) -> None:
    notes = notes_of(performance)

    first_held = excerpt(sustained(notes), start_s, start_s + length_s)
    first_cut = sustained(excerpt(notes, start_s, start_s + length_s))

    np.testing.assert_allclose(first_held.offset_s, first_cut.offset_s, atol=1e-9)


@given(PERFORMANCES)
@settings(max_examples=40, deadline=None)
def test_grid_moves_no_time_by_more_than_half_a_step_and_once_is_enough(
    performance: list[TimedEvent],
) -> None:
    notes = notes_of(performance)

    rounded = on_grid(notes)

    assert np.abs(np.sort(rounded.onset_s) - notes.onset_s).max(initial=0.0) <= 0.005 + 1e-9
    assert same(on_grid(rounded), rounded)


def test_real_performance_through_tokens_has_the_features_of_the_grid(real: Notes) -> None:
    events = read_performance(REAL)
    start_s = events[0].time_s
    shifted = [TimedEvent(time_s - start_s, event) for time_s, event in events]

    through_tokens = notes_of(decode(encode(shifted, Source.DISKLAVIER)))

    for name, feature in FEATURES.items():
        if "velocity" in name:  # 32 bins of velocity: up to 2 away, none in another bin of 8
            continue
        found = feature(sustained(on_grid(through_tokens)))
        np.testing.assert_allclose(found, feature(sustained(on_grid(real))), atol=0.01)


def test_excerpt_begins_at_its_first_instant_and_keeps_its_silence() -> None:
    notes = make_notes([(1.0, 2.0, 60, 64), (4.0, 9.0, 62, 64)], [(3.0, 8.0)])

    found = excerpt(notes, 3.5, 7.5)

    assert found.onset_s.tolist() == [0.5]
    assert found.offset_s.tolist() == [4.0]
    assert found.pedal_s.tolist() == [[0.0, 4.0]]
    assert found.duration_s == 4.0


def test_excerpt_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="must end after it begins"):
        excerpt(golden_notes(), 2.0, 2.0)


def test_first_notes_last_until_the_next_one_begins() -> None:
    notes = make_notes([(1.0, 9.0, 60, 64), (2.0, 2.5, 62, 64), (4.0, 5.0, 64, 64)], [(0.0, 9.0)])

    found = first_notes(notes, 2)

    assert found.onset_s.tolist() == [0.0, 1.0]
    assert found.offset_s.tolist() == [3.0, 1.5]
    assert found.pedal_s.tolist() == [[0.0, 3.0]]
    assert found.duration_s == 3.0


def test_fewer_notes_than_asked_for_is_an_error() -> None:
    with pytest.raises(TooFewNotes, match="6 notes where 7 are needed"):
        first_notes(golden_notes(), 7)
    with pytest.raises(ValueError, match="at least one note, not 0"):
        first_notes(golden_notes(), 0)


def test_windows_follow_each_other_and_leave_the_rest(real: Notes) -> None:
    found = windows(real, 100)

    assert len(found) == len(real) // 100
    assert np.array_equal(np.concatenate([w.pitch for w in found]), real.pitch[: 100 * len(found)])
    assert same(found[0], first_notes(real, 100))
    assert sum(w.duration_s for w in found) == pytest.approx(
        real.onset_s[100 * len(found)] - real.onset_s[0]
    )


def test_file_without_notes_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pedal.mid"
    write_performance(path, [Track("t", 0, (TimedEvent(0.0, Pedal(True)),))])

    with pytest.raises(TooFewNotes, match=r"pedal\.mid: holds no notes"):
        read_notes(path)
    (tmp_path / "junk.mid").write_bytes(b"junk")
    with pytest.raises(MidiFileError, match=r"junk\.mid"):
        read_notes(tmp_path / "junk.mid")


def test_notes_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ValueError, match="ends before it begins"):
        make_notes([(1.0, 0.5, 60, 64)])
    with pytest.raises(ValueError, match="overlap"):
        make_notes([(0.0, 1.0, 60, 64)], [(0.0, 2.0), (1.0, 3.0)])


def test_shuffled_music_keeps_its_notes_and_loses_their_order(real: Notes) -> None:
    notes = first_notes(real, 200)

    spoilt = shuffled(notes, np.random.default_rng(0))

    for name in ("pitch_count", "pitch_class_histogram", "pitch_range", "velocity_histogram"):
        np.testing.assert_allclose(FEATURES[name](spoilt), FEATURES[name](notes))
    np.testing.assert_allclose(
        np.sort(np.diff(spoilt.onset_s)), np.sort(np.diff(notes.onset_s)), atol=1e-9
    )
    assert not np.array_equal(spoilt.pitch, notes.pitch)
    assert len(onset_intervals(spoilt)) > 0


def test_random_notes_fill_the_same_time_with_as_many(real: Notes) -> None:
    notes = first_notes(real, 200)

    spoilt = random_notes(notes, np.random.default_rng(0))

    assert len(spoilt) == 200
    assert spoilt.duration_s == notes.duration_s
    assert spoilt.onset_s.max() <= notes.duration_s
    assert FEATURES["pitch_count"](spoilt)[0] > FEATURES["pitch_count"](notes)[0]


def test_music_of_no_duration_has_no_notes_per_second() -> None:
    assert FEATURES["notes_per_second"](make_notes([(0.0, 2e-309, 60, 64)])) == [0.0]
    assert FEATURES["notes_per_second"](make_notes([(0.0, 0.5, 60, 64)])) == [2.0]
