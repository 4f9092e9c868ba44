"""The control server with real sockets: commands, events, and everything a client can do wrong."""

import json
import logging
import math
import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from daemon.control.commands import COMMANDS, Command, Result
from daemon.control.requests import Request
from daemon.control.server import ControlServer
from daemon.control.sockets import (
    AddressError,
    ClientKeys,
    CommandClient,
    EventClient,
    NoAnswerError,
    create_keys,
)
from daemon.messages import turns as t
from daemon.parameters import Parameters
from daemon.settings import ControlSettings
from perceivers.errors import PerformerError
from tests.support.fake_performer import PATIENCE_S, FakePerformer

_ANY_PORT = "tcp://127.0.0.1:*"
_FREE = ControlSettings(commands=_ANY_PORT, events=_ANY_PORT)
PLAIN = [row for row in COMMANDS.values() if row.becomes is not None and not row.arguments]


@pytest.fixture
def performer() -> FakePerformer:
    return FakePerformer()


@pytest.fixture
def server(performer: FakePerformer) -> Iterator[ControlServer]:
    with ControlServer(_FREE, performer.carry_out) as running:
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


def _ask(server: ControlServer, command: str, /, **args: Any) -> Any:
    """Send a command as a well-behaved client; return the whole reply."""
    with CommandClient(server.commands_address) as client:
        return _asked(client, command, **args)


def _asked(client: CommandClient, command: str, /, **args: Any) -> Any:
    request = {"v": 1, "id": 7, "cmd": command, "args": args}
    reply = json.loads(client.ask(json.dumps(request).encode(), PATIENCE_S))
    assert reply["id"] == 7
    return reply


def _counts(server: ControlServer) -> dict[str, int]:
    counts = _ask(server, "info")["result"]["control"]
    assert isinstance(counts, dict)
    return counts


def _raw(server: ControlServer) -> socket.socket:
    port = int(server.commands_address.rsplit(":", 1)[1])
    return socket.create_connection(("127.0.0.1", port), PATIENCE_S)


def _listen(client: EventClient, server: ControlServer) -> None:
    """Return once events reach the client: a subscription takes a moment to arrive."""
    for _ in range(int(PATIENCE_S * 100)):
        server.publish("hello", {})
        if client.next_event(0.01) is not None:
            server.publish("begin", {})
            while _event(client)["topic"] != "begin":
                pass
            return
    raise AssertionError("the subscription never arrived")


def _event(client: EventClient) -> dict[str, Any]:
    received = client.next_event(PATIENCE_S)
    assert received is not None
    event = json.loads(received[1])
    assert isinstance(event, dict)
    assert event["topic"] == received[0]
    return event


def _event_of(client: EventClient, topic: str) -> dict[str, Any]:
    heartbeats = 0
    while heartbeats < PATIENCE_S:
        event = _event(client)
        if event["topic"] == topic:
            return event
        heartbeats += event["topic"] == "heartbeat"
    raise AssertionError(f"no event {topic} came")


def test_set_changes_the_parameters_and_get_returns_them(
    server: ControlServer, performer: FakePerformer
) -> None:
    reply = _ask(server, "set", temperature=0.5, seed=3)

    assert reply["ok"] is True
    assert reply["result"]["parameters"] == {"temperature": 0.5, "seed": 3}
    assert performer.current == Parameters(temperature=0.5, seed=3)
    got = _ask(server, "get", names=["temperature"])
    assert got["result"] == {"parameters": {"temperature": 0.5}}


def test_a_refused_set_changes_nothing(server: ControlServer, performer: FakePerformer) -> None:
    reply = _ask(server, "set", temperature=0.5, channel=99)

    assert reply["ok"] is False
    assert reply["error"]["code"] == "out_of_range"
    assert reply["error"]["allowed"] == [1, 16]
    assert performer.current == Parameters()


def test_parameters_of_perform_hold_for_that_turn_only(
    server: ControlServer, performer: FakePerformer
) -> None:
    _ask(server, "set", temperature=0.5)

    reply = _ask(server, "perform", length=30)

    assert reply["ok"] is True
    assert performer.done == [t.Perform({"length": 30.0})]
    assert performer.current == Parameters(temperature=0.5)


