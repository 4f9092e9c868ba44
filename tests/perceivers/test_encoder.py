from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceivers import vocabulary as v
from perceivers.decoder import decode
from perceivers.encoder import StreamEncoder, encode, step_of
from perceivers.events import Event, NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.score import MAX_EVENTS_AT_ONE_INSTANT
from tests.support.random_music import PERFORMANCES

HALF_STEP_S = 0.5 / v.STEPS_PER_SECOND


def heard(performance: list[TimedEvent]) -> list[TimedEvent]:
    """Return what a listener learns from a performance: written anew, without the encoder.

    Repeated pedals and unmatched note-offs say nothing; a re-struck key comes up first; keys that
    are down at the end come up there; velocities are known to within their bin.
    """
    sounding: set[int] = set()
    pedal = False
    events = []
    for time_s, event in performance:
        if isinstance(event, NoteOn):
            if event.pitch in sounding:
                events.append(TimedEvent(time_s, NoteOff(event.pitch)))
            sounding.add(event.pitch)
            velocity = event.velocity // 4 * 4 + 2
            events.append(TimedEvent(time_s, NoteOn(event.pitch, velocity)))
        elif isinstance(event, NoteOff) and event.pitch in sounding:
            sounding.remove(event.pitch)
            events.append(TimedEvent(time_s, event))
        elif isinstance(event, Pedal) and event.down != pedal:
            pedal = event.down
            events.append(TimedEvent(time_s, event))
    last_s = events[-1].time_s if events else 0.0
    return events + [TimedEvent(last_s, NoteOff(pitch)) for pitch in sorted(sounding)]


def most_at_one_step(events: list[TimedEvent]) -> int:
    return max(Counter(step_of(event.time_s) for event in events).values(), default=0)


@given(PERFORMANCES)
@settings(deadline=None)
def test_what_was_played_comes_back_within_half_a_grid_step(performance: list[TimedEvent]):
    expected = heard(performance)

    decoded = decode(encode(performance))

    assert [event.event for event in decoded] == [event.event for event in expected]
    if most_at_one_step(expected) <= MAX_EVENTS_AT_ONE_INSTANT:
        late_s = [a.time_s - b.time_s for a, b in zip(decoded, expected, strict=True)]
        assert all(abs(error) <= HALF_STEP_S + 1e-9 for error in late_s)


@given(PERFORMANCES, st.lists(st.integers(1, 50)))
@settings(deadline=None)
def test_live_input_gives_the_tokens_of_the_file(
    performance: list[TimedEvent], chunk_sizes: list[int]
):
    live = StreamEncoder()
    tokens = live.begin(v.Source.DISKLAVIER)

    for event in performance:
        tokens += live.feed(event)

    assert tokens + live.end() == encode(performance, v.Source.DISKLAVIER)


@given(PERFORMANCES)
@settings(deadline=None)
def test_encoding_what_was_decoded_changes_nothing(performance: list[TimedEvent]):
    tokens = encode(performance)

    assert encode(decode(tokens)) == tokens


@pytest.mark.slow
def test_times_do_not_drift_over_fifty_thousand_notes():
    # 10.4 ms between events: rounding each gap on its own would lose 0.4 ms a time, 40 s in all.
    gap_s = 0.0104
    performance = [
        TimedEvent(i * gap_s, NoteOn(60, 64) if i % 2 == 0 else NoteOff(60)) for i in range(100_000)
    ]

    decoded = decode(encode(performance))

    errors = np.array([a.time_s - b.time_s for a, b in zip(decoded, performance, strict=True)])
    assert np.abs(errors).max() <= HALF_STEP_S + 1e-9
    assert abs(errors[-1000:].mean()) < 1e-4


def test_a_restruck_key_comes_up_first():
    tokens = encode([TimedEvent(0.0, NoteOn(60, 64)), TimedEvent(0.5, NoteOn(60, 64))])

    body = tokens[2:-1]
    assert body == [
        v.VELOCITY + 16,
        v.NOTE_ON + 60,
        v.shift_token(50),
        v.NOTE_OFF + 60,
        v.NOTE_ON + 60,
        v.NOTE_OFF + 60,
    ]


def test_what_says_nothing_gives_no_token_and_is_counted():
    encoder = StreamEncoder()

    for time_s, event in enumerate([NoteOff(60), NoteOff(61), Pedal(False)]):
        assert encoder.feed(TimedEvent(float(time_s), event)) == []

    assert encoder.ignored == {"note_off": 2, "pedal": 1}
    assert encoder.state.step == 0


def test_a_velocity_is_said_only_when_its_bin_changes():
    velocities = [64, 65, 67, 68, 64]
    performance = [TimedEvent(float(i), NoteOn(60 + i, vel)) for i, vel in enumerate(velocities)]

    said = [token - v.VELOCITY for token in encode(performance) if v.kind_of(token) == "velocity"]

    assert said == [16, 17, 16]


def test_a_time_before_the_previous_one_counts_as_that_one():
    tokens = encode([TimedEvent(1.0, NoteOn(60, 64)), TimedEvent(0.2, NoteOn(61, 64))])

    onsets = [event.time_s for event in decode(tokens) if isinstance(event.event, NoteOn)]
    assert onsets == [1.0, 1.0]


@pytest.mark.parametrize("gap_s", [0.01, 0.99, 1.0, 1.01, 2.0, 3600.0])
def test_waiting_is_said_in_as_few_tokens_as_possible(gap_s: float):
    encoder = StreamEncoder()

    tokens = encoder.wait_until(gap_s)

    assert encoder.state.time_s == pytest.approx(gap_s)
    assert len(tokens) == -(-round(gap_s * 100) // v.MAX_SHIFT_STEPS)
    assert encoder.wait_until(gap_s) == []


def test_keys_that_are_down_at_the_end_come_up_before_it():
    performance = [TimedEvent(0.0, NoteOn(60, 64)), TimedEvent(0.0, NoteOn(55, 64))]

    tokens = encode(performance)

    assert tokens[-3:] == [v.NOTE_OFF + 55, v.NOTE_OFF + 60, v.EOS]


def test_an_instant_that_is_full_passes_on_to_the_next_step_and_time_recovers():
    cluster: list[Event] = [NoteOn(pitch, 64) for pitch in range(100)]
    performance = [TimedEvent(1.0, event) for event in cluster]
    performance.append(TimedEvent(2.0, NoteOff(0)))

    decoded = decode(encode(performance))

    assert [event.event for event in decoded[:100]] == [NoteOn(p, 66) for p in range(100)]
    assert {event.time_s for event in decoded[:100]} == {1.0, 1.01, 1.02}
    assert decoded[100].time_s == 2.0
