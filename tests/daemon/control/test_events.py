"""Events as subscribers hear them."""

import math
import threading
from typing import Any

import pytest

from daemon.control.server import ControlServer
from daemon.control.sockets import EventClient
from tests.support.control_clients import FREE, counts, event_of, listen, next_event
from tests.support.fake_performer import FakePerformer


def test_events_carry_version_topic_number_and_the_time_of_their_publishing(
    performer: FakePerformer,
) -> None:
    times = iter(range(1_000_000))
    with (
        ControlServer(FREE, performer.carry_out, now_s=lambda: next(times) / 1000) as server,
        EventClient(server.events_address, ("note", "hello", "begin")) as client,
    ):
        listen(client, server)
        server.publish("note", {"pitch": 60, "velocity": 80})
        server.publish("note", {"pitch": 64, "velocity": 81})
        first, second = next_event(client), next_event(client)

    assert list(first) == ["v", "topic", "n", "time_s", "pitch", "velocity"]
    assert (first["v"], first["topic"], first["n"], first["pitch"]) == (1, "note", 1, 60)
    assert (second["n"], second["pitch"]) == (2, 64)
    assert 0 < first["time_s"] < second["time_s"]


@pytest.mark.slow
def test_a_heartbeat_tells_that_the_daemon_lives(server: ControlServer) -> None:
    with EventClient(server.events_address, ("heartbeat",)) as client:
        first, second = next_event(client), next_event(client)

    assert second["n"] == first["n"] + 1
    assert second["uptime_s"] > first["uptime_s"]


def test_an_event_does_not_wait_for_the_heartbeat(server: ControlServer) -> None:
    topics = []
    with EventClient(server.events_address) as client:
        listen(client, server)
        for _ in range(20):
            server.publish("note", {})
            while (topic := next_event(client)["topic"]) != "note":
                topics.append(topic)

    assert topics.count("heartbeat") < 10  # one for each event, if they went out together


def test_events_published_from_many_threads_arrive_whole_and_complete(
    server: ControlServer,
) -> None:
    def publish(thread: int) -> None:
        for number in range(100):  # all together fewer than may wait for a slow subscriber
            server.publish("note", {"thread": thread, "number": number})

    with EventClient(server.events_address) as client:
        listen(client, server)
        threads = [threading.Thread(target=publish, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        events = [event_of(client, "note") for _ in range(800)]
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
        listen(client, server)

        server.publish("metrics", payload)
        server.publish("state", {"to": "LISTENING"})

        assert event_of(client, "state")["to"] == "LISTENING"
    assert "metrics" in caplog.text
    assert counts(server)["events_lost"] == 1


def test_what_is_published_before_the_beginning_waits_for_it(performer: FakePerformer) -> None:
    server = ControlServer(FREE, performer.carry_out)
    server.publish("state", {"to": "STARTING"})

    with server, EventClient(server.events_address) as client:
        listen(client, server)
        server.publish("state", {"to": "LISTENING"})

        assert event_of(client, "state")["n"] == 2
