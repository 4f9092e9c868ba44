"""The memory is what was heard: whatever was planned and not played leaves no trace."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from daemon.brain.memory import MAX_SILENCE_S, MOST_MOMENTS, Memory
from daemon.engine import Engine
from perceivers import vocabulary as v
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent

SCALE = [
    TimedEvent(0.25 * i + offset, event)
    for i, pitch in enumerate((60, 62, 64, 65, 67))
    for offset, event in ((0.0, NoteOn(pitch, 60 + 8 * i)), (0.2, NoteOff(pitch)))
]


@pytest.fixture
def engine(tiny_model_folder: Path) -> Engine:
    return Engine.open(tiny_model_folder, precision="fp32")


def memory_of(engine: Engine) -> Memory:
    return Memory(engine, engine.manifest.architecture.context)


def logits_after(folder: Path, events: Sequence[TimedEvent]) -> np.ndarray:
    """Return the logits of a fresh engine that heard nothing but these events."""
    fresh = memory_of(Engine.open(folder, precision="fp32"))
    for event in events:
        fresh.hear(event)
    return fresh.logits().copy()


def take_note(memory: Memory, pitch: int, steps: int) -> list[TimedEvent]:
    """Take the tokens of one note of our own, lasting so many steps."""
    tokens = [v.VELOCITY + 9, v.NOTE_ON + pitch, v.shift_token(steps), v.NOTE_OFF + pitch]
    events = []
    for token in tokens:
        events.append(memory.take(token))
        memory.logits()  # as for the choice of the next one
    return [event for event in events if event is not None]


def test_heard_in_pieces_equals_heard_at_once(engine: Engine, tiny_model_folder: Path) -> None:
    memory = memory_of(engine)

    for event in SCALE:
        memory.hear(event)
        memory.digest(1)

    expected = logits_after(tiny_model_folder, SCALE)
    np.testing.assert_allclose(memory.logits(), expected, atol=1e-4)


def test_unplayed_plan_is_forgotten(engine: Engine, tiny_model_folder: Path) -> None:
    memory = memory_of(engine)
    for event in SCALE:
        memory.hear(event)
    bookmark = memory.bookmark()
    memory.wait_until(2.5)
    memory.logits()
    for pitch in (70, 72, 74):
        take_note(memory, pitch, 20)

    memory.agree(bookmark, [])

    expected = logits_after(tiny_model_folder, SCALE)
    np.testing.assert_allclose(memory.logits(), expected, atol=1e-4)
    assert memory.state.sounding == set()


def test_played_part_of_a_plan_stays(engine: Engine, tiny_model_folder: Path) -> None:
    memory = memory_of(engine)
    for event in SCALE:
        memory.hear(event)
    bookmark = memory.bookmark()
    memory.wait_until(2.5)
    memory.logits()
    played = take_note(memory, 70, 20)
    take_note(memory, 72, 20)
    slightly_late = [TimedEvent(event.time_s + 0.004, event.event) for event in played]

    memory.agree(bookmark, slightly_late)
    memory.hear(TimedEvent(4.0, NoteOn(48, 70)))

    heard = [*SCALE, *played, TimedEvent(4.0, NoteOn(48, 70))]
    np.testing.assert_allclose(memory.logits(), logits_after(tiny_model_folder, heard), atol=1e-4)


def test_what_was_sent_otherwise_than_planned_is_remembered_as_sent(
    engine: Engine, tiny_model_folder: Path
) -> None:
    memory = memory_of(engine)
    for event in SCALE:
        memory.hear(event)
    bookmark = memory.bookmark()
    memory.logits()
    (on, _) = take_note(memory, 70, 80)
    cut = TimedEvent(on.time_s + 0.31, NoteOff(70))

    memory.agree(bookmark, [on, cut])

    expected = logits_after(tiny_model_folder, [*SCALE, on, cut])
    np.testing.assert_allclose(memory.logits(), expected, atol=1e-4)


def test_pedal_put_where_it_was_does_not_disturb_the_agreement(engine: Engine) -> None:
    memory = memory_of(engine)
    memory.hear(TimedEvent(0.0, Pedal(True)))
    for event in SCALE:
        memory.hear(event)
    bookmark = memory.bookmark()
    memory.logits()
    played = take_note(memory, 70, 20)
    before = memory.token_count

    memory.agree(bookmark, [TimedEvent(1.2, Pedal(True)), *played])

    assert memory.token_count == before
    assert memory.lag_tokens == 0


@pytest.mark.parametrize("notes", [60, MOST_MOMENTS // 4 + 10])
def test_plan_longer_than_the_caches_reach_back_is_forgotten_too(
    tiny_model_folder: Path, notes: int
) -> None:
    engine = Engine.open(tiny_model_folder, precision="fp32", rewind_tokens=8)
    memory = memory_of(engine)
    for event in SCALE:
        memory.hear(event)
    bookmark = memory.bookmark()
    for _ in range(notes):
        take_note(memory, 70, 3)
    assert len(memory._moments) <= MOST_MOMENTS

    memory.agree(bookmark, [])

    expected = logits_after(tiny_model_folder, SCALE)
    np.testing.assert_allclose(memory.logits(), expected, atol=1e-4)


def test_long_silence_is_shortened_and_session_time_kept(engine: Engine) -> None:
    memory = memory_of(engine)
    memory.hear(TimedEvent(5.0, NoteOn(60, 64)))
    memory.hear(TimedEvent(5.5, NoteOff(60)))

    memory.wait_until(3605.5)

    assert memory.state.time_s == pytest.approx(0.5 + MAX_SILENCE_S, abs=0.02)
    assert memory.now_s == pytest.approx(3605.5, abs=0.011)
    assert memory.now_s >= 3605.5 - 1e-6


def test_first_event_starts_the_stream(engine: Engine) -> None:
    memory = memory_of(engine)

    memory.hear(TimedEvent(123.4, NoteOn(60, 64)))

    assert memory.token_count == 4  # BOS, tag, velocity, note-on: no waiting before the music
    assert memory.now_s == pytest.approx(123.4)


@pytest.mark.slow
def test_history_does_not_grow_for_ever(engine: Engine) -> None:
    memory = memory_of(engine)
    context = engine.manifest.architecture.context

    for i in range(40 * context):
        memory.hear(TimedEvent(0.1 * i, NoteOn(60, 64) if i % 2 == 0 else NoteOff(60)))
        memory.digest(64)

    assert memory.token_count > 70 * context
    assert len(memory._tokens) <= 3 * context
