"""The inbox: what is put in by the input, and how others ask the core."""

import queue
import threading

import pytest

from daemon.control.commands import COMMANDS
from daemon.control.requests import Request
from daemon.messages.turns import Back, Heard, LetGo, Lost, Part
from daemon.stage import inbox as i
from perceivers.errors import PerformerError
from perceivers.events import NoteOn, TimedEvent
from tests.support.midi_ports import ScriptedInput

REQUEST = Request(1, COMMANDS["state"])


@pytest.fixture
def inbox() -> i.Inbox:
    return queue.SimpleQueue()


def test_what_is_played_has_its_moment_of_the_session(inbox: i.Inbox) -> None:
    heard = i.playing_into(inbox, lambda time_ns: time_ns / 1e9)

    heard(2_500_000_000, NoteOn(60, 64))
    heard(3_000_000_000, LetGo())

    assert inbox.get() == Heard(TimedEvent(2.5, NoteOn(60, 64)))
    assert inbox.get() == LetGo()


def test_a_port_that_goes_and_comes_is_a_part_lost_and_back(inbox: i.Inbox) -> None:
    present = i.presence_into(inbox, ScriptedInput())

    present(False)
    present(True)

    assert inbox.get() == Lost(Part.INPUT, "MIDI input 'script' is gone")
    assert inbox.get() == Back(Part.INPUT)


def answering(inbox: i.Inbox, outcome: i.Outcome) -> threading.Thread:
    """Answer the next question in another thread, as the core does."""

    def answer() -> None:
        asked = inbox.get()
        assert isinstance(asked, i.Asked)
        assert asked.request == REQUEST
        asked.reply.put(outcome)

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


def test_who_asks_waits_for_the_answer(inbox: i.Inbox) -> None:
    thread = answering(inbox, {"state": "listening"})

    assert i.asking(inbox)(REQUEST) == {"state": "listening"}
    thread.join()


def test_who_is_refused_is_told_by_an_error(inbox: i.Inbox) -> None:
    thread = answering(inbox, PerformerError("not now"))

    with pytest.raises(PerformerError, match="not now"):
        i.asking(inbox)(REQUEST)
    thread.join()


def test_who_is_not_answered_does_not_wait_for_ever(
    inbox: i.Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(i, "_ANSWER_WITHIN_S", 0.05)

    with pytest.raises(i.BusyError, match="try again"):
        i.asking(inbox)(REQUEST)
