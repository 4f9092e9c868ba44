"""The tempo of a MIDI clock, out of ticks that jitter, change, stop, or are no clock at all."""

import random

import pytest

from daemon.stage.tempo import MOST_TICKS, Tempo
from perceivers.midi_numbers import CLOCKS_PER_BEAT


def tick_s(bpm: float) -> float:
    return 60.0 / (bpm * CLOCKS_PER_BEAT)


def ticked(bpm: float, ticks: int, jitter_s: float = 0.0, from_s: float = 10.0) -> Tempo:
    rng, tempo = random.Random(1), Tempo()
    tempo.start()
    for number in range(ticks):
        tempo.tick(from_s + number * tick_s(bpm) + rng.uniform(-jitter_s, jitter_s))
    return tempo


@pytest.mark.parametrize("bpm", [40.0, 97.3, 120.0, 240.0])
def test_with_5_ms_of_jitter_the_tempo_is_steady_to_half_a_percent(bpm: float) -> None:
    rng, tempo, worst = random.Random(2), Tempo(), 0.0
    for number in range(2000):
        tempo.tick(number * tick_s(bpm) + rng.uniform(-0.005, 0.005))
        if number >= MOST_TICKS:
            worst = max(worst, abs((tempo.bpm or 0.0) / bpm - 1.0))

    assert worst < 0.005
    assert tempo.refused == 0


def test_beats_and_bars_are_counted_from_the_start_of_the_song() -> None:
    tempo = ticked(120.0, 60)

    assert tempo.next_s(11.3, 1) == pytest.approx(11.5)
    assert tempo.next_s(11.5, 1) == pytest.approx(11.5)
    assert tempo.next_s(11.3, 4) == pytest.approx(12.0)
    assert tempo.next_s(12.1, 3) == pytest.approx(13.0)


def test_it_runs_on_when_the_clock_stops_coming() -> None:
    tempo = ticked(120.0, 96)

    assert tempo.bpm == pytest.approx(120.0)
    assert tempo.next_s(1000.2, 1) == pytest.approx(1000.5, abs=1e-3)


def test_a_song_position_says_where_in_the_song_it_is() -> None:
    tempo = ticked(120.0, 48)  # the next tick would be at 11.0
    tempo.place(2)  # an eighth into the song
    for number in range(30):
        tempo.tick(11.0 + number * tick_s(120.0))

    assert tempo.next_s(11.1, 4) == pytest.approx(10.75 + 2.0)


def test_it_follows_a_change_of_tempo_within_a_beat() -> None:
    tempo = ticked(120.0, 200, jitter_s=0.002)
    start_s = 10.0 + 200 * tick_s(120.0)
    for number in range(2 * CLOCKS_PER_BEAT):
        tempo.tick(start_s + number * tick_s(90.0))

    assert tempo.bpm == pytest.approx(90.0, rel=0.01)


@pytest.mark.parametrize("bpm", [3.0, 3000.0])
def test_what_cannot_be_a_tempo_is_refused_and_counted(bpm: float) -> None:
    tempo = ticked(bpm, 200)

    assert tempo.bpm is None
    assert tempo.next_s(5.0, 4) == 5.0
    assert tempo.refused > 0


def test_ticks_at_one_instant_are_no_clock() -> None:
    tempo = Tempo()
    for _ in range(50):
        tempo.tick(1.0)

    assert tempo.bpm is None
    assert tempo.refused > 0


def test_a_bad_clock_does_not_undo_a_good_one() -> None:
    tempo = ticked(120.0, 96)
    for number in range(100):
        tempo.tick(20.0 + number * tick_s(3000.0))

    assert tempo.bpm == pytest.approx(120.0)
