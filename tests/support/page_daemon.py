"""The whole daemon with its page and without its model, and browsers made of plain sockets."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml
import zmq

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0
MARK = {"X-Performer": "1"}
Frame = dict[str, Any]


class PageDaemon:
    """A daemon whose brain plays a scale, with a page at an address of its own."""

    def __init__(
        self,
        folder: Path,
        page: dict[str, Any] | None = None,
        jack: str = "there-is-none",
        **performer: Any,
    ) -> None:
        self.recordings = folder / "recordings"
        self.told = folder / "told"
        self._log = folder / "log"
        commands, events, self.port = free_ports(3)
        self.commands, self.events = (f"tcp://127.0.0.1:{port}" for port in (commands, events))
        settings = {
            "midi": {"client_in": "Page In", "client_out": "Page Out"},
            "performer": {"silence_s": 0.5, "silence_least_s": 0.3, **performer},
            "engine": {"model": str(self.told)},
            "control": {"commands": self.commands, "events": self.events},
            "recording": {"folder": str(self.recordings)},
            "page": {"address": f"127.0.0.1:{self.port}", "open": False, **(page or {})},
        }
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump(settings))
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.scripted_daemon", str(config)],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"JACK_DEFAULT_SERVER": jack, "JACK_NO_START_SERVER": "1"},
            )
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.connect(self.commands)
        self._number = 0

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def origin(self) -> str:
        return f"http://{self.host}"

    def ask(self, command: str, **args: Any) -> Any:
        """Have a command carried out; return its result."""
        self._number += 1
        self._socket.send_json({"v": 1, "id": self._number, "cmd": command, "args": args})
        while self._socket.poll(int(PATIENCE_S * 1000)):
            reply = json.loads(self._socket.recv_multipart()[-1])
            if reply["id"] == self._number:
                assert reply["ok"], reply
                return reply["result"]
        raise AssertionError(f"no reply to {command}; the daemon says:\n{self.log}")

    def wait_until_ready(self) -> None:
        def is_ready() -> bool:
            assert self.process.poll() is None, self.log
            return "the page is at" in self.log and "listening (" in self.log

        wait_until(is_ready, "the page is there", self)

    def children(self) -> list[int]:
        """Return the processes that the supervisor has started."""
        found: list[int] = []
        for tasks in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            found += [int(child) for child in tasks.read_text().split()]
        return found

    def process_with(self, library: str) -> int:
        """Return the one of its processes that has a library loaded."""
        (pid,) = [p for p in self.children() if library in Path(f"/proc/{p}/maps").read_text()]
        return pid

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
        """Ask as the page itself does; return status and JSON."""
        own = {"Origin": self.origin, **MARK}
        status, _, answer = self.request("POST", path, body, **{**own, **headers})
        return status, json.loads(answer)

    def request(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            if method == "POST" and "Content_Length" not in headers:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE_S)
        if self.process.poll() is None:
            for pid in [self.process.pid, *self.children()]:
                os.kill(pid, signal.SIGKILL)
        self._context.destroy()
        sys.stdout.write(self.log)


class Browser:
    """A tab of a browser, as far as its WebSocket goes."""

    def __init__(self, daemon: PageDaemon, **headers: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._headers = {"Origin": daemon.origin, **headers}
        self._url = f"{daemon.origin}/ws"
        self.closed: tuple[int | None, str | None] | None = None

    def __enter__(self) -> Self:
        async def connect() -> None:
            self._session = aiohttp.ClientSession()
            self._socket = await self._session.ws_connect(
                self._url, headers=self._headers, max_msg_size=0
            )

        self._loop.run_until_complete(connect())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        async def close() -> None:
            await self._socket.close()
            await self._session.close()

        self._loop.run_until_complete(close())
        self._loop.close()

    def send(self, frame: Any) -> None:
        """Send an object as JSON, or text or bytes as they are."""
        if isinstance(frame, bytes):
            self._loop.run_until_complete(self._socket.send_bytes(frame))
        else:
            text = frame if isinstance(frame, str) else json.dumps(frame)
            self._loop.run_until_complete(self._socket.send_str(text))

    def play(self, *events: Frame) -> None:
        self.send({"type": "play", "events": list(events)})

    def receive(self, timeout_s: float) -> Frame | None:
        """Return the next frame; None when there was none in time, or the socket was closed."""
        try:
            message = self._loop.run_until_complete(
                asyncio.wait_for(self._socket.receive(), timeout_s)
            )
        except TimeoutError:
            return None
        if message.type is aiohttp.WSMsgType.TEXT:
            frame: Frame = json.loads(message.data)
            return frame
        self.closed = (self._socket.close_code, message.extra)
        return None

    def wait_for(self, wanted: Callable[[Frame], bool], what: str) -> Frame:
        """Return the first frame that is wanted; those before it are gone."""
        until_s = time.monotonic() + PATIENCE_S
        while (left_s := until_s - time.monotonic()) > 0 and self.closed is None:
            frame = self.receive(left_s)
            if frame is not None and wanted(frame):
                return frame
        raise AssertionError(f"waited in vain for {what}; closed: {self.closed}")

    def of_type(self, kind: str, **members: Any) -> Frame:
        """Return the next frame of this type with these members."""
        return self.wait_for(
            lambda frame: (
                frame["type"] == kind
                and all(frame.get(name) == value for name, value in members.items())
            ),
            f"{kind} {members}",
        )

    def during(self, seconds: float) -> list[Frame]:
        """Return the frames that come within so many seconds."""
        frames = []
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0 and self.closed is None:
            frame = self.receive(left_s)
            if frame is not None:
                frames.append(frame)
        return frames

    def wait_until_closed(self) -> tuple[int | None, str | None]:
        until_s = time.monotonic() + PATIENCE_S
        while self.closed is None and time.monotonic() < until_s:
            self.receive(1.0)
        assert self.closed is not None, "the socket stays open"
        return self.closed


def deaf_browser(daemon: PageDaemon) -> socket.socket:
    """Open a WebSocket from which nobody will ever read."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", daemon.port))
    made.sendall(
        f"GET /ws HTTP/1.1\r\nHost: {daemon.host}\r\nOrigin: {daemon.origin}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    return made


def note_on(pitch: int, velocity: int = 80) -> Frame:
    return {"event": "note_on", "pitch": pitch, "velocity": velocity}


def note_off(pitch: int) -> Frame:
    return {"event": "note_off", "pitch": pitch}


def wait_until(condition: Callable[[], bool], what: str, daemon: PageDaemon) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"waited in vain until {what}; the daemon says:\n{daemon.log}")
        time.sleep(0.02)


def free_ports(count: int) -> Sequence[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def page_daemon(
    folder: Path,
    page: dict[str, Any] | None = None,
    jack: str = "there-is-none",
    **performer: Any,
) -> Iterator[PageDaemon]:
    """Start a daemon with a page; it is ready. `jack` names the server that would be its own."""
    daemon = PageDaemon(folder, page, jack, **performer)
    try:
        daemon.wait_until_ready()
        yield daemon
    finally:
        daemon.close()
