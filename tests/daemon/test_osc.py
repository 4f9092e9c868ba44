"""The bridge to OSC, over real UDP sockets, before a running control server."""

import contextlib
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from daemon import osc
from daemon.control.commands import COMMANDS
from daemon.control.osc_messages import OscError, event_of, reply_of, request_of
from daemon.control.server import ControlServer
from daemon.messages import turns as t
from daemon.parameters import TABLE, Parameters
from daemon.settings import ControlSettings
from tests.support.fake_performer import FakePerformer

pytestmark = pytest.mark.slow

PATIENCE_S = 10.0
Ask = Callable[..., tuple[str, list[Any]]]


class Peer:
    """Somebody who speaks OSC, such as Max."""

    def __init__(self, bridge: tuple[str, int]) -> None:
        self._bridge = bridge
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(PATIENCE_S)
        self.address: tuple[str, int] = self._socket.getsockname()

    def send(self, address: str, *values: Any) -> None:
        message = OscMessageBuilder(address)
        for value in values:
            message.add_arg(value)
        self.send_bytes(message.build().dgram)

    def send_bytes(self, datagram: bytes) -> None:
        self._socket.sendto(datagram, self._bridge)

    def hear(self) -> tuple[str, list[Any]]:
        message = OscMessage(self._socket.recv(65_536))
        return message.address, message.params

    def has_heard(self, within_s: float) -> bool:
        """Tell whether something waits to be heard."""
        return bool(select.select([self._socket], [], [], within_s)[0])

    def ask(self, address: str, *values: Any) -> tuple[str, list[Any]]:
        self.send(address, *values)
        return self.hear()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def performer() -> FakePerformer:
    return FakePerformer()


@pytest.fixture
def server(performer: FakePerformer) -> Iterator[ControlServer]:
    free = ControlSettings(commands="tcp://127.0.0.1:*", events="tcp://127.0.0.1:*")
    with ControlServer(free, performer.carry_out) as running:
        yield running


@pytest.fixture
def listener() -> Iterator[Peer]:
    """Return who is told all events, whoever asked for what."""
    with contextlib.closing(Peer(("127.0.0.1", 9))) as peer:
        yield peer


@pytest.fixture
def peer(server: ControlServer, listener: Peer) -> Iterator[Peer]:
    where = ["--address", server.commands_address, "--events", server.events_address]
    to = "{}:{}".format(*listener.address)
    bridge = osc.OscBridge(osc.options_of([*where, "--listen", "127.0.0.1:0", "--send", to]))
    thread = threading.Thread(target=bridge.run, daemon=True)
    thread.start()
    with contextlib.closing(Peer(bridge.listens_at)) as made:
        yield made
    bridge.end()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    bridge.close()


def test_a_fader_sets_a_parameter_and_all_faders_follow(
    peer: Peer, listener: Peer, performer: FakePerformer
) -> None:
    assert peer.ask("/performer/set/temperature", 0.8)[0] == "/performer/reply/set"
    assert peer.hear() == ("/performer/set/temperature", [pytest.approx(0.8)])

    assert performer.current == Parameters(temperature=0.8)
    assert listener.hear()[0] == "/performer/reply/set"
    assert listener.hear() == ("/performer/set/temperature", [pytest.approx(0.8)])


def test_commands_take_names_and_values_and_buttons_work_when_pressed(
    peer: Peer, performer: FakePerformer
) -> None:
    peer.ask("/performer/perform", "length", 30.0, "seed", 7)
    peer.ask("/performer/stop", 1.0)
    peer.send("/performer/stop", 0.0)  # the button comes up
    peer.ask("/performer/panic")

    assert performer.done == [t.Perform({"length": 30.0, "seed": 7}), t.Stop(), t.Panic()]


@pytest.mark.parametrize(
    ("address", "values", "told"),
    [
        ("/performer/set/temperature", ["hot"], "temperature = 'hot' is not allowed"),
        ("/performer/set/temperature", [9.0], "temperature = 9.0 is not allowed"),
        ("/performer/set/temperature", [0.5, 0.6], "one value, not 2"),
        ("/performer/set/temperature", [], "one value, not 0"),
        ("/performer/set/temprature", [0.5], "did you mean 'temperature'?"),
        ("/performer/set/seed", [1.5], "seed = 1.5 is not allowed"),
        ("/performer/set/temperature", [float("nan")], "only numbers"),
        ("/performer/set/temperature", [b"\0\1"], "only numbers"),
        ("/performer/perfrom", [], "did you mean 'perform'?"),
        ("/performer/perform", ["length"], "'length' is alone"),
        ("/performer/perform/now", [], "is not known here"),
        ("/other/set/temperature", [0.5], "addresses begin with /performer/"),
        ("/performer/play/note", [60], "takes PITCH VELOCITY"),
        ("/performer/play/note", ["C4", 80], "takes numbers"),
        ("/performer/play/note", [60, float("inf")], "takes numbers"),
    ],
)
def test_what_means_nothing_is_told_clearly_and_the_next_is_heard(
    peer: Peer, performer: FakePerformer, address: str, values: list[Any], told: str
) -> None:
    where, (_, _, message) = peer.ask(address, *values)

    assert where == "/performer/error"
    assert told in message
    peer.ask("/performer/stop")
    assert performer.done == [t.Stop()]
    assert performer.current == Parameters()


