"""The output thread, on a port that records."""

import queue
import random
import time
from collections.abc import Iterator

import pytest

from daemon.messages.turns import Released
from daemon.midi.footprint import FOOTPRINT_SIZE
from daemon.midi.loop_guard import LoopGuard
from daemon.midi.output import Output
from daemon.midi.reports import (
    OutputBack,
    OutputLost,
    Panicked,
    Report,
    Sent,
)
from daemon.midi.schedule import Schedule
from perceivers.events import NoteOff, NoteOn, Pedal
from tests.support.midi_ports import RecordingOutput

MS = 1_000_000
WAIT_S = 5.0


class Rig:
    """An output thread with everything around it in reach."""

    def __init__(self, footprint: bytearray | None = None) -> None:
        self.port = RecordingOutput()
        self.guard = LoopGuard(30 * MS)
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self.footprint = footprint or bytearray(FOOTPRINT_SIZE)
        schedule = Schedule(100 * MS)
        self.output = Output(self.port, schedule, self.guard, self.reports.put, self.footprint)

    def wait_for(self, kind: type) -> list[Report]:
        """Return the reports up to the first of a kind; fail if it does not come."""
        reports: list[Report] = []
        while not reports or not isinstance(reports[-1], kind):
            reports.append(self.reports.get(timeout=WAIT_S))
        return reports


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    with rig.output:
        yield rig
    assert rig.port.closed


def unreleased(messages: list[bytes]) -> set[bytes]:
    """Return what still sounds, after checking that each strike has one release."""
    sounding: set[bytes] = set()
    for message in messages:
        kind = message[0] & 0xF0
        if kind == 0x90:
            assert message[1:2] not in sounding, "struck twice"
            sounding.add(message[1:2])
        elif kind == 0x80:
            assert message[1:2] in sounding, "released twice"
            sounding.remove(message[1:2])
        elif message[2]:
            assert b"pedal" not in sounding
            sounding.add(b"pedal")
        else:
            sounding.discard(b"pedal")
    return sounding


def test_events_leave_in_order_not_before_their_moment_and_are_told_as_sent(rig: Rig) -> None:
    start_ns = time.monotonic_ns() + 20 * MS
    events = [(start_ns, NoteOn(60, 64)), (start_ns + 30 * MS, NoteOff(60))]

    rig.output.play(events, channel=2)
    rig.output.finish()
    reports = rig.wait_for(Released)

    assert [report.event for report in reports if isinstance(report, Sent)] == [
        NoteOn(60, 64),
        NoteOff(60),
    ]
    assert [message[0] for message in rig.port.sent] == [0x92, 0x82]
    for (due_ns, _), (left_ns, _) in zip(events, rig.port.messages, strict=True):
        assert left_ns >= due_ns


def test_a_finished_plan_leaves_nothing_sounding(rig: Rig) -> None:
    now_ns = time.monotonic_ns()

    rig.output.play([(now_ns, NoteOn(60, 64)), (now_ns, Pedal(True))], channel=0)
    rig.output.finish()
    rig.wait_for(Released)

    assert unreleased(rig.port.sent) == set()
    assert len(rig.port.sent) == 4


def test_once_release_returns_no_planned_note_leaves(rig: Rig) -> None:
    now_ns = time.monotonic_ns()
    rig.output.play([(now_ns + n * MS, NoteOn(n, 64)) for n in range(100)], channel=0)
    rig.port.wait_for(5)

    rig.output.release()
    returned_ns = time.monotonic_ns()
    rig.wait_for(Released)
    time.sleep(0.15)  # past the moment of the last planned note

    late = [m for at_ns, m in rig.port.messages if m[0] == 0x90 and at_ns > returned_ns]
    assert late == []
    assert unreleased(rig.port.sent) == set()


def test_panic_tells_every_channel_after_releasing_what_sounds(rig: Rig) -> None:
    rig.output.play([(time.monotonic_ns(), NoteOn(60, 64))], channel=0)
    rig.port.wait_for(1)
    rig.output.hold(frozenset({60}))

    rig.output.panic()
    rig.wait_for(Panicked)

    assert rig.port.sent[1][:2] == bytes((0x80, 60))
    for channel in range(16):
        for controller in (64, 66, 67, 120, 123):
            assert bytes((0xB0 | channel, controller, 0)) in rig.port.sent


def test_leaving_releases_even_what_the_player_holds() -> None:
    rig = Rig()
    with rig.output:
        rig.output.play([(time.monotonic_ns(), NoteOn(60, 64))], channel=0)
        rig.port.wait_for(1)
        rig.output.hold(frozenset({60}))

    assert rig.port.closed
    assert unreleased(rig.port.sent) == set()


