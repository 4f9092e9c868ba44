"""A child process, whatever it does: it is heard, watched, gone when asked to, and replaced."""

import os
import queue
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from daemon.messages.child_process import KILLED_WITHIN_S, RESTARTS, WITHIN_S, ChildProcess
from tests.support import children

pytestmark = pytest.mark.processes

PATIENCE_S = 20.0
SILENT_FOR_S = 3.0
OVER = "over"


class Kept:
    """A child process, and what is delivered of it."""

    def __init__(self, target: Callable[..., None]) -> None:
        self._delivered: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.child = ChildProcess(
            "test", target, self._delivered.put, lambda: self._delivered.put(OVER), SILENT_FOR_S
        )

    def delivered(self) -> Any:
        return self._delivered.get(timeout=PATIENCE_S)

    def is_silent(self) -> bool:
        return self._delivered.empty()


@pytest.fixture
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    kept = Kept(request.param)
    yield kept
    kept.child.end()


def of(target: Callable[..., None]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kept", [target], indirect=True, ids=[target.__name__])


@of(children.answers)
def test_it_is_started_with_arguments_and_spoken_with(kept: Kept) -> None:
    kept.child.start(0.0, "a", 2)
    kept.child.send("well?")

    assert kept.delivered() == ("a", 2)
    assert kept.delivered() == "well?"


@of(children.answers)
def test_asked_to_end_it_ends_by_itself(kept: Kept) -> None:
    kept.child.start(0.0)
    kept.child.ask_to_end("end", 0.0, 10.0)

    assert kept.delivered() == ()
    assert kept.delivered() == OVER
    assert kept.child.is_there
    assert kept.child.collect() == 0
    assert not kept.child.is_there


@of(children.dies)
def test_the_death_of_one_is_told_after_all_it_said(kept: Kept) -> None:
    kept.child.start(0.0)

    assert [kept.delivered() for _ in range(3)] == ["one", "two", OVER]
    assert kept.child.collect() == 3


@of(children.hangs)
def test_one_that_hangs_is_killed_when_it_was_silent_for_too_long(kept: Kept) -> None:
    kept.child.start(0.0)
    assert kept.delivered() == "there"
    kept.child.heard(1.0, is_ready=True)

    assert not kept.child.watch(1.0 + SILENT_FOR_S)
    assert kept.child.watch(1.1 + SILENT_FOR_S)
    assert kept.delivered() == OVER
    assert kept.child.collect() == -signal.SIGKILL


@of(children.hangs)
def test_one_that_is_not_ready_has_the_time_it_was_given(kept: Kept) -> None:
    kept.child.start(0.0, within_s=90.0)
    assert kept.delivered() == "there"
    kept.child.heard(1.0)

    assert not kept.child.watch(90.0)
    assert kept.child.watch(90.1)
    assert kept.delivered() == OVER


@of(children.hangs)
def test_one_that_refuses_to_end_is_killed_when_its_time_is_over(kept: Kept) -> None:
    kept.child.start(0.0)
    assert kept.delivered() == "there"
    kept.child.ask_to_end("end", 5.0, 10.0)
    kept.child.heard(14.0, is_ready=True)  # to speak is no way to stay

    assert not kept.child.watch(15.0)
    assert kept.child.watch(15.1)
    assert kept.delivered() == OVER


@of(children.hangs)
def test_asked_twice_it_has_no_time_left(kept: Kept) -> None:
    kept.child.start(0.0)
    kept.child.ask_to_end("end", 5.0, 10.0)
    kept.child.ask_to_end("end", 6.0, 0.0)

    assert kept.child.watch(6.1)


@of(children.floods)
def test_one_that_floods_is_heard_in_order_and_can_be_killed(kept: Kept) -> None:
    kept.child.start(0.0)
    assert [kept.delivered() for _ in range(1000)] == list(range(1000))

    kept.child.kill(1.0)

    last = 999
    while (said := kept.delivered()) != OVER:
        assert said == last + 1
        last = said
    assert kept.is_silent()


@of(children.hangs)
def test_one_that_does_not_read_can_be_told_any_amount(kept: Kept) -> None:
    kept.child.start(0.0)

    for _ in range(5):
        kept.child.send(b"x" * 1_000_000)

    assert kept.delivered() == "there"
    kept.child.kill(1.0)
    assert kept.delivered() == OVER


@of(children.leaves_somebody)
def test_one_whose_pipe_stays_open_is_given_up_after_a_while(kept: Kept) -> None:
    kept.child.start(0.0)
    somebody = kept.delivered()
    kept.child.kill(1.0)

    kept.child.watch(1.0 + KILLED_WITHIN_S)
    assert kept.is_silent()
    kept.child.watch(1.1 + KILLED_WITHIN_S)

    assert kept.delivered() == OVER
    kept.child.collect()
    kept.child.start(9.0)  # the next one is heard, and nothing more of the last
    os.kill(somebody, signal.SIGKILL)
    another = kept.delivered()
    assert another != somebody
    os.kill(another, signal.SIGKILL)
    assert kept.is_silent()


@of(children.hangs)
def test_to_end_it_does_not_need_its_consent(kept: Kept) -> None:
    kept.child.start(0.0)
    assert kept.delivered() == "there"

    assert kept.child.end("end", 0.05) == -signal.SIGKILL
    assert not kept.child.is_there


@of(children.dies)
def test_one_that_dies_again_and_again_is_hopeless(kept: Kept) -> None:
    for number in range(RESTARTS):
        assert not kept.child.is_hopeless(float(number))
        kept.child.start(float(number))
        assert [kept.delivered() for _ in range(3)] == ["one", "two", OVER]
        kept.child.collect()

    assert kept.child.is_hopeless(WITHIN_S - 0.1)
    assert not kept.child.is_hopeless(WITHIN_S)


def test_without_a_process_there_is_nothing_to_say_or_to_watch() -> None:
    kept = Kept(children.answers)

    kept.child.send("anybody?")

    assert not kept.child.watch(1e9)
    assert kept.child.end("end") is None
    assert kept.is_silent()
