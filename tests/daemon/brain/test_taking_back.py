"""A take that was rejected leaves no trace: what the real engine predicts is what it would have."""

from pathlib import Path

import numpy as np
import pytest

from daemon.brain.performer import Performer
from daemon.engine import Engine
from daemon.parameters import Parameters
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent

PHRASE = [
    TimedEvent(0.25 * i + offset, event)
    for i, pitch in enumerate((60, 62, 64, 65, 67))
    for offset, event in ((0.0, NoteOn(pitch, 60 + 8 * i)), (0.2, NoteOff(pitch)))
]
PARAMETERS = Parameters(length=3.0, repetition_penalty=1.0)
START_S = 2.0


@pytest.fixture
def engine(tiny_model_folder: Path) -> Engine:
    return Engine.open(tiny_model_folder, precision="fp32")


def after_the_phrase(engine: Engine, by_s: float = 0.0) -> Performer:
    performer = Performer(engine, engine.manifest.architecture.context)
    performer.hear([TimedEvent(time_s + by_s, event) for time_s, event in PHRASE])
    return performer


def begin(performer: Performer, start_s: float, seed: int) -> None:
    performer.begin_turn(start_s, frozenset(), PARAMETERS, np.random.default_rng(seed))


def whole(performer: Performer) -> list[TimedEvent]:
    planned: list[TimedEvent] = []
    while performer.planned_until_s is not None:
        planned += performer.plan(float("inf"), 16)
    return planned


def logits_of(performer: Performer) -> np.ndarray:
    return performer._memory.logits().copy()


@pytest.fixture
def fresh(tiny_model_folder: Path) -> Performer:
    """One who has heard nothing but the phrase, 3 s later."""
    return after_the_phrase(Engine.open(tiny_model_folder, precision="fp32"), by_s=3.0)


@pytest.mark.parametrize("is_over", [True, False], ids=["over", "under way"])
def test_a_rejected_take_leaves_no_trace(engine: Engine, fresh: Performer, is_over: bool) -> None:
    performer = after_the_phrase(engine)
    begin(performer, START_S, 1)
    if is_over:
        performed = whole(performer)
        performer.end_turn(performed, [TimedEvent(5.0, NoteOn(90, 70))])
        performer.hear([TimedEvent(5.5, NoteOff(90)), TimedEvent(5.6, Pedal(True))])
        performer.digest(10_000)
    else:
        performer.plan(float("inf"), 60)
        performer.hear([TimedEvent(3.0, NoteOn(90, 70))])

    performer.take_back(1, by_s=3.0)

    for each in (performer, fresh):
        begin(each, START_S + 3.0, 2)
    np.testing.assert_array_equal(performer._memory._tokens, fresh._memory._tokens)
    np.testing.assert_allclose(logits_of(performer), logits_of(fresh), atol=1e-5)
    assert whole(performer) == whole(fresh)


def test_every_take_is_the_same_with_the_same_seed(engine: Engine) -> None:
    performer = after_the_phrase(engine)
    begin(performer, START_S, 1)
    first = whole(performer)
    performer.end_turn(first)
    for take in range(1, 4):
        performer.take_back(1, by_s=5.0)
        begin(performer, START_S + 5.0 * take, 1)
        again = whole(performer)
        performer.end_turn(again)

        assert [event for _, event in again] == [event for _, event in first]
        gaps = np.subtract([t_s for t_s, _ in again], [t_s for t_s, _ in first])
        np.testing.assert_allclose(gaps, 5.0 * take, atol=1e-6)


def test_the_last_answer_but_one_can_be_taken_again(engine: Engine, fresh: Performer) -> None:
    performer = after_the_phrase(engine)
    begin(performer, START_S, 1)
    performer.end_turn(whole(performer))
    begin(performer, START_S + 6.0, 2)
    performer.plan(float("inf"), 40)

    performer.take_back(2, by_s=3.0)

    for each in (performer, fresh):
        begin(each, START_S + 3.0, 2)
    np.testing.assert_allclose(logits_of(performer), logits_of(fresh), atol=1e-5)


def test_what_is_not_known_cannot_be_gone_back_to(engine: Engine) -> None:
    performer = after_the_phrase(engine)

    with pytest.raises(LookupError):
        performer.take_back(1, by_s=0.0)


def test_a_way_back_longer_than_the_context_is_fed_again(
    tiny_model_folder: Path, fresh: Performer
) -> None:
    engine = Engine.open(tiny_model_folder, precision="fp32")
    performer = after_the_phrase(engine)
    begin(performer, START_S, 1)
    performer.end_turn(whole(performer))
    context = engine.manifest.architecture.context
    for number in range(context):  # several tokens each
        performer.hear([TimedEvent(10.0 + 0.1 * number, NoteOn(60 + number % 12, 70))])
        performer.hear([TimedEvent(10.05 + 0.1 * number, NoteOff(60 + number % 12))])
        performer.digest(10_000)

    performer.take_back(1, by_s=3.0)

    for each in (performer, fresh):
        begin(each, START_S + 3.0, 2)
    np.testing.assert_allclose(logits_of(performer), logits_of(fresh), atol=1e-4)
