"""The brain at the other end of its pipe: when what was heard is read."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import pytest

from daemon.brain import process
from daemon.brain.choosing_performer import ChoosingPerformer
from daemon.brain.process import LONG_BACKLOG, Brain, BrainOptions, options_of
from daemon.engine import Engine
from daemon.messages.brain import (
    BeginTurn,
    BrainReady,
    EndTurn,
    Hear,
    PlanComplete,
    Planned,
    Pulse,
    Quit,
    Recall,
)
from daemon.parameters import Parameters
from daemon.settings import Settings, TimingSettings
from perceivers.events import NoteOff, NoteOn, TimedEvent

pytestmark = pytest.mark.slow

T = TypeVar("T")

PATIENCE_S = 60.0
OPENING_TOKENS = 2  # of every memory
PHRASE = tuple(
    event
    for pitch in range(60, 72)
    for event in (TimedEvent(0.0, NoteOn(pitch, 64)), TimedEvent(0.0, NoteOff(pitch)))
)


@contextmanager
def serving(model: Path, feed_after_s: float | None) -> Iterator[Connection]:
    """Let a brain serve; yield the stage's end of its pipe, past the word that it is ready."""
    stage, its_own = Pipe()
    options = BrainOptions(model, "cpu", "fp32", 1, 0.3, feed_after_s, time.monotonic_ns())
    thread = threading.Thread(target=Brain(its_own, options, ChoosingPerformer).serve)
    thread.start()
    try:
        assert isinstance(received(stage), BrainReady)
        yield stage
    finally:
        stage.send(Quit())
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_a_brain_that_is_ready_says_how_many_notes_a_second_it_can_play(
    tiny_model_folder: Path,
) -> None:
    stage, its_own = Pipe()
    options = BrainOptions(tiny_model_folder, "cpu", "fp32", 1, 0.3, 0.0, time.monotonic_ns())

    ready = Brain(its_own, options, ChoosingPerformer).ready

    assert ready.step_ms > 0
    assert ready.notes_per_s is not None
    assert ready.full_notes_per_s is not None
    assert 0 < ready.full_notes_per_s < ready.notes_per_s
    assert ready.advice is None  # a model so small plays thousands
    stage.close()


def received(stage: Connection) -> object:
    assert stage.poll(PATIENCE_S), "the brain says nothing"
    return stage.recv()


def next_of(stage: Connection, kind: type[T]) -> T:
    while not isinstance(message := received(stage), kind):
        pass
    return message


def pulse_that_knows(stage: Connection, tokens: int) -> Pulse:
    """Return the first pulse after so many tokens are remembered, fed or not."""
    while (pulse := next_of(stage, Pulse)).position < tokens:
        pass
    return pulse


@pytest.mark.parametrize("feed_after_s", [0.0, 0.02])
def test_what_is_heard_is_read_before_any_turn(
    tiny_model_folder: Path, feed_after_s: float
) -> None:
    with serving(tiny_model_folder, feed_after_s) as stage:
        for event in PHRASE:
            stage.send(Hear((event,)))
        pulse = pulse_that_knows(stage, OPENING_TOKENS + len(PHRASE))
        while pulse.lag_tokens:
            pulse = next_of(stage, Pulse)

    assert pulse.position == OPENING_TOKENS + len(PHRASE) + 1  # and one velocity


def test_what_is_heard_may_wait_for_the_turn(tiny_model_folder: Path) -> None:
    with serving(tiny_model_folder, feed_after_s=None) as stage:
        stage.send(Hear(PHRASE))
        for _ in range(2):
            pulse = pulse_that_knows(stage, OPENING_TOKENS + len(PHRASE))
            assert pulse.lag_tokens == pulse.position
        stage.send(BeginTurn(1, 1.0, frozenset(), Parameters(seed=1)))
        assert next_of(stage, Planned).turn == 1
        assert next_of(stage, Pulse).lag_tokens == 0

        stage.send(EndTurn(1, ()))
        stage.send(Hear((TimedEvent(5.0, NoteOn(60, 64)),)))
        while not (pulse := next_of(stage, Pulse)).lag_tokens:
            pass
        assert next_of(stage, Pulse).lag_tokens == pulse.lag_tokens


