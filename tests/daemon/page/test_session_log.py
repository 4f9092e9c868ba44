"""What a page keeps of a session: the last phrase, the last answer, everything."""

from typing import Any

import pytest

from daemon.page.session_log import RECENT_S, SessionLog
from perceivers.events import NoteOn
from perceivers.midi_files import Track


class Session:
    """A session as the daemon tells of it."""

    def __init__(self) -> None:
        self.log = SessionLog()

    def note(self, by: str, pitch: int, at_s: float) -> None:
        struck = {"by": by, "at_s": at_s, "event": "note_on", "pitch": pitch, "velocity": 60}
        released = {"by": by, "at_s": at_s + 0.1, "event": "note_off", "pitch": pitch}
        self.log.heard("note", struck)
        self.log.heard("note", released)

    def state(self, state: str, time_s: float) -> None:
        self.log.heard("state", {"state": state, "time_s": time_s})

    def turn_over(self, time_s: float) -> None:
        self.log.heard("turn", {"time_s": time_s})


@pytest.fixture
def session() -> Session:
    """A phrase and its answer."""
    session = Session()
    session.note("player", 60, 1.0)
    session.note("player", 62, 2.0)
    session.state("performing", 3.0)
    session.note("performer", 72, 3.1)
    session.note("performer", 74, 4.0)
    session.turn_over(5.0)
    session.state("listening", 5.0)
    return session


def strikes(tracks: list[Track]) -> dict[str, list[tuple[float, int]]]:
    return {
        track.name: [
            (pytest.approx(time_s), event.pitch)
            for time_s, event in track.events
            if isinstance(event, NoteOn)
        ]
        for track in tracks
    }


def test_nothing_is_kept_of_nothing() -> None:
    log = SessionLog()

    assert (log.phrase(), log.answer(), log.everything(), log.recent(0.0)) == ([], [], [], [])


def test_the_last_phrase_and_the_last_answer_begin_at_once(session: Session) -> None:
    assert strikes(session.log.phrase()) == {"player": [(0.0, 60), (1.0, 62)]}
    assert strikes(session.log.answer()) == {"performer": [(0.0, 72), (0.9, 74)]}


def test_both_parts_keep_their_distance(session: Session) -> None:
    assert strikes(session.log.everything()) == {
        "player": [(0.0, 60), (1.0, 62)],
        "performer": [(2.1, 72), (3.0, 74)],
    }


def test_what_was_played_since_the_answer_is_the_phrase(session: Session) -> None:
    session.note("player", 64, 6.0)

    assert strikes(session.log.phrase()) == {"player": [(0.0, 64)]}
    assert strikes(session.log.answer()) == {"performer": [(0.0, 72), (0.9, 74)]}


def test_a_phrase_that_began_over_the_answer_has_its_first_note() -> None:
    session = Session()
    session.note("player", 60, 1.0)
    session.state("performing", 3.0)
    session.note("performer", 72, 3.1)
    session.note("player", 64, 3.9)
    session.state("handing_back", 3.91)
    session.turn_over(4.5)
    session.note("player", 65, 4.2)

    assert strikes(session.log.phrase()) == {"player": [(0.0, 64), (pytest.approx(0.3), 65)]}


def test_an_answer_that_sounds_now_is_to_the_phrase_before_it(session: Session) -> None:
    session.note("player", 64, 6.0)
    session.state("performing", 7.0)
    session.note("performer", 76, 7.1)

    assert strikes(session.log.phrase()) == {"player": [(0.0, 64)]}
    assert strikes(session.log.answer()) == {"performer": [(0.0, 76)]}


def test_who_comes_is_told_the_last_minute(session: Session) -> None:
    told: list[dict[str, Any]] = session.log.recent(2.5 + RECENT_S)

    assert [note["at_s"] for note in told] == [3.1, 3.2, 4.0, 4.1]
