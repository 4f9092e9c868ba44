"""The measurements of the whole daemon: their material, their arithmetic, their command lines."""

import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.bench.live.__main__ import main
from daemon.bench.live.drift import drift_of
from daemon.bench.live.measurements import HandOvers
from daemon.bench.live.music import Passage, densest, passage, past_of, performances_in
from daemon.bench.live.prepared_daemon import Dictation, Preparation, PreparedPerformer
from daemon.bench.live.processor_time import processor_s, resident_mb, shares
from daemon.bench.live.report import percentiles, policy_name, pooled
from daemon.bench.live.soak import Sample, engine_samples, gather, grew, report_of
from daemon.bench.live.soak import main as soak
from daemon.engine import Engine
from daemon.parameters import Parameters
from perceivers.encoder import encode
from perceivers.errors import MidiFileError
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent

FEW = 8  # performances are enough here


@pytest.fixture(scope="module")
def music() -> list[list[TimedEvent]]:
    return list(itertools.islice(performances_in(), FEW))


@pytest.fixture(scope="module")
def engine(tiny_model_folder: Path) -> Engine:
    return Engine.open(tiny_model_folder, precision="fp32")


def onsets(events: Sequence[TimedEvent]) -> list[float]:
    return [time_s for time_s, event in events if isinstance(event, NoteOn)]


def assert_all_is_released(events: Sequence[TimedEvent]) -> None:
    down: set[int] = set()
    pedal = False
    for _, event in events:
        if isinstance(event, Pedal):
            pedal = event.down
        else:
            (down.add if isinstance(event, NoteOn) else down.discard)(event.pitch)
    assert not down
    assert not pedal


@pytest.mark.parametrize("tokens", [0, 100, 3000, 20_000])
def test_a_past_is_long_enough_and_leaves_nothing_sounding(
    music: list[list[TimedEvent]], tokens: int
) -> None:
    past = past_of(music, tokens)

    assert tokens <= len(encode(past)) <= tokens + 150
    assert [event.time_s for event in past] == sorted(event.time_s for event in past)
    assert_all_is_released(past)


def test_a_past_longer_than_all_music_is_refused(music: list[list[TimedEvent]]) -> None:
    with pytest.raises(ValueError, match="10000000 are wanted"):
        past_of(music, 10_000_000)


@pytest.mark.parametrize("rate", [4.0, 9.0, 20.0, 45.0])
def test_a_passage_has_the_density_asked_for(music: list[list[TimedEvent]], rate: float) -> None:
    found = passage(music, rate, 6.0)

    assert found.notes_per_s == pytest.approx(rate, rel=0.05)
    assert found.duration_s == pytest.approx(6.0)
    assert found.events[0].time_s == 0.0
    assert isinstance(found.events[0].event, NoteOn)
    assert onsets(found.events)[-1] < 6.0
    assert_all_is_released(found.events)
    assert 3 * rate < len(found.tokens()) / 6.0 < 7 * rate


def test_the_densest_passage_is_found() -> None:
    sparse = [TimedEvent(float(second), NoteOn(60, 64)) for second in range(60)]
    burst = [TimedEvent(30.0 + place / 10, NoteOn(70, 64)) for place in range(1, 21)]

    rate, around = densest([sparse, sorted(sparse + burst, key=lambda e: e.time_s)], 2.0)

    assert rate == 11.0  # twenty of the burst and two of the others in 2 s
    assert len(onsets(around.events)) == 26
    assert around.duration_s == pytest.approx(5.1)  # from the first note in it on


def test_music_without_notes_or_with_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="no notes"):
        densest([[]], 5.0)
    with pytest.raises(ValueError, match="no performance has 40 notes"):
        passage([[TimedEvent(0.0, NoteOn(60, 64))]], 4.0, 10.0)


def test_a_folder_without_music_is_named(tmp_path: Path) -> None:
    with pytest.raises(MidiFileError, match=str(tmp_path)):
        next(performances_in(tmp_path))


class Listener:
    """An engine that writes down what it is fed, and expects nothing in particular."""

    def __init__(self) -> None:
        self.fed: list[int] = []

    def feed(self, tokens: Sequence[int]) -> np.ndarray:
        self.fed += tokens
        return np.zeros(400, np.float32)

    mark = rewind = reset = None


def test_dictation_prefers_the_next_tokens_in_their_order() -> None:
    dictation = Dictation(Listener())
    dictation.dictate([5, 9, 7, 9, 11, 12])

    logits = dictation.feed([1])
    assert np.argsort(-logits)[:3].tolist() == [5, 9, 7]

    logits = dictation.feed([5])
    assert np.argsort(-logits)[:3].tolist() == [9, 7, 11]

    logits = dictation.feed([7])  # 9 was forbidden
    assert np.argsort(-logits)[:3].tolist() == [9, 11, 12]

    logits = dictation.feed([100])  # nothing of it could be had: the next is let go
    assert np.argsort(-logits)[:2].tolist() == [11, 12]

    dictation.feed([11])
    assert not dictation.feed([12]).any()


