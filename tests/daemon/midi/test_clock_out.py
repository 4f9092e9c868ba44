"""The clock that others follow: evenly, however late its thread is woken, and always stopped."""

import random

from daemon.midi.clock_out import ClockOut
from daemon.midi.footprint import FOOTPRINT_SIZE, Footprint

START, CLOCK, STOP = bytes((0xFA,)), bytes((0xF8,)), bytes((0xFC,))
MS = 1_000_000


def rig() -> tuple[ClockOut, bytearray]:
    memory = bytearray(FOOTPRINT_SIZE)
    return ClockOut(Footprint(memory)), memory


def sent(clock: ClockOut, now_ns: int) -> list[bytes]:
    messages = []
    while (message := clock.next(now_ns)) is not None:
        messages.append(message)
    return messages


def test_it_starts_a_moment_before_its_first_tick_and_ticks_without_drift() -> None:
    clock, _ = rig()
    clock.start(100 * MS, 20 * MS)

    assert clock.next_due_ns == 98 * MS
    assert sent(clock, 97 * MS) == []
    assert sent(clock, 98 * MS) == [START]
    assert clock.next_due_ns == 100 * MS
    ticks, rng, now_ns = 0, random.Random(1), 100 * MS
    while now_ns < 10_000 * MS:
        ticks += len(sent(clock, now_ns))
        assert ticks == (now_ns - 100 * MS) // (20 * MS) + 1
        now_ns += rng.randrange(60 * MS)


def test_one_that_is_woken_late_sends_every_tick_that_it_owes() -> None:
    clock, _ = rig()
    clock.start(100 * MS, 20 * MS)
    assert sent(clock, 98 * MS) == [START]

    assert sent(clock, 170 * MS) == [CLOCK, CLOCK, CLOCK, CLOCK]


def test_a_start_that_comes_late_still_comes_before_the_first_tick() -> None:
    clock, _ = rig()
    clock.start(100 * MS, 20 * MS)

    assert sent(clock, 130 * MS) == [START]
    assert clock.next_due_ns == 132 * MS
    assert sent(clock, 152 * MS) == [CLOCK, CLOCK]


def test_whoever_was_told_of_a_start_is_told_of_the_end_also_by_who_comes_after() -> None:
    clock, memory = rig()
    clock.start(0, 20 * MS)
    assert clock.stop() == []  # nobody was told yet

    clock.start(0, 20 * MS)
    sent(clock, 0)
    successor = ClockOut(Footprint(memory))

    assert successor.stop() == [STOP]
    successor.stopped()
    assert successor.stop() == []
    assert successor.next_due_ns is None
