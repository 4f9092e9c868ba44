"""The bridge to Open Sound Control: `python -m daemon.osc`; see docs/osc.md.

A process of its own beside a running daemon, and a client of it like any other. The only importer
of pythonosc.
"""

import argparse
import contextlib
import json
import selectors
import socket
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from daemon.control.osc_messages import (
    PLAY,
    OscError,
    Told,
    error_of,
    event_of,
    reply_of,
    request_of,
)
from daemon.control.played import LEASE_S
from daemon.control.requests import VERSION
from daemon.control.sockets import ClientKeys, CommandClient, EventClient, NoAnswerError
from daemon.settings import ControlSettings, is_loopback
from perceivers.errors import PerformerError, SettingsError

Peer = tuple[str, int]

_DEFAULTS = ControlSettings()
_LISTEN = "127.0.0.1:7703"
_TOPICS = ("state", "note", "turn", "parameters")
_ANSWER_S = 2.0
_NOTICED_WITHIN_S = 0.5  # how soon Ctrl-C is noticed where it does not end a wait


class OscBridge:
    """Turns datagrams into requests, and replies and events into datagrams.

    Requests are carried out by who calls `run`, events passed on by a thread of their own.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        import pythonosc.osc_message_builder as builder  # noqa: PLC0415 - told if it is missing
        import pythonosc.osc_packet as packet  # noqa: PLC0415

        self._builder, self._packet = builder, packet
        self._options = options
        self._targets: list[Peer] = options.send
        self._socket = _udp(options.listen, options.trust_network)
        self._commands = CommandClient(options.address, keys_of(options))
        self._telling = threading.Thread(target=self._tell, name="events", daemon=True)
        self._is_ending = False
        self._is_holding = False
        self._renew_at_s = 0.0

    @property
    def listens_at(self) -> Peer:
        """Where datagrams are taken."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def run(self) -> None:
        """Work until interrupted, or told to end."""
        self._telling.start()
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            while not self._is_ending:
                if selector.select(_NOTICED_WITHIN_S):
                    with contextlib.suppress(ConnectionResetError):  # who was answered has gone
                        self.take(*self._socket.recvfrom(65_536))
                self._renew()

    def take(self, datagram: bytes, sender: Peer) -> None:
        """Carry out what a datagram asks for, and answer its sender and the targets."""
        try:
            messages = [timed.message for timed in self._packet.OscPacket(datagram).messages]
        except self._packet.ParseError as error:
            self._send([error_of("packet", "bad_packet", str(error))], [sender])
            return
        for message in messages:
            told = self._carry_out(message.address, message.params)
            self._send(told, dict.fromkeys([sender, *self._targets]))

    def _carry_out(self, address: str, values: list[Any]) -> list[Told]:
        try:
            request = request_of(address, values)
            if request is None:
                return []
            command, arguments = request
            reply = self._ask(command, arguments)
        except OscError as error:
            return [error_of(address, "bad_message", str(error))]
        except NoAnswerError as error:
            self._commands.close()
            # A new socket, or a late answer would be taken for that to the next request.
            self._commands = CommandClient(self._options.address, keys_of(self._options))
            return [error_of(address, "no_answer", str(error))]
        if command == PLAY and reply["ok"]:
            self._hold(reply["result"])
            return []  # it is heard
        return reply_of(command, reply)

    def _ask(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            request = {"v": VERSION, "id": 1, "cmd": command, "args": arguments}
            frame = json.dumps(request, allow_nan=False).encode()
        except (TypeError, ValueError):
            raise OscError("only numbers, texts, true, false and nil mean something here") from None
        reply: dict[str, Any] = json.loads(self._commands.ask(frame, _ANSWER_S))
        return reply

    def _hold(self, result: dict[str, Any]) -> None:
        self._is_holding = bool(result["held"] or result["pedal"])
        self._renew_at_s = time.monotonic() + LEASE_S / 3

    def _renew(self) -> None:
        """Say that what is held is still held, before the daemon lets it go."""
        if self._is_holding and time.monotonic() >= self._renew_at_s:
            self._send(self._renewed(), self._targets)

    def _renewed(self) -> list[Told]:
        try:
            self._hold(self._ask(PLAY, {"events": []})["result"])
        except (NoAnswerError, KeyError):
            self._is_holding = False
            return [error_of(PLAY, "no_answer", "what was held is let go")]
        return []

    def _tell(self) -> None:
        """Pass on what the daemon tells, until the bridge is closed."""
        options = self._options
        with EventClient(options.events, tuple(options.topics), keys_of(options)) as events:
            while not self._is_ending:
                event = events.next_event(_NOTICED_WITHIN_S)
                if event is not None:
                    self._send(event_of(event[0], json.loads(event[1])), self._targets)

    def _send(self, told: Iterable[Told], peers: Iterable[Peer]) -> None:
        for address, values in told:
            message = self._builder.OscMessageBuilder(address)
            for value in values:
                message.add_arg(value)
            datagram = message.build().dgram
            for peer in peers:
                with contextlib.suppress(OSError):  # no way there now, or closed: OSC loses things
                    self._socket.sendto(datagram, peer)

    def end(self) -> None:
        """Let `run` return soon; from any thread."""
        self._is_ending = True

    def close(self) -> None:
        """Close every socket, and end the telling."""
        self.end()
        if self._telling.is_alive():
            self._telling.join()
        self._socket.close()
        self._commands.close()


def keys_of(options: argparse.Namespace) -> ClientKeys | None:
    """Return the keys that the options name, if the daemon needs any."""
    if options.server_key is None or options.client_key is None:
        return None
    return ClientKeys(server=options.server_key, client=options.client_key)


def _udp(address: Peer, trust_network: bool) -> socket.socket:
    host, port = address
    if not trust_network and not is_loopback(host):
        raise SettingsError(
            f"{host} can be reached from other computers, and OSC knows no keys: whoever reaches it"
            " plays. Listen at 127.0.0.1, or add --trust-network where everybody may"
        )
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.bind(address)
    except OSError as error:
        made.close()
        raise SettingsError(f"cannot listen at {host}:{port}: {error.strerror}") from None
    return made


def _peer(text: str) -> Peer:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no address; write it as 127.0.0.1:9000")
    return host, int(port)


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m daemon.osc", description="Control a running Performer by OSC."
    )
    parser.add_argument(
        "--listen", metavar="HOST:PORT", type=_peer, default=_peer(_LISTEN),
        help=f"take messages here ({_LISTEN})",
    )  # fmt: skip
    parser.add_argument(
        "--send", metavar="HOST:PORT", type=_peer, nargs="+", default=[],
        help="tell events, and every reply, here; replies also go to who has asked",
    )  # fmt: skip
    parser.add_argument(
        "--topics", metavar="TOPIC", nargs="+", default=_TOPICS,
        help=f"which events ({' '.join(_TOPICS)})",
    )  # fmt: skip
    parser.add_argument("--address", default=_DEFAULTS.commands, help="the daemon's commands")
    parser.add_argument("--events", default=_DEFAULTS.events, help="the daemon's events")
    parser.add_argument("--server-key", type=Path, metavar="FILE", help="as of daemon.ctl")
    parser.add_argument("--client-key", type=Path, metavar="FILE", help="as of daemon.ctl")
    parser.add_argument(
        "--trust-network", action="store_true", help="let --listen be reached from other computers"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the bridge until Ctrl-C; return the exit code."""
    options = options_of(arguments)
    try:
        bridge = OscBridge(options)
    except ImportError:
        sys.stderr.write("python-osc is not installed: pip install '.[osc]'\n")
        return 2
    except PerformerError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    host, port = bridge.listens_at
    sys.stdout.write(f"OSC at {host}:{port}, for the Performer at {options.address}\n")
    sys.stdout.flush()
    with contextlib.closing(bridge), contextlib.suppress(KeyboardInterrupt):
        bridge.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
