"""Ways on that are tried leave no trace, the best is played, and nothing waits for it."""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from daemon.brain.candidates import SEGMENT_S, Events, Judge, Score
from daemon.brain.choosing_performer import ChoosingPerformer
from daemon.brain.performer import Performer
from daemon.engine import Engine
from daemon.offline.continuing import closed
from daemon.parameters import Parameters
from perceivers.events import NoteOff, NoteOn, TimedEvent
from perceivers.midi_files import read_performance

STARTER = Path(__file__).resolve().parents[3] / "training" / "starter"
LEAD_S = 0.3
SEVERAL = Parameters(seed=5, length=7.0, candidates=4)


@pytest.fixture(scope="module")
def engine(tiny_model_folder: Path) -> Engine:
    return Engine.open(tiny_model_folder, precision="fp32")


@pytest.fixture(scope="module")
def phrase() -> list[TimedEvent]:
    """Return the first bars of a real performance."""
    events = read_performance(next(iter(sorted(STARTER.rglob("*.mid")))))
    return closed([event for event in events if event.time_s < events[0].time_s + 12.0])


class Fewest:
    """A judge that likes silence, and remembers all that it was asked about."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, list[TimedEvent], float]] = []

    def __call__(self, heard: Events) -> Score:
        assert heard
        return self._score

    def _score(self, events: Events, from_s: float, until_s: float) -> float:
        new = [event for event in events if event.time_s >= from_s]
        score = -float(len([event for event in new if isinstance(event.event, NoteOn)]))
        self.asked.append((from_s, new, score))
        return score


def begun(
    engine: Engine,
    phrase: Sequence[TimedEvent],
    parameters: Parameters,
    kind: type[Performer] = ChoosingPerformer,
    **judge: Judge | None,
) -> Performer:
    engine.reset()
    performer = kind(engine, engine.manifest.architecture.context, **judge)
    performer.hear(phrase)
    rng = np.random.default_rng(parameters.seed)
    performer.begin_turn(phrase[-1].time_s + 1.0, frozenset(), parameters, rng)
    return performer


def chooser(
    engine: Engine, phrase: Sequence[TimedEvent], parameters: Parameters, judge: Judge | None
) -> ChoosingPerformer:
    performer = begun(engine, phrase, parameters, judge=judge)
    assert isinstance(performer, ChoosingPerformer)
    return performer


def rest_of(performer: Performer) -> list[TimedEvent]:
    """Play on as it comes, to the end."""
    planned: list[TimedEvent] = []
    while performer.planned_until_s is not None:
        planned += performer.plan(float("inf"), 16)
    return planned


def chosen_to_the_end(performer: ChoosingPerformer) -> list[TimedEvent]:
    planned: list[TimedEvent] = []
    while performer.planned_until_s is not None:
        planned += performer.ponder(16) if performer.chooses else performer.plan(float("inf"), 16)
    return planned


def tokens_of(performer: Performer) -> list[int]:
    return [*performer._memory._tokens]


def test_one_candidate_is_as_without(engine: Engine, phrase: list[TimedEvent]) -> None:
    parameters = replace(SEVERAL, candidates=1)

    plain = rest_of(begun(engine, phrase, parameters, Performer))
    performer = chooser(engine, phrase, parameters, Fewest())

    assert not performer.chooses
    assert performer.ponder(100) == []
    assert rest_of(performer) == plain


def test_of_all_that_were_tried_the_best_is_played(
    engine: Engine, phrase: list[TimedEvent]
) -> None:
    judge = Fewest()

    planned = chosen_to_the_end(chooser(engine, phrase, SEVERAL, judge))

    forks = sorted({from_s for from_s, _, _ in judge.asked})
    assert len(judge.asked) == SEVERAL.candidates * len(forks)
    for from_s, until_s in zip(forks, [*forks[1:], float("inf")], strict=True):
        tried = [(score, new) for start_s, new, score in judge.asked if start_s == from_s]
        best = max(score for score, _ in tried)
        played = [event for event in planned if from_s <= event.time_s < until_s]
        assert any(
            score == best and played == [event for event in new if event.time_s < until_s]
            for score, new in tried
        )
    assert all(b - a >= SEGMENT_S for a, b in itertools.pairwise(forks))


def test_every_note_of_a_chosen_answer_is_released(
    engine: Engine, phrase: list[TimedEvent]
) -> None:
    planned = chosen_to_the_end(chooser(engine, phrase, SEVERAL, Fewest()))

    down: set[int] = set()
    for _, event in planned:
        if isinstance(event, NoteOn):
            assert event.pitch not in down
            down.add(event.pitch)
        elif isinstance(event, NoteOff):
            down.remove(event.pitch)
    assert planned == sorted(planned, key=lambda event: event.time_s)
    assert down == set()


def test_the_memory_holds_what_is_played_and_nothing_that_was_only_tried(
    engine: Engine, phrase: list[TimedEvent]
) -> None:
    performer = chooser(engine, phrase, SEVERAL, Fewest())
    planned = chosen_to_the_end(performer)
    tokens = tokens_of(performer)
    logits = performer._memory.logits().copy()

    engine.reset()
    afresh = engine.feed(tokens)

    np.testing.assert_allclose(logits, afresh, atol=1e-4)
    strokes = sum(isinstance(event.event, NoteOn) for event in [*phrase, *planned])
    assert sum(token in range(4, 4 + 128) for token in tokens) <= strokes + len(tokens)


@pytest.mark.parametrize("tried_tokens", [1, 7, 60, 400])
def test_what_the_player_does_meanwhile_takes_back_what_was_tried(
    engine: Engine, phrase: list[TimedEvent], tried_tokens: int
) -> None:
    start_s = phrase[-1].time_s + 1.0
    key = TimedEvent(start_s + 0.1, NoteOn(60, 64))
    plain = begun(engine, phrase, SEVERAL, Performer)
    plain.plan(start_s + LEAD_S, 1000)
    plain.hear([key])
    expected = tokens_of(plain)

    performer = chooser(engine, phrase, SEVERAL, Fewest())
    performer.plan(start_s + LEAD_S, 1000)
    planned_until_s = performer.planned_until_s
    events = performer.ponder(tried_tokens)
    if not events:
        assert performer.planned_until_s == planned_until_s
        performer.hear([key])
        assert tokens_of(performer) == expected


def test_ending_a_turn_takes_back_what_was_tried(engine: Engine, phrase: list[TimedEvent]) -> None:
    start_s = phrase[-1].time_s + 1.0
    left = []
    for kind in (Performer, ChoosingPerformer):
        performer = begun(engine, phrase, SEVERAL, kind)
        performed = performer.plan(start_s + LEAD_S, 1000)
        if isinstance(performer, ChoosingPerformer):
            performer.ponder(50)
        performer.end_turn(closed(performed))
        left.append((tokens_of(performer), performer.planned_until_s))

    assert left[0] == left[1]


@pytest.mark.parametrize("tried_tokens", [1, 4, 10])
def test_when_time_is_up_before_any_is_finished_the_one_being_tried_is_played_on(
    engine: Engine, phrase: list[TimedEvent], tried_tokens: int
) -> None:
    start_s = phrase[-1].time_s + 1.0
    judge = Fewest()
    plain = rest_of(begun(engine, phrase, SEVERAL, Performer))

    performer = chooser(engine, phrase, SEVERAL, judge)
    planned = performer.plan(start_s + LEAD_S, 1000)
    assert performer.ponder(tried_tokens) == []
    planned += rest_of(performer)

    assert judge.asked == []
    assert planned == plain  # the first one tried is what would have come


def test_the_first_notes_are_those_that_come_without(
    engine: Engine, phrase: list[TimedEvent]
) -> None:
    start_s = phrase[-1].time_s + 1.0
    plain = begun(engine, phrase, replace(SEVERAL, candidates=1), Performer)
    performer = chooser(engine, phrase, SEVERAL, Fewest())

    assert performer.plan(start_s + LEAD_S, 1000) == (
        begun(engine, phrase, replace(SEVERAL, candidates=1), Performer).plan(
            start_s + LEAD_S, 1000
        )
    )
    assert plain.planned_until_s is not None


def failing(heard: Events) -> Score:
    raise ZeroDivisionError("nobody played")


def failing_later(heard: Events) -> Score:
    def score(events: Events, from_s: float, until_s: float) -> float:
        raise KeyError(from_s)

    return score


@pytest.mark.parametrize("judge", [None, failing, failing_later])
def test_a_judge_that_fails_or_is_missing_costs_one_warning_and_the_answer_plays(
    engine: Engine,
    phrase: list[TimedEvent],
    judge: Judge | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = rest_of(begun(engine, phrase, SEVERAL, Performer))
    with caplog.at_level(logging.WARNING):
        performer = chooser(engine, phrase, SEVERAL, judge)
        planned = chosen_to_the_end(performer)
        performer.end_turn(planned)
        performer.begin_turn(
            planned[-1].time_s + 1.0, frozenset(), SEVERAL, np.random.default_rng(1)
        )
        again = chosen_to_the_end(performer)

    (record,) = caplog.records
    assert "judge" in record.message
    assert "answers are played without choosing" in record.message
    assert planned == plain or judge is failing_later
    assert again
    assert not performer.chooses


def test_too_little_to_judge_by_is_no_fault(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    key = [TimedEvent(0.0, NoteOn(60, 64)), TimedEvent(0.5, NoteOff(60))]
    plain = rest_of(begun(engine, key, SEVERAL, Performer))

    performer = begun(engine, key, SEVERAL)
    assert isinstance(performer, ChoosingPerformer)
    planned = chosen_to_the_end(performer)

    assert planned == plain
    assert caplog.records == []
