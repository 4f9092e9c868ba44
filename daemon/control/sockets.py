"""The ZeroMQ sockets of the daemon and of its clients; the only importer of zmq.

Nothing here knows what the messages mean. Every object belongs to one thread, but for
`ServerSockets.wake`, which any thread may call.
"""

import contextlib
import errno
import math
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from daemon.settings import ControlSettings
from perceivers.errors import PerformerError

MAX_FRAME_BYTES = 64 * 1024  # a peer that sends a longer frame is disconnected before it is read
_REQUESTS_WAITING = 100  # for each peer; TCP then holds the sender back
_REPLIES_WAITING = 100  # for each peer; a peer that reads none of them loses the next
_EVENTS_WAITING = 1000  # for each subscriber; one that falls further behind loses events
_REPLY_LINGER_MS = 200  # so that the reply to `shutdown` leaves before the socket closes

_HANDSHAKE_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


class AddressError(PerformerError, OSError):
    """A socket cannot be opened at the address that the settings name."""


class NoAnswerError(PerformerError, TimeoutError):
    """No daemon answered in time."""


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What a client needs to reach a daemon that admits by key."""

    server: Path  # the daemon's public key
    client: Path  # the client's own secret key


class ServerSockets:
    """Commands in, replies and events out."""

    def __init__(self, settings: ControlSettings) -> None:
        self._context = zmq.Context()
        self._cleanup = contextlib.ExitStack()
        self._cleanup.callback(self._context.term)
        try:
            self._open(settings)
        except BaseException:
            self._cleanup.close()
            raise

    def _open(self, settings: ControlSettings) -> None:
        if settings.server_key is not None and settings.client_keys is not None:
            self._admit_by_key(Path(settings.client_keys))
        self._commands = self._socket(zmq.ROUTER, linger_ms=_REPLY_LINGER_MS)
        self._commands.set(zmq.ROUTER_MANDATORY, 1)  # a reply that cannot be sent is an error
        self._commands.set(zmq.RCVHWM, _REQUESTS_WAITING)
        self._commands.set(zmq.SNDHWM, _REPLIES_WAITING)
        self._events = self._socket(zmq.PUB)
        self._events.set(zmq.SNDHWM, _EVENTS_WAITING)
        self._events.set(zmq.XPUB_NODROP, 1)  # the loss of an event is an error, and so counted
        self._monitor = self._commands.get_monitor_socket(
            zmq.EVENT_DISCONNECTED | _HANDSHAKE_FAILED
        )
        self._cleanup.callback(self._monitor.close)
        self._cleanup.callback(self._commands.disable_monitor)
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)
            self._cleanup.callback(end.close)
        self.commands_address = _bind(self._commands, settings.commands, settings, "commands")
        self.events_address = _bind(self._events, settings.events, settings, "events")
        self._poller = zmq.Poller()
        for waited in (self._commands, self._monitor, self._woken):
            self._poller.register(waited, zmq.POLLIN)

    def _admit_by_key(self, client_keys: Path) -> None:
        if not client_keys.is_dir():
            raise AddressError(f"control.client_keys: {client_keys} is no folder")
        authenticator = ThreadAuthenticator(self._context)
        authenticator.start()
        self._cleanup.callback(authenticator.stop)
        authenticator.configure_curve(domain="*", location=str(client_keys))

    def _socket(self, kind: int, linger_ms: int = 0) -> zmq.Socket[bytes]:
        made = self._context.socket(kind)
        made.set(zmq.LINGER, linger_ms)
        made.set(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
        self._cleanup.callback(made.close)
        return made

    def wait(self, timeout_s: float) -> None:
        """Return when a request has come, a peer has left, `wake` was called, or time is up."""
        self._poller.poll(_ms(max(0.0, timeout_s)))
        with contextlib.suppress(BlockingIOError):  # nobody called `wake`
            self._woken.recv(4096)

    def wake(self) -> None:
        """End the waiting of the owner; from any thread."""
        with contextlib.suppress(BlockingIOError, OSError):  # full: it is awake; closed: it is gone
            self._waker.send(b"\0")

    def requests(self, limit: int) -> Iterator[list[bytes]]:
        """Yield what has come, frame by frame, at most `limit` messages."""
        for _ in range(limit):
            try:
                yield self._commands.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return

    def reply(self, frames: list[bytes]) -> bool:
        """Send a reply; False if its reader is gone or reads nothing."""
        try:
            self._commands.send_multipart(frames, zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                return False
            raise
        return True

    def publish(self, topic: bytes, body: bytes) -> bool:
        """Send an event to all who keep up; False if from this one on a subscriber does not."""
        try:
            self._events.send_multipart([topic, body], zmq.NOBLOCK)
        except zmq.Again:
            self._events.set(zmq.XPUB_NODROP, 0)
            self._events.send_multipart([topic, body], zmq.NOBLOCK)
            self._events.set(zmq.XPUB_NODROP, 1)
            return False
        return True

    def lost_peers(self) -> tuple[int, int]:
        """Return how many peers were disconnected, and how many refused, since the last call."""
        disconnected = refused = 0
        while self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)["event"]
            disconnected += event == zmq.EVENT_DISCONNECTED
            refused += bool(event & _HANDSHAKE_FAILED)
        return disconnected, refused

    def close(self) -> None:
        """Close everything; what was not yet sent is given a moment, if it is a reply."""
        self._cleanup.close()


def _ms(duration_s: float) -> int:
    return math.ceil(duration_s * 1000)  # never 0 for a moment to come: that would spin


def _bind(made: zmq.Socket[bytes], address: str, settings: ControlSettings, name: str) -> str:
    try:
        if settings.server_key is not None:
            public, secret = _load_secret(Path(settings.server_key))
            made.set(zmq.CURVE_PUBLICKEY, public)
            made.set(zmq.CURVE_SECRETKEY, secret)
            made.set(zmq.CURVE_SERVER, 1)
        made.set(zmq.IPV6, int("[" in address))
        made.bind(address)
    except zmq.ZMQError as error:
        if error.errno == errno.EADDRINUSE:
            reason = (
                "it is in use, perhaps by another Performer; end that one"
                f" (python -m daemon.ctl shutdown) or set control.{name} to another port"
            )
        else:
            reason = f"{zmq.strerror(error.errno or 0)}; set control.{name} to another address"
        raise AddressError(f"cannot listen at {address}: {reason}") from None
    return made.get_string(zmq.LAST_ENDPOINT)


def _load_secret(path: Path) -> tuple[bytes, bytes]:
    public, secret = _load_key(path)
    if secret is None:
        raise AddressError(f"{path} holds a public key only; name the .key_secret file")
    return public, secret


def _load_key(path: Path) -> tuple[bytes, bytes | None]:
    try:
        return zmq.auth.load_certificate(path)
    except (OSError, ValueError):
        raise AddressError(
            f"{path} is no key file; make keys with python -m daemon.ctl keys FOLDER"
        ) from None


def create_keys(folder: Path) -> ControlSettings:
    """Write keys for a daemon and one client; return the settings that use them."""
    clients = folder / "clients"
    try:
        clients.mkdir(parents=True)
    except FileExistsError:
        raise AddressError(f"{clients} exists; keys are not replaced, name a new folder") from None
    for name in ("server", "client"):
        public, secret = zmq.auth.create_certificates(folder, name)
        Path(secret).chmod(0o600)
        if name == "client":
            Path(public).rename(clients / Path(public).name)
    return ControlSettings(server_key=str(folder / "server.key_secret"), client_keys=str(clients))


class _Client:
    """A socket that connects; a context manager."""

    def __init__(self, kind: int, address: str, keys: ClientKeys | None) -> None:
        self._address = address
        self._context = zmq.Context()
        self._socket = self._context.socket(kind)
        self._socket.set(zmq.LINGER, 0)
        try:
            if keys is not None:
                public, secret = _load_secret(keys.client)
                self._socket.set(zmq.CURVE_PUBLICKEY, public)
                self._socket.set(zmq.CURVE_SECRETKEY, secret)
                self._socket.set(zmq.CURVE_SERVERKEY, _load_key(keys.server)[0])
            self._socket.set(zmq.IPV6, int("[" in address))
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            reason = zmq.strerror(error.errno or 0)
            raise AddressError(f"{address!r} is no address to connect to: {reason}") from None
        except PerformerError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; what was not sent is forgotten."""
        self._socket.close()
        self._context.term()