def test_bytes_that_are_no_osc_are_told_so(peer: Peer) -> None:
    for datagram in (b"", b"x", b"#bundle\0", b"\xff" * 40, b"/a\0\0,[\0\0", bytes(range(256))):
        peer.send_bytes(datagram)
        assert peer.hear()[0] == "/performer/error"


def test_events_reach_the_listener(peer: Peer, listener: Peer, server: ControlServer) -> None:
    until_subscribed(server, listener)
    server.publish("state", {"state": "performing", "reason": "silence"})
    server.publish("parameters", {"parameters": {"seed": None, "scale": ["c", "major"]}})

    heard = iter(listener.hear, None)
    told = [next(each for each in heard if each[0] != "/performer/event/turn") for _ in range(3)]

    assert told == [
        ("/performer/event/state", ["state", "performing", "reason", "silence"]),
        ("/performer/set/seed", ["null"]),
        ("/performer/set/scale", ["c major"]),
    ]


def until_subscribed(server: ControlServer, listener: Peer) -> None:
    """Return when the listener hears events of the server."""
    for _ in range(int(PATIENCE_S / 0.05)):
        server.publish("turn", {})
        if listener.has_heard(0.05):
            return
    raise AssertionError("no event was ever passed on")


def test_every_command_and_parameter_has_an_address() -> None:
    for name in COMMANDS.keys() - {"play"}:
        assert request_of(f"/performer/{name}", []) == (name, {})
    for name in TABLE:
        assert request_of(f"/performer/set/{name}", [1]) is not None
    assert not COMMANDS.keys() & TABLE.keys()


@pytest.mark.parametrize(
    ("name", "values", "meant"),
    [
        ("seed", [7.0], 7),
        ("seed", ["null"], None),
        ("scale", ["c major"], "c major"),
        ("scale", ["c", "e"], ["c", "e"]),
        ("temperature", [0.800000011920929], 0.8),
        ("length", [3], 3),
    ],
)
def test_values_mean_what_a_fader_or_a_patch_can_say(
    name: str, values: list[Any], meant: object
) -> None:
    assert request_of(f"/performer/set/{name}", values) == ("set", {name: meant})


def test_keys_and_pedal_are_played() -> None:
    played = [
        request_of("/performer/play/note", [60, 80.0]),
        request_of("/performer/play/note", [60, 0]),
        request_of("/performer/play/pedal", [1]),
    ]

    assert played == [
        ("play", {"events": [event]})
        for event in (
            {"event": "note_on", "pitch": 60, "velocity": 80},
            {"event": "note_off", "pitch": 60},
            {"event": "pedal", "down": True},
        )
    ]


def test_the_schema_tells_limits() -> None:
    answered = reply_of("schema", {"ok": True, "result": {}})
    told = {values[0]: values[1:] for _, values in answered}

    assert told["temperature"] == [1.0, 0.1, 2.0]
    assert told["length_unit"] == ["seconds", *TABLE["length_unit"].allowed]
    assert told.keys() == TABLE.keys()


def test_an_event_is_flat() -> None:
    event = {
        "v": 1,
        "topic": "turn",
        "n": 1,
        "time_s": 2.0,
        "turn": 3,
        "counts": {"a": 1},
        "x": None,
    }

    assert event_of("turn", event) == [
        ("/performer/event/turn", ["turn", 3, "counts.a", 1, "x", "null"])
    ]


def test_only_this_computer_is_listened_to_unless_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert osc.main(["--listen", "0.0.0.0:0"]) == 2
    assert "--trust-network" in capsys.readouterr().err


def test_where_no_daemon_answers_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(osc, "_ANSWER_S", 0.1)
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--address", f"tcp://127.0.0.1:{port}", "--listen", "127.0.0.1:0"]
    bridge = osc.OscBridge(osc.options_of(where))
    with contextlib.closing(bridge), contextlib.closing(Peer(bridge.listens_at)) as peer:
        bridge.take(OscMessageBuilder("/performer/stop").build().dgram, peer.address)

        address, (about, code, _) = peer.hear()

    assert (address, about, code) == ("/performer/error", "/performer/stop", "no_answer")


@pytest.mark.processes
def test_a_wrong_address_is_told_by_the_command_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "daemon.osc", "--listen", "nowhere"],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert "write it as 127.0.0.1:9000" in done.stderr


def test_an_unknown_address_is_an_error() -> None:
    with pytest.raises(OscError):
        request_of("/performer/", [])
