"""The link to the brain: what it is told, what is noted of it, and what its end is worth."""

import queue
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import pytest

from daemon.messages.brain import BrainFailed, BrainReady, Pulse, Quit
from daemon.messages.child_process import WITHIN_S
from daemon.settings import Settings
from daemon.stage.brain_link import SILENT_FOR_S, BrainGone, BrainLink, BrainOver

pytestmark = pytest.mark.processes

PATIENCE_S = 20.0
READY = BrainReady("model", "script", "none", 1.0, 1024, 0.5, 0.1)


def obedient(connection: Connection, settings: Settings, origin_ns: int) -> None:
    """Be ready; say back what is told, and end when asked to."""
    connection.send(READY)
    while not isinstance(message := connection.recv(), Quit):
        connection.send(message)


def broken(connection: Connection, settings: Settings, origin_ns: int) -> None:
    """Fail, and stay."""
    connection.send(BrainFailed(f"{settings.engine.model}: cannot be opened"))
    connection.recv()


def brief(connection: Connection, settings: Settings, origin_ns: int) -> None:
    """End with a code."""
    raise SystemExit(7)


class Linked:
    def __init__(self, target: Callable[..., None]) -> None:
        self._delivered: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.link = BrainLink(Settings(), 0, self._delivered.put, target)
        self.link.start(0.0)

    def delivered(self) -> Any:
        return self._delivered.get(timeout=PATIENCE_S)


@pytest.fixture
def linked(request: pytest.FixtureRequest) -> Iterator[Linked]:
    linked = Linked(request.param)
    yield linked
    linked.link.stop()


def to(target: Callable[..., None]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("linked", [target], indirect=True, ids=[target.__name__])


@to(obedient)
def test_what_a_brain_says_arrives_as_it_said_it(linked: Linked) -> None:
    pulse = Pulse(1, 0, 0.5, None)
    linked.link.say(pulse)  # type: ignore[arg-type]

    assert [linked.delivered(), linked.delivered()] == [READY, pulse]


@to(obedient)
def test_one_that_still_loads_may_take_its_time_and_one_that_was_ready_may_not(
    linked: Linked,
) -> None:
    assert linked.delivered() == READY
    assert linked.link.watch(1e6) is None
    linked.link.heard(READY, 10.0)

    assert linked.link.watch(10.0 + SILENT_FOR_S) is None
    silent = linked.link.watch(10.1 + SILENT_FOR_S)

    assert silent == "the model has not answered for 3 s"
    assert linked.delivered() == BrainOver()
    assert linked.link.over(14.0) == BrainGone(silent)


@to(broken)
def test_one_that_has_failed_is_not_kept_and_its_own_reason_is_told(linked: Linked) -> None:
    failed = linked.delivered()
    linked.link.heard(failed, 1.0)

    assert linked.delivered() == BrainOver()
    assert linked.link.over(1.0) == BrainGone(failed.reason)


@to(brief)
def test_one_that_ends_again_and_again_is_to_rest(linked: Linked) -> None:
    gone = BrainGone("")
    for start in range(1, 6):
        assert not gone.rests_s
        assert linked.delivered() == BrainOver()
        gone = linked.link.over(float(start))
        assert "the model process has ended (exit code 7)" in gone.reason
        if not gone.rests_s:
            linked.link.start(float(start))

    assert gone.rests_s == WITHIN_S
    assert "5 times within a minute, and the next try is in a minute" in gone.reason


@to(obedient)
def test_asked_to_stop_it_is_gone(linked: Linked) -> None:
    assert linked.delivered() == READY

    linked.link.stop()

    assert linked.delivered() == BrainOver()
    linked.link.stop()  # twice does no harm
