"""A control server, a performer behind it, and bare sockets."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from daemon.control.server import ControlServer
from daemon.control.sockets import ClientKeys, create_keys
from daemon.settings import ControlSettings
from tests.support.control_clients import ANY_PORT, FREE
from tests.support.fake_performer import PATIENCE_S, FakePerformer


@pytest.fixture
def performer() -> FakePerformer:
    return FakePerformer()


@pytest.fixture
def server(performer: FakePerformer) -> Iterator[ControlServer]:
    with ControlServer(FREE, performer.carry_out) as running:
        yield running
    assert not running.alive


@pytest.fixture
def sockets() -> Iterator[Callable[[int], zmq.Socket[bytes]]]:
    """Bare sockets, to do with them what the daemon's own client never does."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made: list[zmq.Socket[bytes]] = []

    def make(kind: int) -> zmq.Socket[bytes]:
        made.append(context.socket(kind))
        made[-1].set(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
        return made[-1]

    yield make
    for each in made:
        each.disable_monitor()
        each.close(linger=0)
    context.term()


@pytest.fixture
def locked(performer: FakePerformer, tmp_path: Path) -> Iterator[tuple[ControlServer, ClientKeys]]:
    folder = tmp_path / "keys"
    made = create_keys(folder)
    settings = ControlSettings(ANY_PORT, ANY_PORT, made.server_key, made.client_keys)
    with ControlServer(settings, performer.carry_out) as server:
        yield server, ClientKeys(folder / "server.key", folder / "client.key_secret")