class CommandClient(_Client):
    """Sends requests, receives replies."""

    def __init__(self, address: str, keys: ClientKeys | None = None) -> None:
        super().__init__(zmq.DEALER, address, keys)

    def ask(self, request: bytes, timeout_s: float) -> bytes:
        """Send one request and return the reply to it."""
        self._socket.send(request)
        if not self._socket.poll(_ms(timeout_s)):
            raise NoAnswerError(
                f"no daemon answers at {self._address} within {timeout_s:g} s;"
                " start one (python -m daemon), or give its --address (and its keys)"
            )
        return self._socket.recv_multipart()[-1]


class EventClient(_Client):
    """Receives events."""

    def __init__(
        self, address: str, topics: tuple[str, ...] = ("",), keys: ClientKeys | None = None
    ) -> None:
        super().__init__(zmq.SUB, address, keys)
        self.times_lost = 0
        """How often the daemon has gone from the other end."""
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._poller = zmq.Poller()
        for waited in (self._socket, self._monitor):
            self._poller.register(waited, zmq.POLLIN)
        for topic in topics:
            self._socket.set(zmq.SUBSCRIBE, topic.encode())

    def close(self) -> None:
        """Close the socket; what was not sent is forgotten."""
        if hasattr(self, "_monitor"):
            self._socket.disable_monitor()
            self._monitor.close()
        super().close()

    def next_event(self, timeout_s: float) -> tuple[str, bytes] | None:
        """Return the next topic and body; None when nothing came in time, or the daemon went."""
        ready = dict(self._poller.poll(_ms(timeout_s)))
        if self._monitor in ready:
            recv_monitor_message(self._monitor)
            self.times_lost += 1
        if self._socket not in ready:
            return None
        topic, body = self._socket.recv_multipart()
        return topic.decode(), body
