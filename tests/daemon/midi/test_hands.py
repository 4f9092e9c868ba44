"""One piano for several."""

from hypothesis import given
from hypothesis import strategies as st

from daemon.midi.hands import Hands
from perceivers.events import Event, NoteOff, NoteOn, Pedal

ON, OFF = NoteOn(60, 80), NoteOff(60)
DOWN, UP = Pedal(down=True), Pedal(down=False)


def test_a_key_is_down_while_any_source_holds_it() -> None:
    hands = Hands()

    assert [hands.does(who, ON) for who in "ab"] == [ON, None]
    assert [hands.does(who, OFF) for who in "ab"] == [None, OFF]


def test_the_pedal_is_down_while_any_source_holds_it() -> None:
    hands = Hands()

    assert [hands.does(who, DOWN) for who in "ab"] == [DOWN, None]
    assert [hands.does(who, UP) for who in "aab"] == [None, None, UP]


def test_who_strikes_a_key_again_strikes_it_and_who_releases_what_is_up_says_so() -> None:
    hands = Hands()

    assert [hands.does("a", ON), hands.does("a", ON)] == [ON, ON]
    assert [hands.does("a", OFF), hands.does("a", OFF)] == [OFF, OFF]


def test_hands_that_are_taken_away_release_what_nobody_else_holds() -> None:
    hands = Hands()
    for event in (ON, NoteOn(64, 80), DOWN):
        hands.does("a", event)
    hands.does("b", ON)

    assert hands.held_by("a") == ([60, 64], True)
    assert hands.let_go("a") == [NoteOff(64), UP]
    assert hands.held_by("a") == ([], False)
    assert hands.clear() == [OFF]
    assert hands.clear() == []


EVENTS = st.one_of(
    st.builds(NoteOn, st.integers(60, 62), st.integers(1, 127)),
    st.builds(NoteOff, st.integers(60, 62)),
    st.builds(Pedal, st.booleans()),
)


@given(st.lists(st.tuples(st.sampled_from("abc"), EVENTS)))
def test_whatever_they_do_all_is_up_when_all_have_gone(deeds: list[tuple[str, Event]]) -> None:
    hands = Hands()
    told = [hands.does(who, event) for who, event in deeds]
    done = [event for event in told if event is not None]

    for who in "abc":
        done += hands.let_go(who)

    down: set[int] = set()
    pedal = False
    for event in done:
        if isinstance(event, NoteOn):
            down.add(event.pitch)
        elif isinstance(event, NoteOff):
            down.discard(event.pitch)
        else:
            assert event.down is not pedal
            pedal = event.down
    assert not down
    assert not pedal
    assert hands.clear() == []
