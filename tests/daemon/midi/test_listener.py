"""When what the port received was played, what is an echo, and when it is quiet."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.midi.listener import InputClock, Listener
from daemon.midi.loop_guard import LoopGuard
from daemon.midi.parser import PlayersPart
from perceivers.events import NoteOn
from tests.support.midi_ports import ScriptedInput

MS = 1_000_000


def test_times_follow_the_system_however_late_the_messages_are_picked_up() -> None:
    clock = InputClock()
    delays_ms = (0, 5, 40, 1, 20)
    times_ns = [
        clock.time_ns(0.0 if n == 0 else 0.1, n * 100 * MS + delay_ms * MS)
        for n, delay_ms in enumerate(delays_ms)
    ]

    for n, time_ns in enumerate(times_ns):
        assert abs(time_ns - n * 100 * MS) < 0.2 * MS


def test_a_clock_that_runs_fast_or_slow_is_followed() -> None:
    for rate in (1 - 1e-4, 1 + 1e-4):
        clock = InputClock()
        an_hour = range(0, 3_600_000 * MS, 100 * MS)
        errors_ns = [clock.time_ns(0.1 * rate, now_ns) - now_ns for now_ns in an_hour]
        assert max(map(abs, errors_ns)) < 1 * MS


def test_distances_that_make_no_sense_do_not_lead_astray() -> None:
    clock = InputClock()
    clock.time_ns(0.0, 0)

    assert clock.time_ns(0.0, 60_000 * MS) == 60_000 * MS  # the distance is missing
    assert clock.time_ns(500.0, 60_100 * MS) == 60_100 * MS  # the distance is far too long


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 2), st.integers(0, 3_000_000_000))))
def test_times_never_run_backwards_nor_into_the_future(steps: list[tuple[float, int]]) -> None:
    clock = InputClock()
    arrival_ns = 0
    times_ns = []
    for delta_s, pause_ns in steps:
        arrival_ns += pause_ns
        times_ns.append(clock.time_ns(delta_s, arrival_ns))
        assert arrival_ns - 100 * MS <= times_ns[-1] <= arrival_ns
    assert all(earlier <= later for earlier, later in pairwise(times_ns))


def test_an_echo_is_dropped_within_its_window_and_in_either_form_of_note_off() -> None:
    guard = LoopGuard(30 * MS)
    guard.sent(bytes((0x90, 60, 64)), 0)
    guard.sent(bytes((0x80, 60, 64)), 10 * MS)

    assert guard.is_echo(bytes((0x90, 60, 64)), 29 * MS)
    assert not guard.is_echo(bytes((0x90, 60, 64)), 31 * MS)
    assert not guard.is_echo(bytes((0x90, 60, 65)), 5 * MS)
    assert not guard.is_echo(bytes((0x91, 60, 64)), 5 * MS)
    assert guard.is_echo(bytes((0x90, 60, 0)), 12 * MS)


def test_it_is_quiet_when_nobody_has_played_for_a_second_on_either_port() -> None:
    port, guard = ScriptedInput(), LoopGuard(30 * MS)
    listener = Listener(port, guard)

    assert listener.is_quiet(2000 * MS)
    port.waiting.append((bytes((0x90, 60, 64)), 0.0))
    listener.take(2000 * MS)
    assert not listener.is_quiet(2900 * MS)
    assert listener.is_quiet(3001 * MS)
    guard.sent(bytes((0x90, 62, 64)), 3500 * MS)
    assert not listener.is_quiet(4400 * MS)


def test_a_part_stays_the_same_when_the_port_is_gone() -> None:
    listener = Listener(ScriptedInput(), LoopGuard(0), PlayersPart(channel=2))
    listener.lost()

    assert listener.parser.parse(b"\x90\x3c\x40") is None
    assert listener.parser.parse(b"\x92\x3c\x40") == NoteOn(60, 64)


def test_a_clock_alone_does_not_say_that_somebody_plays() -> None:
    port = ScriptedInput()
    listener = Listener(port, LoopGuard(0))
    port.waiting.append((b"\xf8", 0.0))

    assert listener.take(10_000 * MS) is not None
    assert listener.is_quiet(10_001 * MS)
