"""Clients of the control server, well-behaved and bare."""

import json
import socket
from typing import Any

from daemon.control.server import ControlServer
from daemon.control.sockets import CommandClient, EventClient
from daemon.settings import ControlSettings
from tests.support.fake_performer import PATIENCE_S

ANY_PORT = "tcp://127.0.0.1:*"
FREE = ControlSettings(commands=ANY_PORT, events=ANY_PORT)


def ask(server: ControlServer, command: str, /, **args: Any) -> Any:
    """Send a command as a well-behaved client; return the whole reply."""
    with CommandClient(server.commands_address) as client:
        return asked(client, command, **args)


def asked(client: CommandClient, command: str, /, **args: Any) -> Any:
    request = {"v": 1, "id": 7, "cmd": command, "args": args}
    reply = json.loads(client.ask(json.dumps(request).encode(), PATIENCE_S))
    assert reply["id"] == 7
    return reply


def counts(server: ControlServer) -> dict[str, int]:
    found = ask(server, "info")["result"]["control"]
    assert isinstance(found, dict)
    return found


def raw(server: ControlServer) -> socket.socket:
    port = int(server.commands_address.rsplit(":", 1)[1])
    return socket.create_connection(("127.0.0.1", port), PATIENCE_S)


def listen(client: EventClient, server: ControlServer) -> None:
    """Return once events reach the client: a subscription takes a moment to arrive."""
    for _ in range(int(PATIENCE_S * 100)):
        server.publish("hello", {})
        if client.next_event(0.01) is not None:
            server.publish("begin", {})
            while next_event(client)["topic"] != "begin":
                pass
            return
    raise AssertionError("the subscription never arrived")


def next_event(client: EventClient) -> dict[str, Any]:
    received = client.next_event(PATIENCE_S)
    assert received is not None
    event = json.loads(received[1])
    assert isinstance(event, dict)
    assert event["topic"] == received[0]
    return event


def event_of(client: EventClient, topic: str) -> dict[str, Any]:
    heartbeats = 0
    while heartbeats < PATIENCE_S:
        event = next_event(client)
        if event["topic"] == topic:
            return event
        heartbeats += event["topic"] == "heartbeat"
    raise AssertionError(f"no event {topic} came")
