"""Staying with the player: what a manner is, which way tokens lean, and what that does."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from daemon.bench.following import distance, manner_of
from daemon.brain.following import FEWEST_NOTES, PLAYER_NOTES, Following, Manner, lean
from daemon.brain.performer import Performer
from daemon.engine import Engine
from daemon.offline.continuing import heard_until
from daemon.parameters import LengthUnit, Parameters
from perceivers import vocabulary as v
from perceivers.events import NoteOff, NoteOn, TimedEvent
from perceivers.midi_files import read_performance

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
PIECES = tuple(
    ROOT / "training" / "starter" / "asap" / piece
    for piece in (
        "Prokofiev/Toccata/Fab13.mid",
        "Mozart/Piano_Sonatas/8-1/LEE_J03.mid",
        "Haydn/Keyboard_Sonatas/31-1/SCHU02.mid",
    )
)
CUT_S = 12.0
ANSWERS, NOTES = 10, 40  # to each piece


def played(
    *, gap_s: float = 0.2, velocity: int = 64, length_s: float = 0.1, key: int = 60, notes: int = 16
) -> list[TimedEvent]:
    """Return notes that go up and down from a key."""
    events = []
    for number in range(notes):
        pitch = key + number % 4
        events.append(TimedEvent(number * gap_s, NoteOn(pitch, velocity)))
        events.append(TimedEvent(number * gap_s + length_s, NoteOff(pitch)))
    return sorted(events, key=lambda event: event.time_s)


def manner(**how: object) -> Manner:
    found = manner_of(played(**how))
    assert found is not None
    return found


def test_a_manner_is_pace_loudness_length_and_place() -> None:
    found = manner(gap_s=0.25, velocity=80, length_s=0.1, key=60)

    assert found.notes_per_s == pytest.approx(4.0)
    assert (found.velocity, found.length_s) == (80.0, pytest.approx(0.1))
    assert found.keys.argmax() in range(60, 64)
    assert found.keys.sum() == pytest.approx(1.0)


def test_pauses_are_none_of_the_pace_and_too_few_notes_say_nothing() -> None:
    with_a_pause = [*played(), *(TimedEvent(s + 60.0, event) for s, event in played())]

    found = manner_of(with_a_pause)

    assert found is not None
    assert found.notes_per_s == pytest.approx(31 / (30 * 0.2 + 1.0))
    assert manner_of(played(notes=FEWEST_NOTES - 1)) is None


def test_where_both_agree_nothing_leans() -> None:
    assert not lean(manner(), manner()).any()


def shift(bias: np.ndarray, steps: int) -> float:
    return float(bias[v.shift_token(steps)])


def test_each_difference_leans_tokens_of_its_own_kind() -> None:
    usual = manner()

    quicker = lean(manner(gap_s=0.1, length_s=0.1), usual)
    longer = lean(manner(length_s=0.19), usual)
    louder = lean(manner(velocity=96), usual)
    higher = lean(manner(key=84), usual)

    assert shift(quicker, 2) > 0 > shift(quicker, 50)
    assert quicker[v.NOTE_ON + 60] > 0
    assert (longer[v.NOTE_OFF : v.NOTE_OFF + v.PITCHES] < 0).all()
    assert louder[v.VELOCITY + 28] > 0 > louder[v.VELOCITY + 5]
    assert higher[v.NOTE_ON + 84] > 0 > higher[v.NOTE_ON + 60]
    assert not louder[v.NOTE_ON : v.NOTE_OFF].any()
    assert max(np.abs(bias).max() for bias in (quicker, longer, louder, higher)) < 5.0


def test_an_answer_of_which_too_little_is_known_does_not_lean() -> None:
    following = Following(manner(velocity=100))
    for event in played(notes=FEWEST_NOTES - 1):
        following.take(event)
    early = following.lean()
    for event in played():
        following.take(event)

    assert early is None
    assert following.lean() is not None
    assert Following(None).lean() is None


@cache
def after(piece: Path) -> Performer:
    engine = Engine.open(ROOT / "models" / "small", precision="int8")
    playing = Performer(engine, engine.manifest.architecture.context)
    playing.hear(heard_until(read_performance(piece), CUT_S))
    playing.digest(playing.lag_tokens)
    return playing


def answer(piece: Path, seed: int, follow: float) -> list[TimedEvent]:
    playing = after(piece)
    parameters = Parameters(length=NOTES, length_unit=LengthUnit.NOTES.value, follow=follow)
    playing.begin_turn(CUT_S, frozenset(), parameters, np.random.default_rng(seed))
    planned: list[TimedEvent] = []
    while playing.planned_until_s is not None:
        planned += playing.plan(float("inf"), 16)
    playing.end_turn([])
    return planned


def distances(piece: Path, follow: float) -> np.ndarray:
    """Return how far answers lie from the player: density, register, loudness, length."""
    player = manner_of(heard_until(read_performance(piece), CUT_S), PLAYER_NOTES)
    manners = [manner_of(answer(piece, seed, follow)) for seed in range(ANSWERS)]
    each = [distance(player, own) for own in manners]
    return np.array([[d.density, d.register, d.loudness, d.length] for d in each]).mean(axis=0)


def test_thirty_answers_stay_nearer_to_the_player() -> None:
    free = np.array([distances(piece, 0.0) for piece in PIECES])
    following = np.array([distances(piece, 1.0) for piece in PIECES])

    nearer = np.log(following / free).mean(axis=0)

    assert nearer[1] < np.log(0.85)  # register, which a piece has most of its own
    assert (nearer < np.log(1.1)).all()
    assert nearer.mean() < np.log(0.92)
