"""An instrument that sounds late: what it is sent leaves so much earlier, and nothing is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.midi.latency import Latency, latency_of
from daemon.midi.schedule import Schedule
from daemon.settings import MidiSettings
from perceivers.errors import SettingsError
from perceivers.events import Event, NoteOff, NoteOn, Pedal

MS = 1_000_000
SLOW = Latency(100 * MS, ((1, 60 * MS), (127, 0)))


def leaving(schedule: Schedule) -> list[tuple[int, int, Event]]:
    """Let all leave when it is due; return when that was, and when it sounds."""
    left = []
    while (due_ns := schedule.next_due_ns()) is not None:
        message = schedule.take(due_ns)
        if message is not None:
            left.append((due_ns // MS, message.sounds_ns // MS, message.event))
    return left


@pytest.mark.parametrize(
    ("event", "late_ms"),
    [
        (NoteOn(60, 1), 160),
        (NoteOn(60, 127), 100),
        (NoteOn(60, 64), 130),
        (NoteOff(60), 100),
        (Pedal(True), 100),
    ],
)
def test_velocity_counts_for_strikes_with_straight_lines_between_the_points(
    event: Event, late_ms: int
) -> None:
    assert SLOW.of(event) == late_ms * MS


def test_settings_say_it() -> None:
    midi = MidiSettings(output_latency_ms=20.0, velocity_latency_ms=("100=5", "10=40.5"))

    assert latency_of(midi) == Latency(20 * MS, ((10, 40_500_000), (100, 5 * MS)))
    assert midi.most_latency_s == 0.0605
    assert latency_of(midi).of(NoteOn(60, 5)) == 60_500_000
    assert latency_of(midi).of(NoteOn(60, 120)) == 25 * MS


@pytest.mark.parametrize("words", [("1",), ("0=5",), ("128=5",), ("5=x",), ("5=1", "5=2")])
def test_what_is_no_latency_is_refused_with_what_would_do(words: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match=r"write \[1=60, 127=0\]"):
        MidiSettings(velocity_latency_ms=words)


def test_what_is_planned_leaves_so_much_earlier() -> None:
    schedule = Schedule(100 * MS, SLOW)
    for at_ms, event in [(500, NoteOn(60, 1)), (500, NoteOn(62, 127)), (700, NoteOff(60))]:
        schedule.add(at_ms * MS, event, 0)

    assert leaving(schedule) == [
        (340, 500, NoteOn(60, 1)),
        (400, 500, NoteOn(62, 127)),
        (600, 700, NoteOff(60)),
    ]


def test_a_soft_strike_right_after_a_loud_one_waits_until_the_key_is_up() -> None:
    schedule = Schedule(100 * MS, SLOW)
    events = [(500, NoteOn(60, 127)), (550, NoteOff(60)), (560, NoteOn(60, 1)), (900, NoteOff(60))]
    for at_ms, event in events:
        schedule.add(at_ms * MS, event, 0)

    assert leaving(schedule) == [
        (400, 500, NoteOn(60, 127)),
        (450, 550, NoteOff(60)),
        (450, 610, NoteOn(60, 1)),
        (800, 900, NoteOff(60)),
    ]


def test_what_is_withdrawn_is_what_would_sound_later() -> None:
    schedule = Schedule(100 * MS, SLOW)
    schedule.add(500 * MS, NoteOn(60, 1), 0)
    schedule.add(510 * MS, NoteOn(62, 127), 0)

    schedule.withdraw(505 * MS)

    assert leaving(schedule) == [(340, 500, NoteOn(60, 1))]


notes = st.lists(
    st.tuples(st.integers(0, 2000), st.integers(1, 400), st.integers(60, 62), st.integers(1, 127)),
    max_size=30,
)


@given(notes)
def test_every_strike_has_its_release_after_it_whatever_the_velocities(
    notes: list[tuple[int, int, int, int]],
) -> None:
    free_ms: dict[int, int] = {}
    schedule, strikes = Schedule(100 * MS, SLOW), 0
    for onset_ms, length_ms, pitch, velocity in sorted(notes):
        if onset_ms < free_ms.get(pitch, 0):
            continue
        free_ms[pitch] = onset_ms + length_ms
        schedule.add(onset_ms * MS, NoteOn(pitch, velocity), 0)
        schedule.add(free_ms[pitch] * MS, NoteOff(pitch), 0)
        strikes += 1

    down: dict[int, int] = {}
    for due_ms, _, event in leaving(schedule):
        if isinstance(event, NoteOn):
            assert event.pitch not in down
            down[event.pitch] = due_ms
            strikes -= 1
        elif isinstance(event, NoteOff):
            assert due_ms >= down.pop(event.pitch)

    assert not down
    assert strikes == 0
