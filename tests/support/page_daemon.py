"""The whole daemon with its page and without its model, and browsers made of plain sockets."""

import asyncio
import contextlib
import http.client
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.support import running_daemon
from tests.support.running_daemon import RunningDaemon, scripted_daemon

PATIENCE_S = 30.0
MARK = {"X-Performer": "1"}
Frame = dict[str, Any]


class PageDaemon(RunningDaemon):
    """A daemon whose brain plays a scale, with a page at an address of its own."""

    def __init__(
        self,
        folder: Path,
        page: dict[str, Any] | None = None,
        jack: str = "there-is-none",
        **performer: Any,
    ) -> None:
        self.told = folder / "told"
        super().__init__(
            folder,
            self.told,
            command=scripted_daemon,
            sections={
                "midi": {"client_in": "Page In", "client_out": "Page Out"},
                "page": {"enabled": True, **(page or {})},
            },
            environment={"JACK_DEFAULT_SERVER": jack, "JACK_NO_START_SERVER": "1"},
            **{"channel": 1, "silence_least_s": 0.3, **performer},
        )
        self.port = int(self._daemon.page.rpartition(":")[2])

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def origin(self) -> str:
        return f"http://{self.host}"

    def wait_until_ready(self) -> None:
        def is_ready() -> bool:
            assert self.process.poll() is None, self.log
            return "the page is at" in self.log and "listening (" in self.log

        wait_until(is_ready, "the page is there", self)

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


def deaf_browser(port: int) -> socket.socket:
    """Open a WebSocket from which nobody will ever read."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", port))
    made.sendall(
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    return made


def note_on(pitch: int, velocity: int = 80) -> Frame:
    return {"event": "note_on", "pitch": pitch, "velocity": velocity}


def note_off(pitch: int) -> Frame:
    return {"event": "note_off", "pitch": pitch}


def wait_until(condition: Callable[[], bool], what: str, daemon: PageDaemon) -> None:
    running_daemon.wait_until(condition, what, PATIENCE_S, daemon)


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
        sys.stdout.write(daemon.log)