@pytest.mark.parametrize("command", PLAIN, ids=lambda command: command.name)
def test_a_plain_command_is_carried_out_once(
    server: ControlServer, performer: FakePerformer, command: Command
) -> None:
    assert _ask(server, command.name)["ok"] is True
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

    assert _ask(server, "state")["error"] == {
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
    assert _ask(server, "state")["error"]["code"] == "internal"

    nothing: dict[str, Result] = {}
    performer.on_state = lambda: nothing["missing"]
    assert _ask(server, "state")["error"]["code"] == "internal"

    performer.on_state = dict
    assert _ask(server, "state")["ok"] is True
    assert "KeyError" in caplog.text


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([b"stop!"], "bad_json"),
        ([b'{"v":2,"cmd":"stop"}'], "bad_version"),
        ([b'{"v":1,"cmd":"halt"}'], "unknown_command"),
        ([b'{"v":1,"cmd":"set","args":{"seed":"x"}}'], "wrong_type"),
        ([b'{"v":1,"cmd":"set","args":{"seed":-1}}'], "out_of_range"),
        ([b"x" * 60_000], "too_large"),
        ([b'{"v":1,', b'"cmd":"stop"}'], "bad_frames"),
        ([b"", b"", b'{"v":1,"cmd":"stop"}'], "bad_frames"),
        ([b""] * 50, "bad_frames"),
    ],
)
def test_a_bad_message_is_answered_by_code_and_the_next_one_is_carried_out(
    server: ControlServer,
    performer: FakePerformer,
    sockets: Callable[[int], zmq.Socket[bytes]],
    frames: list[bytes],
    code: str,
) -> None:
    client = sockets(zmq.DEALER)
    client.connect(server.commands_address)

    client.send_multipart(frames)

    assert json.loads(client.recv_multipart()[-1])["error"]["code"] == code
    assert performer.done == []
    client.send(b'{"v":1,"id":2,"cmd":"panic"}')
    assert json.loads(client.recv())["ok"] is True


def test_a_frame_of_10_mb_cuts_its_sender_off_and_nobody_else(
    server: ControlServer, performer: FakePerformer, sockets: Callable[[int], zmq.Socket[bytes]]
) -> None:
    with CommandClient(server.commands_address) as bystander:
        assert _asked(bystander, "state")["ok"] is True
        before = _counts(server)
        sender = sockets(zmq.DEALER)
        sender.set(zmq.RECONNECT_IVL, -1)
        monitor = sender.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        sender.connect(server.commands_address)

        sender.send(b"x" * 10_000_000)

        cut_off = monitor.poll(int(PATIENCE_S * 1000))
        monitor.close()

        assert cut_off
        assert _asked(bystander, "state")["ok"] is True
        after = _counts(server)
        assert after["requests"] == before["requests"] + 2  # the two of this test; the frame: never
        assert after["disconnected"] > before["disconnected"]


def test_random_bytes_on_the_port_harm_nothing(
    server: ControlServer, performer: FakePerformer
) -> None:
    dice = random.Random(1)
    attempts = [dice.randbytes(dice.randrange(1, 3000)) for _ in range(50)]
    attempts += [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x00" * 5000,
        b"\xff" * 5000,
        b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03",  # the beginning of a true greeting
        b"\x01\x00\x06\x00hello",  # an anonymous peer of the oldest protocol, saying "hello"
        b"\x01\x00" + b"\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00",  # … or announcing 2**63 bytes
    ]

    for attempt in attempts:
        with _raw(server) as connection:
            connection.sendall(attempt)
        assert _ask(server, "state")["ok"] is True

    assert performer.done == []
    assert server.alive


def test_an_old_peer_whose_bytes_arrive_as_a_message_is_refused(server: ControlServer) -> None:
    with _raw(server) as connection:
        connection.sendall(b"\x01\x00\x06\x00hello")
        for _ in range(1000):
            if _counts(server)["refused"]:
                break

        assert _counts(server)["refused"] == 1


