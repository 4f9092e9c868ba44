"""The control server with real sockets: commands, their answers, and its addresses."""

import json
import logging
import math
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from daemon.control.commands import COMMANDS, Command, Result
from daemon.control.requests import Request
from daemon.control.server import ControlServer
from daemon.control.sockets import AddressError, EventClient, create_keys
from daemon.messages import turns as t
from daemon.parameters import Parameters
from daemon.settings import ControlSettings
from perceivers.errors import PerformerError
from tests.support.control_clients import ANY_PORT, FREE, ask, listen, next_event
from tests.support.fake_performer import FakePerformer

PLAIN = [row for row in COMMANDS.values() if row.becomes is not None and not row.arguments]


def test_set_changes_the_parameters_and_get_returns_them(
    server: ControlServer, performer: FakePerformer
) -> None:
    reply = ask(server, "set", temperature=0.5, seed=3)

    assert reply["ok"] is True
    assert reply["result"]["parameters"] == {"temperature": 0.5, "seed": 3}
    assert performer.current == Parameters(temperature=0.5, seed=3)
    got = ask(server, "get", names=["temperature"])
    assert got["result"] == {"parameters": {"temperature": 0.5}}


def test_a_refused_set_changes_nothing(server: ControlServer, performer: FakePerformer) -> None:
    reply = ask(server, "set", temperature=0.5, channel=99)

    assert reply["ok"] is False
    assert reply["error"]["code"] == "out_of_range"
    assert reply["error"]["allowed"] == [1, 16]
    assert performer.current == Parameters()


def test_parameters_of_perform_hold_for_that_turn_only(
    server: ControlServer, performer: FakePerformer
) -> None:
    ask(server, "set", temperature=0.5)

    reply = ask(server, "perform", length=30)

    assert reply["ok"] is True
    assert performer.done == [t.Perform({"length": 30.0})]
    assert performer.current == Parameters(temperature=0.5)


@pytest.mark.parametrize("command", PLAIN, ids=lambda command: command.name)
def test_a_plain_command_is_carried_out_once(
    server: ControlServer, performer: FakePerformer, command: Command
) -> None:
    assert ask(server, command.name)["ok"] is True
    assert performer.done == [Request(7, command).happening()]


def test_stop_is_answered_only_after_it_is_effective(
    server: ControlServer, performer: FakePerformer, sockets: Callable[[int], zmq.Socket[bytes]]
) -> None:
    performer.may_stop.clear()
    client = sockets(zmq.DEALER)
    client.connect(server.commands_address)

    client.send(b'{"v":1,"id":1,"cmd":"stop"}')

    assert client.poll(200) == 0
    assert performer.done == []
    performer.may_stop.set()
    assert json.loads(client.recv()) == {"id": 1, "ok": True, "result": {"state": "LISTENING"}}
    assert performer.done == [t.Stop()]


def test_a_req_socket_is_answered_too(
    server: ControlServer, sockets: Callable[[int], zmq.Socket[bytes]]
) -> None:
    client = sockets(zmq.REQ)
    client.connect(server.commands_address)

    for number in range(3):
        client.send(json.dumps({"v": 1, "id": number, "cmd": "state"}).encode())
        assert json.loads(client.recv()) == {
            "id": number,
            "ok": True,
            "result": {"state": "LISTENING"},
        }


def test_requests_sent_ahead_are_answered_in_order(
    server: ControlServer, sockets: Callable[[int], zmq.Socket[bytes]]
) -> None:
    client = sockets(zmq.DEALER)
    client.connect(server.commands_address)

    ahead = range(100)  # more than are taken at a time, and no more replies than may wait
    for number in ahead:
        client.send(json.dumps({"v": 1, "id": number, "cmd": "state"}).encode())

    assert [json.loads(client.recv())["id"] for _ in ahead] == [*ahead]


def test_what_the_performer_cannot_do_now_is_told_as_refused(
    server: ControlServer, performer: FakePerformer
) -> None:
    def refuse() -> Result:
        raise PerformerError("no model is loaded; wait for STARTING to end")

    performer.on_state = refuse

    assert ask(server, "state")["error"] == {
        "code": "refused",
        "field": None,
        "message": "no model is loaded; wait for STARTING to end",
    }


@pytest.mark.parametrize("result", [{"lead_s": math.nan}, {"thread": threading.current_thread()}])
def test_a_fault_in_one_command_is_logged_and_the_next_is_answered(
    server: ControlServer,
    performer: FakePerformer,
    caplog: pytest.LogCaptureFixture,
    result: Result,
) -> None:
    performer.on_state = lambda: result
    assert ask(server, "state")["error"]["code"] == "internal"

    nothing: dict[str, Result] = {}
    performer.on_state = lambda: nothing["missing"]
    assert ask(server, "state")["error"]["code"] == "internal"

    performer.on_state = dict
    assert ask(server, "state")["ok"] is True
    assert "KeyError" in caplog.text


def test_a_taken_address_is_one_clear_line(server: ControlServer, performer: FakePerformer) -> None:
    for taken in ("commands", "events"):
        address = server.commands_address if taken == "commands" else server.events_address
        settings = ControlSettings(**{"commands": ANY_PORT, "events": ANY_PORT, taken: address})

        with pytest.raises(AddressError) as refusal, ControlServer(settings, performer.carry_out):
            pass

        told = str(refusal.value)
        assert "\n" not in told
        assert address in told
        assert "in use" in told
        assert f"control.{taken}" in told
    assert ask(server, "state")["ok"] is True


def test_an_address_of_another_computer_is_one_clear_line(
    performer: FakePerformer, tmp_path: Path
) -> None:
    made = create_keys(tmp_path / "keys")
    settings = ControlSettings(
        commands="tcp://192.0.2.1:7700",
        events=ANY_PORT,
        server_key=made.server_key,
        client_keys=made.client_keys,
    )

    with (
        pytest.raises(AddressError, match=r"192\.0\.2\.1:7700: .*control\.commands"),
        ControlServer(settings, performer.carry_out),
    ):
        pass


def test_the_end_frees_the_ports_and_joins_the_thread(performer: FakePerformer) -> None:
    with ControlServer(FREE, performer.carry_out) as first:
        addresses = first.commands_address, first.events_address
        assert ask(first, "shutdown")["ok"] is True

    assert "control" not in [thread.name for thread in threading.enumerate()]
    with ControlServer(ControlSettings(*addresses), performer.carry_out) as second:
        assert ask(second, "state")["ok"] is True


def test_publishing_after_the_end_is_harmless(
    performer: FakePerformer, caplog: pytest.LogCaptureFixture
) -> None:
    with ControlServer(FREE, performer.carry_out) as first:
        addresses = first.commands_address, first.events_address

    first.publish("state", {"to": "STOPPING"})

    assert not first.alive
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    with (
        ControlServer(ControlSettings(*addresses), performer.carry_out) as second,
        EventClient(second.events_address, ("state", "hello", "begin")) as events,
    ):
        listen(events, second)
        second.publish("state", {"to": "LISTENING"})
        event = next_event(events)
    assert (event["n"], event["to"]) == (1, "LISTENING")  # nothing came before it