def test_a_turn_plays_its_piece_and_the_past_comes_back(
    engine: Engine, music: list[list[TimedEvent]], tmp_path: Path
) -> None:
    played = passage(music, 10.0, 4.0)
    leads = tmp_path / "leads"
    preparation = Preparation(500, (tuple(played.tokens()),), str(leads))
    past = past_of(music, 500)
    performer = PreparedPerformer(engine, 96, past, preparation, time.monotonic_ns())
    before = performer.position
    performer.begin_turn(1.0, frozenset(), Parameters(length=3.5), np.random.default_rng(0))
    planned: list[TimedEvent] = []
    while performer.planned_until_s is not None and len(planned) < 1000:
        planned += performer.plan(float("inf"), 8)
    performer.end_turn(planned)

    wanted = [event for event in played.events if event.time_s < 3.0]
    notes = [(e.event.pitch, round(e.time_s, 1)) for e in wanted if isinstance(e.event, NoteOn)]
    got = [(e.event.pitch, e.time_s - 1.0) for e in planned if isinstance(e.event, NoteOn)]
    assert [pitch for pitch, _ in got[: len(notes)]] == [pitch for pitch, _ in notes]
    assert got[len(notes) - 1][1] == pytest.approx(notes[-1][1], abs=0.1)
    assert len(leads.read_text().splitlines()) == 1

    performer.forget()
    assert performer.position == before
    assert performer.lag_tokens == 0


@given(
    slope=st.floats(-3, 3),
    start=st.floats(-100, 100),
    outliers=st.lists(st.tuples(st.integers(0, 59), st.floats(-1e3, 1e3)), max_size=5),
)
def test_a_slope_is_found_in_spite_of_outliers(
    slope: float, start: float, outliers: list[tuple[int, float]]
) -> None:
    minutes = [float(minute) for minute in range(60)]
    values = [start + slope * minute for minute in minutes]
    for place, value in outliers:
        values[place] = value

    drift = drift_of(minutes, values)

    assert drift.slope == pytest.approx(slope, abs=1e-6)
    assert drift.slope_low - 1e-6 <= slope <= drift.slope_high + 1e-6


def test_the_interval_of_a_slope_holds_it_19_times_out_of_20() -> None:
    rng = np.random.default_rng(0)
    minutes = list(range(40))
    holds = 0
    for _ in range(300):
        drift = drift_of(minutes, (0.1 * np.arange(40) + rng.standard_normal(40)).tolist())
        holds += drift.slope_low <= 0.1 <= drift.slope_high

    assert 0.92 <= holds / 300 <= 0.98


def test_the_slope_is_that_of_an_example_worked_by_hand() -> None:
    drift = drift_of(range(10), [0, 1, 2, 3, 40, 5, 6, 7, 8, 9])

    assert (drift.first, drift.last, drift.slope) == (0, 9, 1)
    assert drift.is_rising
    assert grew(drift, 0.01)


def test_noise_does_not_count_as_growth() -> None:
    values = (250 + np.random.default_rng(1).standard_normal(60)).tolist()

    assert not grew(drift_of(range(60), values), 0.01)


def test_few_points_tell_no_drift() -> None:
    with pytest.raises(ValueError, match="9 points tell no drift"):
        drift_of(range(9), range(9))


def test_percentiles() -> None:
    assert percentiles(range(1, 102)) == (51, 96, 100)
    assert percentiles([4.0]) == (4.0, 4.0, 4.0)


def test_rounds_of_one_kind_are_pooled() -> None:
    rounds = [HandOvers(20.0, 1024, 300, [1.0], [0.5], [2.0]) for _ in range(2)]
    other = HandOvers(None, 1024, 300, [9.0], [8.0], [2.0])

    first, second = pooled([rounds[0], other, rounds[1]])

    assert first.outside_ms == [1.0, 1.0]
    assert second == other


def test_policies_have_names() -> None:
    names = [policy_name(after_ms) for after_ms in (0.0, 20.0, None)]
    assert names == ["at once", "after 20 ms", "at the trigger"]


def test_shares_are_percents_of_a_core() -> None:
    before = {"supervisor": 1.0, "stage": 2.0, "brain": 3.0}
    after = {"supervisor": 1.0, "stage": 2.5, "brain": 5.0}

    assert shares(before, after, 10.0) == {
        "supervisor": 0.0, "stage": 5.0, "brain": 20.0, "all": 25.0,
    }  # fmt: skip


def test_processor_time_and_memory_of_this_process() -> None:
    held = bytearray(os.urandom(64)) * 1_000_000

    assert resident_mb() > len(held) / 1e6
    assert processor_s(os.getpid())["supervisor"] == pytest.approx(sum(os.times()[:2]), abs=0.5)


@pytest.mark.slow
def test_a_soak_of_the_engine_tells_what_it_saw(
    tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / "soak.json", tmp_path / "soak.png"]
    words = ["--model", str(tiny_model_folder), "--minutes", "0.02"]

    code = soak([*words, "--json", str(paths[0]), "--picture", str(paths[1])])

    assert code in (0, 1)
    assert all(path.stat().st_size > 0 for path in paths)
    told = capsys.readouterr().out
    assert "memory: " in told
    assert "time of a token: " in told


@pytest.mark.slow
def test_a_soak_can_be_ended_early(tiny_model_folder: Path) -> None:
    def interrupted() -> "itertools.chain[Sample]":
        def stop() -> "list[Sample]":
            raise KeyboardInterrupt

        few = itertools.islice(engine_samples(tiny_model_folder, 0.05), 3)
        return itertools.chain(few, (each for _ in [0] for each in stop()))

    samples = gather(interrupted())

    assert len(samples) == 3
    assert report_of(tiny_model_folder, "engine", samples).memory is None


@pytest.mark.parametrize("words", [["--parts", "music"], ["--quick", "3"], ["--modle", "x"]])
def test_a_wrong_command_line_is_told(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_minutes_must_be_some(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        soak(["--minutes", "0"])

    assert "more than 0" in capsys.readouterr().err


def test_a_passage_can_be_read_as_tokens() -> None:
    events = (TimedEvent(0.0, NoteOn(60, 64)), TimedEvent(0.5, NoteOff(60)))

    assert len(Passage(2.0, 0.5, events).tokens()) == 4  # velocity, note-on, time-shift, note-off
