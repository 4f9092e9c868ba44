"""Limits that a player sets: each measured on twenty answers of the shipped model."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.brain import limits
from daemon.brain.performer import Performer
from daemon.engine import Engine
from daemon.offline.continuing import heard_until
from daemon.parameters import LengthUnit, Parameters
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import read_performance

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
STARTER = ROOT / "training" / "starter" / "asap"
PIECE = STARTER / "Prokofiev" / "Toccata" / "Fab13.mid"  # dense
SUNG = STARTER / "Rachmaninoff" / "Preludes_op_23" / "4" / "MorozovS09.mid"  # of long notes
CUT_S = 12.0
ANSWERS, NOTES = 20, 10
LEAD_S = 0.3


@cache
def after_the_piece(piece: Path = PIECE, precision: str = "int8") -> Performer:
    """Return a performer that has heard a piece; whoever begins a turn takes it back."""
    engine = Engine.open(ROOT / "models" / "small", precision=precision)
    playing = Performer(engine, engine.manifest.architecture.context)
    playing.hear(heard_until(read_performance(piece), CUT_S))
    playing.digest(playing.lag_tokens)
    return playing


def answer(
    parameters: Parameters, piece: Path = PIECE, precision: str = "int8"
) -> list[TimedEvent]:
    playing = after_the_piece(piece, precision)
    rng = np.random.default_rng(parameters.seed)
    playing.begin_turn(CUT_S, frozenset(), parameters, rng)
    planned: list[TimedEvent] = []
    while playing.planned_until_s is not None:
        planned += playing.plan(float("inf"), 16)
    playing.end_turn([])
    return planned


@cache
def answers(
    piece: Path = PIECE, precision: str = "int8", **limited: object
) -> list[list[TimedEvent]]:
    """Return twenty answers, the same but for the limits.

    A seed gives the same notes again only in fp32: eight bits depend on what was read at once.
    """
    usual = {"length": float(NOTES), "length_unit": LengthUnit.NOTES.value, "ending_s": 0.0}
    return [
        answer(Parameters(seed=seed, **(usual | limited)), piece, precision)
        for seed in range(ANSWERS)
    ]


def struck(events: Sequence[TimedEvent]) -> list[NoteOn]:
    return [event for _, event in events if isinstance(event, NoteOn)]


def keys(found: list[list[TimedEvent]]) -> list[int]:
    return [note.pitch for events in found for note in struck(events)]


def onsets_s(events: Sequence[TimedEvent]) -> list[float]:
    return [time_s for time_s, event in events if isinstance(event, NoteOn)]


def lengths_s(events: Sequence[TimedEvent]) -> list[float]:
    down_s: dict[int, float] = {}
    found = []
    for time_s, event in events:
        if isinstance(event, NoteOn):
            down_s[event.pitch] = time_s
        elif isinstance(event, NoteOff):
            found.append(time_s - down_s.pop(event.pitch))
    assert not down_s
    return found


def most_keys_down(events: Sequence[TimedEvent]) -> int:
    down = most = 0
    for _, event in events:
        down += isinstance(event, NoteOn) - isinstance(event, NoteOff)
        most = max(most, down)
    return most


def most_in_a_second(events: Sequence[TimedEvent]) -> int:
    times_s = np.array(onsets_s(events))
    counts = (int(((times_s >= at_s) & (times_s < at_s + 0.9999)).sum()) for at_s in times_s)
    return max(counts, default=0)


def test_no_note_leaves_the_register() -> None:
    free, limited = keys(answers()), keys(answers(lowest_key=60, highest_key=71))

    assert sum(not 60 <= key <= 71 for key in free) > len(free) / 3
    assert len(limited) >= ANSWERS * NOTES
    assert all(60 <= key <= 71 for key in limited)
    assert len(set(limited)) >= 6  # it still makes music of them


def test_no_note_leaves_the_scale() -> None:
    free, limited = keys(answers()), keys(answers(scale=("eb", "minor_pentatonic")))

    assert sum(key % 12 not in {3, 6, 8, 10, 1} for key in free) > len(free) / 3
    assert {key % 12 for key in limited} == {3, 6, 8, 10, 1}


def test_no_second_holds_more_notes_than_allowed() -> None:
    limited = answers(most_notes_per_s=3.0)

    assert max(map(most_in_a_second, answers())) > 8
    assert max(map(most_in_a_second, limited)) == 3


def test_no_more_keys_are_down_than_allowed() -> None:
    assert max(map(most_keys_down, answers())) > 2
    assert {most_keys_down(events) for events in answers(most_keys=2)} == {2}
    assert {most_keys_down(events) for events in answers(most_keys=1)} == {1}


def test_no_key_is_down_for_longer_than_allowed() -> None:
    free = [length_s for events in answers(SUNG) for length_s in lengths_s(events)]
    limited = [s for events in answers(SUNG, longest_note_s=0.1) for s in lengths_s(events)]
    ending = answers(SUNG, longest_note_s=0.1, ending_s=3.0)
    limited += [s for events in ending for s in lengths_s(events)]

    assert max(free) > 0.2
    assert 0.0 < max(limited) <= 0.1 + 1e-6


def test_transposed_notes_sound_so_much_higher_and_within_the_register() -> None:
    higher = answers(transpose=12, lowest_key=60)
    written = keys(answers(precision="fp32"))

    # What is written does not know of it: the same draws, the same music.
    assert keys(answers(precision="fp32", transpose=12)) == [key + 12 for key in written]
    assert min(written) < 48
    assert min(keys(higher)) >= 60


def test_loudness_is_scaled_and_kept_within_bounds() -> None:
    exact = answers(precision="fp32"), answers(precision="fp32", velocity_scale=0.5)
    free, softer = ([n.velocity for events in each for n in struck(events)] for each in exact)
    within = answers(velocity_scale=2.0, lowest_velocity=40, highest_velocity=90)
    bounded = [note.velocity for events in within for note in struck(events)]

    assert softer == [round(velocity * 0.5) for velocity in free]
    assert (min(free) < 40 or max(free) > 90, min(bounded) >= 40, max(bounded) <= 90) == (True,) * 3


@pytest.mark.parametrize("tempo", [0.5, 2.0])
def test_what_is_written_sounds_so_many_times_as_fast(tempo: float) -> None:
    free, scaled = answers(longest_note_s=60.0), answers(longest_note_s=60.0, tempo_scale=tempo)

    for as_written, sounding in zip(free, scaled, strict=True):
        written_s = np.array(onsets_s(as_written)) - CUT_S
        assert np.array(onsets_s(sounding)) - CUT_S == pytest.approx(written_s / tempo, abs=0.01)


def test_a_limit_is_heard_as_soon_as_what_was_planned_before_has_sounded() -> None:
    notes = 0
    for seed in range(ANSWERS):
        playing = after_the_piece()
        rng = np.random.default_rng(seed)
        playing.begin_turn(CUT_S, frozenset(), Parameters(), rng)
        set_s = CUT_S + 0.8
        before = playing.plan(set_s + LEAD_S, 10_000)

        limited = Parameters(
            lowest_key=72, velocity_scale=0.1, longest_note_s=0.1, most_notes_per_s=5.0
        )
        playing.steer(limited)
        planned = playing.plan(set_s + 2.5, 10_000)

        notes += len(struck(planned))  # some answers pause just there
        assert all(note.pitch >= 72 and note.velocity <= 13 for note in struck(planned))
        assert most_in_a_second(planned) <= 5
        assert before[-1].time_s < set_s + LEAD_S
        playing.end_turn([])
    assert notes > ANSWERS


def test_the_memory_holds_what_was_written_not_what_sounded() -> None:
    plain, changed = (
        Parameters(seed=4),
        Parameters(seed=4, transpose=7, velocity_scale=0.5, tempo_scale=2.0),
    )
    states, logits, lags_s = [], [], []
    for parameters in (plain, changed):
        after_the_piece.cache_clear()  # so that both are fed in the same pieces
        playing = after_the_piece()
        playing.begin_turn(CUT_S, frozenset(), parameters, np.random.default_rng(4))
        until_s = CUT_S + 3.005 / parameters.tempo_scale
        planned = playing.plan(until_s, 10_000)
        sent = [TimedEvent(event.time_s + 0.001, event.event) for event in planned]
        playing.end_turn(sent)
        logits.append(playing._memory.logits())
        states.append(playing._memory.state.copy())
        lags_s.append(playing._memory.now_s - planned[-1].time_s)
    after_the_piece.cache_clear()

    assert states[0] == states[1]
    assert np.array_equal(*logits)
    assert lags_s == pytest.approx([0.0, 0.0], abs=0.011)  # but the clock is that of the session


def test_a_transposed_key_that_is_released_after_the_turn_is_known_as_written() -> None:
    playing = after_the_piece()
    parameters = Parameters(transpose=12)
    playing.begin_turn(CUT_S, frozenset(), parameters, np.random.default_rng(1))
    (first,) = struck(planned := playing.plan(CUT_S + 0.5, 1000))[:1]

    playing.end_turn([event for event in planned if event.event == first])
    down = set(playing._memory.state.sounding)
    playing.hear([TimedEvent(CUT_S + 1.0, NoteOff(first.pitch))])

    assert down == {first.pitch - 12}
    assert not playing._memory.state.sounding
    after_the_piece.cache_clear()


def test_a_key_that_the_player_holds_is_not_struck_by_a_transposed_note() -> None:
    held = frozenset(range(40, 100, 2))
    playing = after_the_piece()
    playing.hear([TimedEvent(CUT_S, NoteOn(key, 60)) for key in sorted(held)])
    parameters = Parameters(transpose=1, length=3.0)
    playing.begin_turn(CUT_S + 0.1, held, parameters, np.random.default_rng(3))

    planned: list[TimedEvent] = []
    while playing.planned_until_s is not None:
        planned += playing.plan(float("inf"), 16)

    touched = {event.event.pitch for event in planned if not isinstance(event.event, Pedal)}
    assert touched
    assert not touched & held
    after_the_piece.cache_clear()


@given(
    most=st.floats(0.1, 30.0),
    gaps_s=st.lists(st.integers(0, 100).map(lambda steps: steps / 100), max_size=60),
)
def test_density_is_held_in_every_window(most: float, gaps_s: list[float]) -> None:
    parameters = Parameters(most_notes_per_s=most)
    now_s, struck_s = 0.0, []
    for gap_s in gaps_s:
        now_s += gap_s
        if limits.may_strike(parameters, 0, struck_s, now_s):
            struck_s.append(now_s)

    window_s = np.ceil(most) / most
    for at_s in struck_s:
        assert sum(at_s <= s < at_s + window_s - 1e-5 for s in struck_s) <= np.ceil(most)
