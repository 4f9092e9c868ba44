"""The laws of sending, in the pure schedule."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.midi.schedule import Schedule
from perceivers.events import Event, NoteOff, NoteOn, Pedal

MS = 1_000_000
LATE_AFTER_NS = 100 * MS
NOBODY: frozenset[int] = frozenset()


def taken(schedule: Schedule, now_ns: int) -> list[Event]:
    """Take all that is due."""
    events = []
    while (message := schedule.take(now_ns)) is not None:
        events.append(message.event)
    return events


def test_events_leave_in_the_order_of_their_moments_and_at_one_instant_as_they_came() -> None:
    schedule = Schedule(LATE_AFTER_NS)
    schedule.add(20, NoteOff(60), 0)
    schedule.add(10, NoteOn(60, 64), 0)
    schedule.add(20, NoteOn(62, 64), 0)

    assert schedule.next_due_ns() == 10
    assert taken(schedule, 9) == []
    assert taken(schedule, 19) == [NoteOn(60, 64)]
    assert taken(schedule, 20) == [NoteOff(60), NoteOn(62, 64)]
    assert schedule.next_due_ns() is None


def test_a_late_note_on_is_dropped_with_its_note_off() -> None:
    schedule = Schedule(LATE_AFTER_NS)
    schedule.add(0, NoteOn(60, 64), 0)
    schedule.add(0, NoteOn(62, 64), 0)
    schedule.add(50 * MS, NoteOff(60), 0)

    assert taken(schedule, 101 * MS) == []
    assert schedule.counts["late"] == 2


def test_a_note_off_is_sent_however_late() -> None:
    schedule = Schedule(LATE_AFTER_NS)
    schedule.add(0, NoteOn(60, 64), 0)
    schedule.add(10, NoteOff(60), 0)
    assert taken(schedule, 0) == [NoteOn(60, 64)]

    assert taken(schedule, 10_000 * MS) == [NoteOff(60)]


def test_a_key_that_the_player_holds_is_not_struck() -> None:
    schedule = Schedule(LATE_AFTER_NS)
    schedule.hold(frozenset({60}), 0)
    schedule.add(0, NoteOn(60, 64), 0)
    schedule.add(10, NoteOff(60), 0)

    assert taken(schedule, 10) == []
    assert schedule.counts["held"] == 1


def test_a_key_that_the_player_has_taken_is_released_when_the_player_lets_go() -> None:
    schedule = Schedule(LATE_AFTER_NS)
    schedule.add(0, NoteOn(60, 64), 0)
    schedule.add(0, NoteOn(62, 64), 0)
    taken(schedule, 0)

    schedule.hold(frozenset({60}), 5)
    schedule.release(5)
    assert taken(schedule, 5) == [NoteOff(62)]
    assert schedule.is_at_rest

    schedule.hold(NOBODY, 9)
    assert taken(schedule, 9) == [NoteOff(60)]
    assert schedule.sounding == {}


def test_a_key_struck_again_is_released_first_on_the_channel_on_which_it_sounds() -> None:
    schedule = Schedule(LATE_AFTER_NS)
    schedule.add(0, NoteOn(60, 64), 3)
    schedule.add(10, NoteOn(60, 70), 4)
    first = schedule.take(0)
    release, second = schedule.take(10), schedule.take(10)

    assert first is not None
    assert release is not None
    assert second is not None
    assert (release.event, release.channel) == (NoteOff(60), first.channel)
    assert (second.event, second.channel) == (NoteOn(60, 70), 4)


def test_what_was_struck_on_a_channel_is_released_on_it_whatever_is_planned_since() -> None:
    schedule = Schedule(LATE_AFTER_NS)
    schedule.add(0, NoteOn(60, 64), 0)
    schedule.add(0, Pedal(down=True), 0)
    schedule.add(10, NoteOff(60), 1)
    schedule.add(10, Pedal(down=False), 1)

    channels = []
    while (message := schedule.take(10)) is not None:
        channels.append(message.channel)

    assert channels == [0, 0, 0, 0]
    assert schedule.is_at_rest


def test_release_forgets_the_plan_and_lets_go_of_notes_and_pedal() -> None:
    schedule = Schedule(LATE_AFTER_NS)
    schedule.add(0, Pedal(True), 0)
    schedule.add(0, NoteOn(60, 64), 0)
    schedule.add(50, NoteOn(62, 64), 0)
    taken(schedule, 0)

    schedule.release(10)

    assert taken(schedule, 100) == [NoteOff(60), Pedal(False)]
    assert schedule.is_at_rest


def test_a_release_between_the_two_halves_of_a_repetition_stops_the_second() -> None:
    schedule = Schedule(LATE_AFTER_NS)
    schedule.add(0, NoteOn(60, 64), 0)
    schedule.add(10, NoteOn(60, 70), 0)
    taken(schedule, 0)
    message = schedule.take(10)
    assert message is not None
    assert message.event == NoteOff(60)

    schedule.release(10)

    assert taken(schedule, 20) == []


def test_a_pedal_is_pressed_and_lifted_only_in_turn() -> None:
    schedule = Schedule(LATE_AFTER_NS)
    for down in (False, True, True, False, False):
        schedule.add(0, Pedal(down), 0)

    assert taken(schedule, 0) == [Pedal(True), Pedal(False)]


def test_a_release_that_the_port_refused_is_still_owed() -> None:
    schedule = Schedule(LATE_AFTER_NS)
    schedule.add(0, NoteOn(60, 64), 0)
    schedule.add(0, Pedal(True), 0)
    taken(schedule, 0)
    schedule.release(1)
    refused = [schedule.take(1), schedule.take(1)]

    for message in refused:
        assert message is not None
        schedule.unsend(message)
    schedule.release(2)

    assert taken(schedule, 2) == [NoteOff(60), Pedal(False)]


def test_what_a_predecessor_struck_is_released_on_its_channel() -> None:
    schedule = Schedule(LATE_AFTER_NS)

    schedule.adopt([(60, 5)], pedal_channel=5)
    schedule.release(0)

    messages = [schedule.take(0), schedule.take(0)]
    assert [(m.event, m.channel) for m in messages if m] == [(NoteOff(60), 5), (Pedal(False), 5)]


@dataclass(frozen=True)
class Plan:
    due_in_ms: int
    event: Event


@dataclass(frozen=True)
class Hold:
    held: frozenset[int]


@dataclass(frozen=True)
class LetGo:
    even_held: bool


@dataclass(frozen=True)
class Pass:
    """Time passes, and what is due is taken."""

    ms: int


PITCHES = st.integers(60, 62)
OPERATIONS = st.one_of(
    st.builds(
        Plan,
        st.integers(0, 200),
        st.one_of(
            st.builds(NoteOn, PITCHES, st.just(64)),
            st.builds(NoteOff, PITCHES),
            st.builds(Pedal, st.booleans()),
        ),
    ),
    st.builds(Hold, st.frozensets(PITCHES)),
    st.builds(LetGo, st.booleans()),
    st.builds(Pass, st.integers(0, 250)),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(OPERATIONS, max_size=60))
def test_whatever_happens_the_laws_hold(operations: list[object]) -> None:
    schedule = Schedule(LATE_AFTER_NS)
    now_ns = 0
    held = NOBODY
    sounding: set[int] = set()
    pedal_down = False
    planned_since_release: list[Event] = []
    for operation in [*operations, LetGo(even_held=True), Pass(0)]:
        if isinstance(operation, Plan):
            schedule.add(now_ns + operation.due_in_ms * MS, operation.event, 0)
            planned_since_release.append(operation.event)
        elif isinstance(operation, Hold):
            held = operation.held
            schedule.hold(held, now_ns)
        elif isinstance(operation, LetGo):
            schedule.release(now_ns, even_held=operation.even_held)
            planned_since_release.clear()
            held = NOBODY if operation.even_held else held
        else:
            assert isinstance(operation, Pass)
            now_ns += operation.ms * MS
            while (message := schedule.take(now_ns)) is not None:
                event = message.event
                if isinstance(event, NoteOn):
                    assert event.pitch not in sounding, "struck twice"
                    assert event.pitch not in held, "the player's key was struck"
                    assert event in planned_since_release, "struck after a stop"
                    assert now_ns - message.due_ns <= LATE_AFTER_NS, "struck late"
                    sounding.add(event.pitch)
                elif isinstance(event, NoteOff):
                    assert event.pitch in sounding, "released twice"
                    assert event.pitch not in held, "the player's key was released"
                    sounding.remove(event.pitch)
                else:
                    assert event.down != pedal_down, "the pedal moved to where it is"
                    pedal_down = event.down
    assert not sounding
    assert not pedal_down
    assert schedule.is_at_rest
