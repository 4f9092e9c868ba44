"""Keys: who is admitted to a server that asks for them."""

from pathlib import Path

import pytest

from daemon.control.server import ControlServer
from daemon.control.sockets import (
    AddressError,
    ClientKeys,
    CommandClient,
    EventClient,
    NoAnswerError,
    create_keys,
)
from daemon.settings import ControlSettings
from tests.support.control_clients import ANY_PORT, asked, next_event
from tests.support.fake_performer import FakePerformer


def test_a_client_with_its_key_is_admitted_to_commands_and_events(
    locked: tuple[ControlServer, ClientKeys],
) -> None:
    server, keys = locked

    with CommandClient(server.commands_address, keys) as client:
        assert asked(client, "state")["ok"] is True
    with EventClient(server.events_address, ("heartbeat",), keys) as events:
        assert next_event(events)["topic"] == "heartbeat"


def test_a_client_without_a_known_key_is_not_heard(
    locked: tuple[ControlServer, ClientKeys], performer: FakePerformer, tmp_path: Path
) -> None:
    server, keys = locked
    create_keys(tmp_path / "stranger")
    strange = ClientKeys(keys.server, tmp_path / "stranger" / "client.key_secret")

    for given in (None, strange):
        with (
            CommandClient(server.commands_address, given) as client,
            pytest.raises(NoAnswerError, match="no daemon answers"),
        ):
            client.ask(b'{"v":1,"cmd":"panic"}', 0.3)
        with EventClient(server.events_address, ("",), given) as events:
            assert events.next_event(0.3) is None

    assert performer.done == []
    with CommandClient(server.commands_address, keys) as client:
        info = asked(client, "info")
        assert info["result"]["control"]["handshakes_failed"] > 0


def test_keys_are_private_and_never_replaced(tmp_path: Path) -> None:
    create_keys(tmp_path / "keys")

    assert (tmp_path / "keys" / "server.key_secret").stat().st_mode & 0o077 == 0
    with pytest.raises(AddressError, match="not replaced"):
        create_keys(tmp_path / "keys")


@pytest.mark.parametrize("name", ["missing.key_secret", "clients/client.key", "text"])
def test_a_key_file_that_is_none_is_told(
    performer: FakePerformer, tmp_path: Path, name: str
) -> None:
    made = create_keys(tmp_path / "keys")
    (tmp_path / "keys" / "text").write_text("no key")
    wrong = str(tmp_path / "keys" / name)
    settings = ControlSettings(ANY_PORT, ANY_PORT, wrong, made.client_keys)

    with pytest.raises(AddressError, match=name), ControlServer(settings, performer.carry_out):
        pass