def test_a_refusing_port_ends_the_plan_and_is_tried_until_what_sounds_is_released(
    rig: Rig,
) -> None:
    now_ns = time.monotonic_ns()
    rig.output.play([(now_ns, NoteOn(60, 64)), (now_ns, Pedal(True))], channel=0)
    rig.port.wait_for(2)

    rig.port.plugged = False
    rig.output.play([(time.monotonic_ns(), NoteOn(62, 64))], channel=0)
    rig.wait_for(OutputLost)
    rig.output.release()
    rig.wait_for(Released)  # a turn can end while the port is gone
    rig.output.play([(time.monotonic_ns(), NoteOn(64, 64))], channel=0)
    rig.port.plugged = True
    rig.wait_for(OutputBack)

    assert bytes((0x80, 60, 64)) in rig.port.sent
    assert rig.port.sent[-1] == bytes((0xB0, 64, 0))
    assert not [message for message in rig.port.sent if message[:2] == bytes((0x90, 64))]


@pytest.mark.slow
def test_an_idle_port_that_vanishes_is_noticed_and_comes_back(rig: Rig) -> None:
    rig.port.plugged = False
    assert rig.wait_for(OutputLost) == [OutputLost("MIDI output 'recorder' is gone")]

    rig.port.plugged = True
    assert rig.wait_for(OutputBack) == [OutputBack()]

    rig.output.play([(time.monotonic_ns(), NoteOn(60, 64))], channel=0)
    rig.wait_for(Sent)
    assert rig.port.sent[-1] == bytes((0x90, 60, 64))


def test_the_footprint_tells_what_sounds(rig: Rig) -> None:
    now_ns = time.monotonic_ns()
    rig.output.play([(now_ns, NoteOn(60, 64)), (now_ns, Pedal(True))], channel=4)
    rig.wait_for(Sent)
    rig.wait_for(Sent)
    assert rig.footprint[60] == 5
    assert rig.footprint[128] == 5

    rig.output.release()
    rig.wait_for(Released)

    assert not any(rig.footprint)


def test_a_successor_releases_what_its_predecessor_left_sounding() -> None:
    footprint = bytearray(FOOTPRINT_SIZE)
    footprint[60] = 5
    footprint[128] = 5
    rig = Rig(footprint)
    rig.output.take_over()

    with rig.output:
        rig.port.wait_for(4)  # at once, and again when connections may have been made anew

    off, lift = bytes((0x84, 60, 64)), bytes((0xB4, 64, 0))
    assert rig.port.sent[:4] == [off, lift, off, lift]
    assert not any(footprint)


def test_what_is_sent_is_known_to_the_loop_guard(rig: Rig) -> None:
    rig.output.play([(time.monotonic_ns(), NoteOn(60, 64))], channel=0)
    rig.port.wait_for(1)

    at_ns, message = rig.port.messages[0]

    assert rig.guard.is_echo(message, at_ns)
    assert not rig.guard.is_echo(bytes((0x90, 61, 64)), at_ns)


@pytest.mark.parametrize("seed", range(5))
def test_random_turns_stops_and_unplugging_leave_nothing_sounding(seed: int) -> None:
    """Every strike has one release and the player's keys are left alone, on every path."""
    rng = random.Random(seed)
    rig = Rig()
    held: frozenset[int] = frozenset()
    held_at: list[tuple[int, frozenset[int]]] = [(0, held)]
    with rig.output:
        for _ in range(60):
            now_ns = time.monotonic_ns()
            choice = rng.random()
            if choice < 0.5:
                pitch = rng.randrange(60, 64)
                on_ns = now_ns + rng.randrange(-150, 20) * MS
                off_ns = on_ns + rng.randrange(1, 40) * MS
                rig.output.play([(on_ns, NoteOn(pitch, 64)), (off_ns, NoteOff(pitch))], channel=0)
            elif choice < 0.7:
                held = frozenset(rng.sample(range(60, 64), rng.randrange(3)))
                held_at.append((now_ns, frozenset()))  # between the two, either may hold
                rig.output.hold(held)
                held_at.append((time.monotonic_ns(), held))
            elif choice < 0.85:
                rig.output.release()
            else:
                rig.output.play([(now_ns, Pedal(rng.random() < 0.5))], channel=0)
            time.sleep(rng.random() * 0.01)

    assert unreleased(rig.port.sent) == set()
    for at_ns, message in rig.port.messages:
        holding = [pitches for since_ns, pitches in held_at if since_ns <= at_ns][-1]
        is_strike = message[0] & 0xF0 == 0x90
        assert not (is_strike and message[1] in holding)
    assert not any(rig.footprint)