def test_a_long_history_is_read_as_a_whole(tiny_model_folder: Path) -> None:
    history = PHRASE * (LONG_BACKLOG // len(PHRASE) + 1)
    with serving(tiny_model_folder, feed_after_s=0.02) as stage:
        stage.send(Recall(history))
        pulse = pulse_that_knows(stage, LONG_BACKLOG)
        while pulse.lag_tokens:
            pulse = next_of(stage, Pulse)

    assert pulse.position > LONG_BACKLOG


def test_who_reads_much_for_a_turn_says_meanwhile_that_it_lives(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Engine.read

    def read_slowly(engine: Engine, tokens: Any) -> Any:
        time.sleep(0.01)
        return read(engine, tokens)

    monkeypatch.setattr(process, "PULSE_S", 0.05)
    with serving(tiny_model_folder, feed_after_s=None) as stage:
        history = PHRASE * 40  # short of what is looked up: about 60 runs
        stage.send(Hear(history))
        pulse_that_knows(stage, len(history))
        monkeypatch.setattr(Engine, "read", read_slowly)
        stage.send(BeginTurn(1, 1.0, frozenset(), Parameters(seed=1)))
        pulses = []
        while isinstance(said := received(stage), Pulse):
            pulses.append(said)

    assert isinstance(said, Planned)
    assert len(pulses) >= 6
    assert all(pulse.position >= len(history) for pulse in pulses)


def test_who_hears_a_long_history_says_meanwhile_that_it_lives(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear = ChoosingPerformer.hear

    def hear_slowly(performer: ChoosingPerformer, events: Sequence[TimedEvent]) -> None:
        time.sleep(0.06)
        hear(performer, events)

    monkeypatch.setattr(process, "PULSE_S", 0.05)
    monkeypatch.setattr(ChoosingPerformer, "hear", hear_slowly)
    with serving(tiny_model_folder, feed_after_s=None) as stage:
        stage.send(Recall(PHRASE * 400))
        whole = OPENING_TOKENS + len(PHRASE) * 400
        heard = []
        while (pulse := next_of(stage, Pulse)).position < whole:
            heard.append(pulse.position)

    assert len({*heard}) >= 6


@pytest.mark.parametrize(
    ("feed_after_ms", "feed_after_s"), [(50.0, 0.05), (0.0, 0.0), (None, None)]
)
def test_the_settings_say_how_long_it_may_wait(
    feed_after_ms: float | None, feed_after_s: float | None
) -> None:
    settings = Settings(timing=TimingSettings(feed_after_ms=feed_after_ms))

    assert options_of(settings, origin_ns=5).feed_after_s == feed_after_s


def test_nothing_is_late_for_candidates_and_the_first_notes_do_not_wait(
    tiny_model_folder: Path,
) -> None:
    phrase = tuple(
        TimedEvent(at / 10 + offset, event)
        for at in range(90)
        for offset, event in ((0.0, NoteOn(60 + at % 7, 64)), (0.05, NoteOff(60 + at % 7)))
    )
    plans: dict[int, list[tuple[float, Planned]]] = {}
    for candidates in (1, 8):
        origin_ns = time.monotonic_ns() - round(10.0 * 1e9)  # ten seconds of the session are over
        stage, its_own = Pipe()
        options = BrainOptions(tiny_model_folder, "cpu", "fp32", 1, 0.3, 0.0, origin_ns)
        thread = threading.Thread(target=Brain(its_own, options, ChoosingPerformer).serve)
        thread.start()
        assert isinstance(received(stage), BrainReady)
        stage.send(Hear(phrase))
        start_s = (time.monotonic_ns() - origin_ns) / 1e9 + 0.05
        stage.send(
            BeginTurn(
                1, start_s, frozenset(), Parameters(seed=1, length=5.0, candidates=candidates)
            )
        )
        plans[candidates] = []
        while not isinstance(said := received(stage), PlanComplete):
            if isinstance(said, Planned):
                arrived_s = (time.monotonic_ns() - origin_ns) / 1e9
                plans[candidates].append((arrived_s, said))
        stage.send(Quit())
        thread.join(PATIENCE_S)

    assert max(len(planned.events) for _, planned in plans[8]) > 2  # some came as a choice
    late_s = {
        count: max(arrived_s - planned.events[0].time_s for arrived_s, planned in plan[1:])
        for count, plan in plans.items()
    }
    assert late_s[8] <= max(0.1, late_s[1])  # later than 100 ms, a note would be dropped
