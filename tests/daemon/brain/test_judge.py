"""A candidate is worth more the more it is like what the player plays."""

import math

import numpy as np
import pytest

from daemon.brain.judge import (
    FEWEST_WINDOWS,
    HOP_S,
    USUAL,
    WINDOW_S,
    judge_by_likelihood,
    numbers_of,
    passage_of,
    usual_of,
)
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent


def played(
    seed: int,
    start_s: float,
    seconds: float,
    *,
    notes_per_s: float = 6.0,
    pitch: int = 60,
    velocity: int = 64,
    length_s: float = 0.25,
) -> list[TimedEvent]:
    """Return somebody's playing: one manner, and chance."""
    rng = np.random.default_rng(seed)
    events = []
    for at_s in start_s + np.sort(rng.uniform(0, seconds, round(seconds * notes_per_s))):
        key = int(pitch + rng.integers(-9, 10))
        struck = NoteOn(key, int(np.clip(velocity + rng.integers(-9, 10), 1, 127)))
        events.append(TimedEvent(float(at_s), struck))
        events.append(TimedEvent(float(at_s + length_s * rng.uniform(0.5, 1.5)), NoteOff(key)))
    return sorted(events, key=lambda event: event.time_s)


HEARD = played(0, 0.0, 20.0)


def score(**manner: float) -> float:
    """Return the mean score of four seconds in some manner."""
    judge = judge_by_likelihood(HEARD)
    assert judge is not None
    return float(
        np.mean([judge(played(seed, 30.0, 4.0, **manner), 30.0, 34.0) for seed in range(1, 6)])  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("notes_per_s", [12.0, 24.0, 48.0]),
        ("notes_per_s", [3.0, 1.0]),
        ("pitch", [72, 84, 96]),
        ("velocity", [84, 104]),
        ("length_s", [0.08, 0.03]),
        ("length_s", [1.0, 3.0]),
    ],
)
def test_what_strays_further_from_the_player_is_worth_less(name: str, values: list[float]) -> None:
    scores = [score(), *(score(**{name: value}) for value in values)]

    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1] + 0.1


def test_a_key_that_is_forgotten_is_worth_less() -> None:
    judge = judge_by_likelihood(HEARD)
    answer = played(1, 30.0, 4.0)
    forgotten = [TimedEvent(26.0, NoteOn(40, 64)), *answer]

    assert judge is not None
    assert judge(forgotten, 30.0, 34.0) < judge(answer, 30.0, 34.0)


def test_pedal_where_nobody_used_it_is_worth_less() -> None:
    judge = judge_by_likelihood(HEARD)
    answer = played(1, 30.0, 4.0)

    assert judge is not None
    assert judge([TimedEvent(30.0, Pedal(True)), *answer], 30.0, 34.0) < judge(answer, 30.0, 34.0)


def test_what_lies_behind_the_end_changes_nothing() -> None:
    judge = judge_by_likelihood(HEARD)
    answer = played(1, 30.0, 4.0)
    more = [*answer, *played(2, 34.5, 4.0, pitch=100)]

    assert judge is not None
    assert judge(more, 30.0, 34.0) == judge([e for e in more if e.time_s < 34.4], 30.0, 34.0)


@pytest.mark.parametrize(
    "heard",
    [
        [],
        HEARD[:1],
        [event for event in HEARD if event.time_s < WINDOW_S + (FEWEST_WINDOWS - 1) * HOP_S - 0.1],
        [TimedEvent(float(at_s), Pedal(bool(at_s % 2))) for at_s in range(60)],
    ],
)
def test_too_little_to_tell_what_is_usual_judges_nothing(heard: list[TimedEvent]) -> None:
    assert judge_by_likelihood(heard) is None


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.4])
def test_an_answer_that_ends_at_once_is_judged_too(seconds: float) -> None:
    judge = judge_by_likelihood(HEARD)

    assert judge is not None
    assert math.isfinite(judge(played(1, 26.0, 4.0), 30.0, 30.0 + seconds))


def test_numbers_of_a_window_are_what_they_say() -> None:
    passage = passage_of(
        [
            TimedEvent(0.0, NoteOn(40, 50)),
            TimedEvent(1.0, NoteOn(60, 60)),
            TimedEvent(1.01, NoteOn(64, 80)),
            TimedEvent(1.05, NoteOff(60)),
            TimedEvent(1.5, Pedal(True)),
            TimedEvent(1.51, NoteOff(64)),
            TimedEvent(1.75, Pedal(False)),
        ]
    )

    density, pitch, spread, length, short, velocity, touch, chord, pedal, held = numbers_of(
        passage, 1.0, 2.0
    )

    assert density == pytest.approx(math.log(2.5))
    assert (pitch, spread) == (62.0, 2.0)
    assert length == pytest.approx((math.log(0.05) + math.log(0.5)) / 2)
    assert short == 0.5
    assert (velocity, touch) == (70.0, 10.0)
    assert chord == pytest.approx(math.log(2))
    assert pedal == pytest.approx(0.25)
    assert held == pytest.approx(math.log(2.0))  # the first key is still down


def test_a_window_without_notes_tells_what_it_can() -> None:
    numbers = numbers_of(passage_of([]), 0.0, 2.0)

    assert numbers[0] == pytest.approx(math.log(0.25))
    assert numbers[8] == 0.0
    assert np.isnan(np.delete(numbers, [0, 8])).all()


def test_one_manner_throughout_still_allows_some_change() -> None:
    heard = [
        event
        for at_s in range(40)
        for event in (
            TimedEvent(at_s / 2, NoteOn(60, 64)),
            TimedEvent(at_s / 2 + 0.25, NoteOff(60)),
        )
    ]

    usual = usual_of(heard)

    assert usual is not None
    assert (usual.deviation > USUAL / 3).all()