def test_what_speaks_no_zeromq_is_counted(server: ControlServer) -> None:
    with _raw(server) as connection:
        connection.sendall(b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03")
    for _ in range(1000):
        if _counts(server)["handshakes_failed"]:
            break

    assert _counts(server)["handshakes_failed"] == 1


def test_a_client_that_reads_no_reply_loses_replies_and_nobody_waits_for_it(
    server: ControlServer, sockets: Callable[[int], zmq.Socket[bytes]]
) -> None:
    deaf = sockets(zmq.DEALER)
    deaf.set(zmq.RCVHWM, 1)
    deaf.set(zmq.RCVBUF, 4096)
    deaf.set(zmq.SNDTIMEO, int(PATIENCE_S * 1000))
    deaf.connect(server.commands_address)

    for _ in range(100):
        for _ in range(100):
            deaf.send(b'{"v":1,"cmd":"schema"}')
        if _counts(server)["replies_lost"]:
            break

    assert _counts(server)["replies_lost"] > 0
    assert _ask(server, "state")["ok"] is True


def test_a_subscriber_that_reads_nothing_is_counted_and_the_others_hear_all(
    server: ControlServer, sockets: Callable[[int], zmq.Socket[bytes]]
) -> None:
    deaf = sockets(zmq.SUB)
    deaf.set(zmq.RCVHWM, 1)
    deaf.set(zmq.RCVBUF, 4096)
    deaf.subscribe("")
    deaf.connect(server.events_address)
    assert deaf.poll(int(PATIENCE_S * 1000))  # a heartbeat: it is connected

    heard = []
    with EventClient(server.events_address) as client:
        _listen(client, server)
        for batch in range(100):
            for number in range(100):
                server.publish("note", {"number": 100 * batch + number, "filling": "x" * 2000})
            heard += [_event_of(client, "note") for _ in range(100)]
            if _counts(server)["stalls"]:
                break

    assert _counts(server)["stalls"] == 1
    assert [event["number"] for event in heard] == list(range(len(heard)))
    assert [event["n"] for event in heard] == list(range(1, len(heard) + 1))


def test_events_carry_version_topic_number_and_the_time_of_their_publishing(
    performer: FakePerformer,
) -> None:
    times = iter(range(1_000_000))
    with (
        ControlServer(_FREE, performer.carry_out, now_s=lambda: next(times) / 1000) as server,
        EventClient(server.events_address, ("note", "hello", "begin")) as client,
    ):
        _listen(client, server)
        server.publish("note", {"pitch": 60, "velocity": 80})
        server.publish("note", {"pitch": 64, "velocity": 81})
        first, second = _event(client), _event(client)

    assert list(first) == ["v", "topic", "n", "time_s", "pitch", "velocity"]
    assert (first["v"], first["topic"], first["n"], first["pitch"]) == (1, "note", 1, 60)
    assert (second["n"], second["pitch"]) == (2, 64)
    assert 0 < first["time_s"] < second["time_s"]


def test_a_heartbeat_tells_that_the_daemon_lives(server: ControlServer) -> None:
    with EventClient(server.events_address, ("heartbeat",)) as client:
        first, second = _event(client), _event(client)

    assert second["n"] == first["n"] + 1
    assert second["uptime_s"] > first["uptime_s"]


def test_an_event_does_not_wait_for_the_heartbeat(server: ControlServer) -> None:
    topics = []
    with EventClient(server.events_address) as client:
        _listen(client, server)
        for _ in range(20):
            server.publish("note", {})
            while (topic := _event(client)["topic"]) != "note":
                topics.append(topic)

    assert topics.count("heartbeat") < 10  # one for each event, if they went out together


def test_events_published_from_many_threads_arrive_whole_and_complete(
    server: ControlServer,
) -> None:
    def publish(thread: int) -> None:
        for number in range(100):  # all together fewer than may wait for a slow subscriber
            server.publish("note", {"thread": thread, "number": number})

    with EventClient(server.events_address) as client:
        _listen(client, server)
        threads = [threading.Thread(target=publish, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        events = [_event_of(client, "note") for _ in range(800)]
        for thread in threads:
            thread.join()

    assert [event["n"] for event in events] == list(range(1, 801))
    for index in range(8):
        numbers = [event["number"] for event in events if event["thread"] == index]
        assert numbers == list(range(100))


@pytest.mark.parametrize("payload", [{"lead_s": math.inf}, {"ports": {"a", "b"}}])
def test_an_event_that_is_no_json_is_logged_and_the_next_is_sent(
    server: ControlServer, caplog: pytest.LogCaptureFixture, payload: dict[str, Any]
) -> None:
    with EventClient(server.events_address) as client:
        _listen(client, server)

        server.publish("metrics", payload)
        server.publish("state", {"to": "LISTENING"})

        assert _event_of(client, "state")["to"] == "LISTENING"
    assert "metrics" in caplog.text
    assert _counts(server)["events_lost"] == 1


def test_what_is_published_before_the_beginning_waits_for_it(performer: FakePerformer) -> None:
    server = ControlServer(_FREE, performer.carry_out)
    server.publish("state", {"to": "STARTING"})

    with server, EventClient(server.events_address) as client:
        _listen(client, server)
        server.publish("state", {"to": "LISTENING"})

        assert _event_of(client, "state")["n"] == 2


def test_a_taken_address_is_one_clear_line(server: ControlServer, performer: FakePerformer) -> None:
    for taken in ("commands", "events"):
        address = server.commands_address if taken == "commands" else server.events_address
        settings = ControlSettings(**{"commands": _ANY_PORT, "events": _ANY_PORT, taken: address})

        with pytest.raises(AddressError) as refusal, ControlServer(settings, performer.carry_out):
            pass

        told = str(refusal.value)
        assert "\n" not in told
        assert address in told
        assert "in use" in told
        assert f"control.{taken}" in told
    assert _ask(server, "state")["ok"] is True


def test_an_address_of_another_computer_is_one_clear_line(
    performer: FakePerformer, tmp_path: Path
) -> None:
    made = create_keys(tmp_path / "keys")
    settings = ControlSettings(
        commands="tcp://192.0.2.1:7700",
        events=_ANY_PORT,
        server_key=made.server_key,
        client_keys=made.client_keys,
    )

    with (
        pytest.raises(AddressError, match=r"192\.0\.2\.1:7700: .*control\.commands"),
        ControlServer(settings, performer.carry_out),
    ):
        pass


def test_the_end_frees_the_ports_and_joins_the_thread(performer: FakePerformer) -> None:
    with ControlServer(_FREE, performer.carry_out) as first:
        addresses = first.commands_address, first.events_address
        assert _ask(first, "shutdown")["ok"] is True

    assert "control" not in [thread.name for thread in threading.enumerate()]
    with ControlServer(ControlSettings(*addresses), performer.carry_out) as second:
        assert _ask(second, "state")["ok"] is True


def test_publishing_after_the_end_is_harmless(
    performer: FakePerformer, caplog: pytest.LogCaptureFixture
) -> None:
    with ControlServer(_FREE, performer.carry_out) as first:
        addresses = first.commands_address, first.events_address

    first.publish("state", {"to": "STOPPING"})

    assert not first.alive
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    with (
        ControlServer(ControlSettings(*addresses), performer.carry_out) as second,
        EventClient(second.events_address, ("state", "hello", "begin")) as events,
    ):
        _listen(events, second)
        second.publish("state", {"to": "LISTENING"})
        event = _event(events)
    assert (event["n"], event["to"]) == (1, "LISTENING")  # nothing came before it


@pytest.fixture
def locked(performer: FakePerformer, tmp_path: Path) -> Iterator[tuple[ControlServer, ClientKeys]]:
    folder = tmp_path / "keys"
    made = create_keys(folder)
    settings = ControlSettings(_ANY_PORT, _ANY_PORT, made.server_key, made.client_keys)
    with ControlServer(settings, performer.carry_out) as server:
        yield server, ClientKeys(folder / "server.key", folder / "client.key_secret")


def test_a_client_with_its_key_is_admitted_to_commands_and_events(
    locked: tuple[ControlServer, ClientKeys],
) -> None:
    server, keys = locked

    with CommandClient(server.commands_address, keys) as client:
        assert _asked(client, "state")["ok"] is True
    with EventClient(server.events_address, ("heartbeat",), keys) as events:
        assert _event(events)["topic"] == "heartbeat"


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
        info = _asked(client, "info")
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
    settings = ControlSettings(_ANY_PORT, _ANY_PORT, wrong, made.client_keys)

    with pytest.raises(AddressError, match=name), ControlServer(settings, performer.carry_out):
        pass
