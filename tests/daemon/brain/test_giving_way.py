"""How an answer gives way: it concludes, hears what is played over it, ducks; how long it is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.brain.grid import Grid
from daemon.brain.performer import Performer
from daemon.engine import Engine
from daemon.messages.brain import CLOSING_S, LAST_PHRASE_S
from daemon.parameters import LengthUnit, Parameters, WhenPlayedOver
from perceivers import vocabulary as v
from perceivers.events import Event, NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.score import ScoreState

PHRASE = [
    TimedEvent(0.25 * i + offset, event)
    for i, pitch in enumerate((60, 62, 64, 65, 67))
    for offset, event in ((0.0, NoteOn(pitch, 60 + 8 * i)), (0.2, NoteOff(pitch)))
]
START_S = 2.0


@pytest.fixture(scope="module")
def engine(tiny_model_folder: Path) -> Engine:
    return Engine.open(tiny_model_folder, precision="fp32")


class EvenEngine:
    """Predicts any note as likely as any other, and rather short times between them."""

    def __init__(self) -> None:
        self.reset()

    def feed(self, tokens: list[int]) -> np.ndarray:
        self._tokens += tokens
        logits = np.zeros(v.VOCABULARY_SIZE, np.float32)
        logits[v.VELOCITY : v.VELOCITY + v.VELOCITY_BINS] = 2.0
        logits[v.TIME_SHIFT + 4 : v.TIME_SHIFT + 20] = 2.0
        return logits

    def mark(self) -> int:
        return len(self._tokens)

    def rewind(self, mark: int) -> None:
        del self._tokens[mark:]

    def reset(self) -> None:
        self._tokens: list[int] = []


def beginning(
    engine: Engine | EvenEngine, parameters: Parameters, phrase_s: float = 0.0
) -> Performer:
    """Return a performer whose turn has begun after the phrase."""
    performer = Performer(engine, 1024)
    performer.hear(PHRASE)
    rng = np.random.default_rng(parameters.seed)
    performer.begin_turn(START_S, frozenset(), parameters, rng, phrase_s)
    return performer


def planned_until(performer: Performer, until_s: float) -> list[TimedEvent]:
    planned: list[TimedEvent] = []
    while (front_s := performer.planned_until_s) is not None and front_s < until_s:
        planned += performer.plan(until_s, 1)
    return planned


def strikes(events: list[TimedEvent]) -> list[TimedEvent]:
    return [timed for timed in events if isinstance(timed.event, NoteOn)]


def left_sounding(events: list[TimedEvent]) -> tuple[set[int], bool]:
    sounding, pedal = set(), False
    for _, event in sorted(events, key=lambda timed: timed.time_s):
        match event:
            case NoteOn(pitch=pitch):
                sounding.add(pitch)
            case NoteOff(pitch=pitch):
                sounding.discard(pitch)
            case Pedal(down=down):
                pedal = down
    return sounding, pedal


def remembered(performer: Performer) -> list[tuple[int, Event]]:
    """Return what the tokens in the memory say, by the steps of the grid."""
    state, said = ScoreState(), []
    for token in performer._memory._tokens:
        event = state.advance(token)
        if event is not None:
            said.append((state.step, event))
    return said


SHAPED = {"transpose": 7, "tempo_scale": 1.5, "velocity_scale": 0.5}


@pytest.mark.parametrize("shape", [{}, SHAPED], ids=["as written", "shaped"])
@pytest.mark.parametrize("seed", range(4))
def test_an_answer_that_concludes_begins_nothing_and_releases_what_sounds(
    engine: Engine, seed: int, shape: dict[str, Any]
) -> None:
    performer = beginning(engine, Parameters(seed=seed, length=60.0, **shape))
    planned = planned_until(performer, START_S + 3.0)
    from_s = START_S + 2.5

    performer.conclude(from_s)
    rest = planned_until(performer, float("inf"))

    kept = [timed for timed in planned if timed.time_s <= from_s]
    assert strikes(planned)
    assert not strikes(rest)
    assert all(from_s <= timed.time_s <= from_s + CLOSING_S + 0.5 for timed in rest)
    assert left_sounding(kept + rest) == (set(), False)


def test_a_conclusion_of_what_is_shaped_leaves_no_trace_of_what_was_withdrawn(
    engine: Engine,
) -> None:
    parameters = Parameters(seed=3, length=60.0, **SHAPED)
    concluded, straight = beginning(engine, parameters), beginning(EvenEngine(), parameters)
    planned = planned_until(concluded, START_S + 3.0)
    concluded.conclude(START_S + 2.5)
    kept = [timed for timed in planned if timed.time_s <= START_S + 2.5]
    rest = planned_until(concluded, float("inf"))
    last_s = rest[-1].time_s

    concluded.end_turn(kept + rest)

    pitches = [note.event.pitch for note in strikes(kept)]
    written = [event.pitch for _, event in remembered(concluded) if isinstance(event, NoteOn)]
    assert written == [60, 62, 64, 65, 67, *(pitch - 7 for pitch in pitches)]
    assert concluded._memory.now_s == pytest.approx(last_s, abs=0.02)
    assert concluded._memory.state.sounding == straight._memory.state.sounding == set()


def test_after_a_conclusion_the_memory_is_what_was_heard(engine: Engine) -> None:
    performer = beginning(engine, Parameters(seed=3, length=60.0))
    planned = planned_until(performer, START_S + 3.0)
    performer.conclude(START_S + 2.5)
    kept = [timed for timed in planned if timed.time_s <= START_S + 2.5]
    performed = kept + planned_until(performer, float("inf"))
    over_it = [TimedEvent(START_S + 2.5, NoteOn(90, 70)), TimedEvent(START_S + 2.9, NoteOff(90))]

    performer.end_turn(performed, over_it)

    fresh = Performer(EvenEngine(), 1024)
    fresh.hear(sorted([*PHRASE, *performed, *over_it], key=lambda timed: timed.time_s))
    assert remembered(performer) == remembered(fresh)
    assert performer.lag_tokens > 0  # not all was fed again
    assert performer.position - performer.lag_tokens > 30


def test_an_answer_that_ends_with_its_phrase_goes_on_to_a_rest(engine: Engine) -> None:
    performer = beginning(engine, Parameters(seed=1, length=60.0))
    planned_until(performer, START_S + 2.0)
    struck_s = START_S + 1.5  # planned is more already

    performer.conclude(None, struck_s + LAST_PHRASE_S)
    rest = planned_until(performer, float("inf"))

    assert rest
    assert max(timed.time_s for timed in rest) <= struck_s + LAST_PHRASE_S + CLOSING_S + 1.5
    assert all(timed.time_s <= struck_s + LAST_PHRASE_S for timed in strikes(rest))


def test_a_key_that_the_player_takes_over_is_the_players() -> None:
    performer = beginning(EvenEngine(), Parameters(seed=1, length=60.0))
    planned = planned_until(performer, START_S + 2.0)
    sounding = sorted(left_sounding(planned)[0])
    assert sounding
    pitch = sounding[0]

    performer.hear([TimedEvent(START_S + 1.9, NoteOn(pitch, 80))])
    later = planned_until(performer, START_S + 4.0)

    assert pitch not in {timed.event.pitch for timed in later if timed.event.__class__ is not Pedal}


def test_played_over_it_ducks_and_comes_back() -> None:
    parameters = Parameters(seed=2, length=60.0, when_played_over=WhenPlayedOver.DUCK.value)
    performer = beginning(EvenEngine(), parameters)
    before = strikes(planned_until(performer, START_S + 4.0))
    from_s = performer.planned_until_s or 0.0

    performer.hear([TimedEvent(from_s, NoteOn(30, 50))])
    during = strikes(planned_until(performer, from_s + 2.0))
    after = strikes(planned_until(performer, from_s + 8.0)[len(during) :])

    assert during
    assert len(during) / 2.0 < 0.5 * len(before) / 4.0
    assert max(note.event.velocity for note in during) <= 0.6 * 50
    assert len(after) / 6.0 > 2 * len(during) / 2.0
    assert max(note.event.velocity for note in after) > 100


def length_of(performer: Performer) -> float:
    return max(timed.time_s for timed in planned_until(performer, 100.0)) - START_S


def test_an_answer_may_be_as_long_as_the_phrase() -> None:
    match = Parameters(seed=1, length=60.0, length_unit=LengthUnit.MATCH.value)

    for phrase_s in (2.0, 6.0):
        lasted_s = length_of(beginning(EvenEngine(), match, phrase_s))
        assert phrase_s <= lasted_s <= phrase_s + CLOSING_S + 1.0
    assert length_of(beginning(EvenEngine(), match, phrase_s=0.1)) >= 1.0


def test_an_answer_may_be_a_number_of_bars() -> None:
    performer = Performer(EvenEngine(), 1024)
    performer.hear(PHRASE)
    bars = Parameters(seed=1, length=3.0, length_unit=LengthUnit.BARS.value)
    rng = np.random.default_rng(1)
    performer.begin_turn(START_S, frozenset(), bars, rng, grid=Grid(bar_s=1.5))

    assert 4.5 <= length_of(performer) <= 4.5 + CLOSING_S + 1.0


def test_an_open_answer_goes_on_until_it_is_told() -> None:
    endless = Parameters(seed=1, length=1.0, length_unit=LengthUnit.OPEN.value)

    performer = beginning(EvenEngine(), endless)
    planned_until(performer, START_S + 60.0)

    assert performer.planned_until_s is not None
