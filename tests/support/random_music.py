"""Random music for property tests."""

from hypothesis import strategies as st

from perceivers.events import Event, NoteOff, NoteOn, Pedal, TimedEvent

PITCH = st.integers(0, 127)

EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(NoteOn, PITCH, st.integers(1, 127)),
    st.builds(NoteOff, PITCH),
    st.builds(Pedal, st.booleans()),
)

# Few pitches and short gaps, so that keys are re-struck and instants get crowded.
DENSE_EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(NoteOn, st.integers(60, 63), st.integers(1, 127)),
    st.builds(NoteOff, st.integers(60, 63)),
    st.builds(Pedal, st.booleans()),
)
GAPS_S = st.one_of(st.just(0.0), st.floats(0.0, 0.03), st.floats(0.0, 4.0))


def timed(gaps_and_events: list[tuple[float, Event]]) -> list[TimedEvent]:
    """Put events one after the other."""
    time_s = 0.0
    performance = []
    for gap_s, event in gaps_and_events:
        time_s += gap_s
        performance.append(TimedEvent(time_s, event))
    return performance


PERFORMANCES = st.lists(st.tuples(GAPS_S, st.one_of(EVENTS, DENSE_EVENTS)), max_size=120).map(timed)
