"""What clients do wrong, and that nobody else is harmed by it."""

import json
import random
from collections.abc import Callable

import pytest
import zmq

from daemon.control.server import ControlServer
from daemon.control.sockets import CommandClient, EventClient
from tests.support.control_clients import ask, asked, counts, event_of, listen, raw
from tests.support.fake_performer import PATIENCE_S, FakePerformer
from tests.support.running_daemon import wait_until


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
        assert asked(bystander, "state")["ok"] is True
        before = counts(server)
        sender = sockets(zmq.DEALER)
        sender.set(zmq.RECONNECT_IVL, -1)
        monitor = sender.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        sender.connect(server.commands_address)

        sender.send(b"x" * 10_000_000)

        cut_off = monitor.poll(int(PATIENCE_S * 1000))
        monitor.close()

        assert cut_off
        assert asked(bystander, "state")["ok"] is True
        after = counts(server)
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
        with raw(server) as connection:
            connection.sendall(attempt)
        assert ask(server, "state")["ok"] is True

    assert performer.done == []
    assert server.alive


def test_an_old_peer_whose_bytes_arrive_as_a_message_is_refused(server: ControlServer) -> None:
    with raw(server) as connection:
        connection.sendall(b"\x01\x00\x06\x00hello")
        wait_until(lambda: counts(server)["refused"] > 0, "it is refused")

        assert counts(server)["refused"] == 1


def test_what_speaks_no_zeromq_is_counted(server: ControlServer) -> None:
    with raw(server) as connection:
        connection.sendall(b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03")
    wait_until(lambda: counts(server)["handshakes_failed"] > 0, "it is counted")

    assert counts(server)["handshakes_failed"] == 1


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
        if counts(server)["replies_lost"]:
            break

    assert counts(server)["replies_lost"] > 0
    assert ask(server, "state")["ok"] is True


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
        listen(client, server)
        for batch in range(100):
            for number in range(100):
                server.publish("note", {"number": 100 * batch + number, "filling": "x" * 2000})
            heard += [event_of(client, "note") for _ in range(100)]
            if counts(server)["stalls"]:
                break

    assert counts(server)["stalls"] == 1
    assert [event["number"] for event in heard] == list(range(len(heard)))
    assert [event["n"] for event in heard] == list(range(1, len(heard) + 1))
