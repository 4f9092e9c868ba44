"""Onsets are drawn to the grid of a clock, lengths stay, and the memory keeps what was written."""

import math

import numpy as np
import pytest

from daemon.brain.grid import NO_GRID, Grid
from daemon.brain.performer import Performer
from daemon.parameters import Parameters
from perceivers.events import NoteOff, NoteOn, TimedEvent
from tests.daemon.brain.test_giving_way import PHRASE, START_S, EvenEngine, remembered, strikes

GRID = Grid(from_s=0.03, step_s=0.125)


def answer(
    quantise: float, grid: Grid = GRID, **changes: float
) -> tuple[Performer, list[TimedEvent]]:
    performer = Performer(EvenEngine(), 4096)
    performer.hear(PHRASE)
    parameters = Parameters(length=6.0, quantise=quantise, **changes)  # type: ignore[arg-type]
    rng = np.random.default_rng(3)
    performer.begin_turn(START_S, frozenset(), parameters, rng, grid=grid)
    planned: list[TimedEvent] = []
    while performer.planned_until_s is not None:
        planned += performer.plan(math.inf, 16)
    return performer, sorted(planned, key=lambda timed: timed.time_s)


def from_grid_s(timed: TimedEvent) -> float:
    return abs(math.remainder(timed.time_s - GRID.from_s, GRID.step_s))


def lengths_s(events: list[TimedEvent]) -> list[float]:
    down: dict[int, float] = {}
    lengths = []
    for time_s, event in events:
        if isinstance(event, NoteOn):
            down[event.pitch] = time_s
        elif isinstance(event, NoteOff):
            lengths.append((event.pitch, down[event.pitch], time_s - down.pop(event.pitch)))
    assert not down
    return [length_s for _, _, length_s in sorted(lengths)]


def steps_by_event(performer: Performer) -> dict[str, list[int]]:
    said: dict[str, list[int]] = {}
    for step, event in remembered(performer):
        said.setdefault(repr(event), []).append(step)
    return said


def test_a_moment_is_drawn_to_the_nearest_of_the_grid() -> None:
    assert GRID.shift_s(0.15, 1.0) == pytest.approx(0.005)
    assert GRID.shift_s(0.15, 0.5) == pytest.approx(0.0025)
    assert GRID.shift_s(0.20, 1.0) == pytest.approx(-0.045)
    assert GRID.shift_s(0.15, 0.0) == NO_GRID.shift_s(0.15, 1.0) == 0.0


def test_onsets_come_nearer_by_as_much_as_is_asked_for() -> None:
    distances = {}
    for quantise in (0.0, 0.5, 1.0):
        onsets = strikes(answer(quantise)[1])
        assert len(onsets) > 20
        distances[quantise] = float(np.median([from_grid_s(each) for each in onsets]))

    assert distances[0.0] > 0.015
    assert distances[0.5] == pytest.approx(distances[0.0] / 2, rel=0.3)
    assert distances[1.0] < 1e-6


def test_every_note_is_struck_and_released_in_turn_and_none_before_its_turn() -> None:
    _, planned = answer(1.0)

    lengths_s(planned)  # each strike has its release
    assert min(timed.time_s for timed in planned) >= START_S


def test_without_a_clock_nothing_is_moved() -> None:
    assert answer(1.0, NO_GRID)[1] == answer(0.0, NO_GRID)[1]


@pytest.mark.parametrize("shape", [{}, {"transpose": 5, "tempo_scale": 0.5}])
def test_the_memory_keeps_what_was_written(shape: dict[str, float]) -> None:
    (free, planned), (drawn, moved) = answer(0.0, **shape), answer(1.0, **shape)
    assert planned != moved

    free.end_turn(planned)
    drawn.end_turn(moved)

    assert steps_by_event(drawn).keys() == steps_by_event(free).keys()
    for event, steps in steps_by_event(free).items():
        assert steps_by_event(drawn)[event] == pytest.approx(steps, abs=1)  # rounding
