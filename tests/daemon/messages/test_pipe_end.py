"""One end of a pipe: in order, without waiting, and with word of the end."""

import multiprocessing
import os
import queue
from multiprocessing.connection import Connection
from typing import Any

import pytest

from daemon.messages.pipe_end import PipeEnd

PATIENCE_S = 20.0
MUCH = b"x" * 1_000_000  # more than a pipe holds


class Ends:
    """A pipe: this side by an end under test, the other by hand."""

    def __init__(self) -> None:
        ours, self.other = multiprocessing.Pipe()
        self._delivered: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.end = PipeEnd("test", ours, self._delivered.put)
        self.end.start()

    def delivered(self) -> Any:
        return self._delivered.get(timeout=PATIENCE_S)


@pytest.fixture
def ends() -> Ends:
    return Ends()


def received(other: Connection) -> Any:
    assert other.poll(PATIENCE_S)
    return other.recv()


def test_messages_arrive_in_order_both_ways(ends: Ends) -> None:
    for number in range(100):
        ends.end.send(number)
        ends.other.send(number)

    assert [received(ends.other) for _ in range(100)] == list(range(100))
    assert [ends.delivered() for _ in range(100)] == list(range(100))


def test_to_send_does_not_wait_for_who_does_not_read(ends: Ends) -> None:
    for _ in range(5):
        ends.end.send(MUCH)

    ends.other.send("still heard")

    assert ends.delivered() == "still heard"
    assert [received(ends.other) for _ in range(5)] == [MUCH] * 5


def test_the_end_of_the_other_side_is_told_once_and_after_all_it_said(ends: Ends) -> None:
    ends.other.send("last words")
    ends.other.close()

    assert ends.delivered() == "last words"
    assert ends.delivered() is None
    ends.end.send("to nobody")
    with pytest.raises(queue.Empty):
        ends._delivered.get(timeout=0.05)


def test_a_message_that_is_cut_off_is_the_end_too(ends: Ends) -> None:
    os.write(ends.other.fileno(), b"\x00\x00\x00\x10half")
    ends.other.close()

    assert ends.delivered() is None


def test_to_close_sends_what_is_waiting_and_nothing_after_it(ends: Ends) -> None:
    ends.end.send("before")

    ends.end.close(PATIENCE_S)
    ends.end.send("after")

    assert received(ends.other) == "before"
    assert not ends.other.poll(0.05)
