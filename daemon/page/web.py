"""HTTP and WebSocket, and what every answer carries; the only importer of aiohttp.

Nothing here knows what is asked for: `routes` and `tabs` do, and `gate` says who may.
"""

import contextlib
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from socket import SO_SNDBUF, SOL_SOCKET, socket
from typing import Any

from aiohttp import WSMsgType, web

from daemon.page.gate import HEADERS, TOKEN_COOKIE, Gate, Visit
from daemon.settings import PageSettings
from perceivers.errors import PerformerError

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
MOST_BODY_BYTES = 2 * 1024 * 1024
MOST_FRAME_BYTES = 16 * 1024
_PING_S = 10.0  # a browser that answers no ping is gone
_STOPS_WITHIN_S = 1.0
_SEND_BUFFER_BYTES = 128 * 1024  # the system's own would hide for minutes that nobody reads


class TlsError(PerformerError):
    """Certificate or key cannot be used."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request that was let in."""

    name: str  # what the path names, if anything
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered: bytes of a kind."""

    body: bytes
    kind: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Answering = Callable[[Question], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path, and who answers there."""

    method: str
    path: str  # `{name}` in it becomes the question's name
    answer: Answering


def as_json(told: Any, status: int = 200) -> Answer:
    """Return an answer in JSON."""
    return Answer(json.dumps(told).encode(), status=status)


class Socket:
    """A WebSocket. Closed twice is closed."""

    def __init__(self, request: web.Request, inner: web.WebSocketResponse) -> None:
        self._request = request
        self._inner = inner

    async def receive(self) -> str | bytes | None:
        """Return the next frame: text, or bytes where it was binary; None when it is over."""
        message = await self._inner.receive()
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            data: str | bytes = message.data
            return data
        return None

    async def send(self, text: str) -> None:
        """Send a frame; wait while the browser does not read."""
        await self._inner.send_str(text)

    async def close(self, code: int, reason: str) -> None:
        """Say why it is closed, and close it."""
        await self._inner.close(code=code, message=reason.encode()[:120])

    def drop(self) -> None:
        """Close it without a word: nobody reads."""
        if self._request.transport is not None:
            self._request.transport.abort()


Meet = Callable[[Socket], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(
    listening: socket, gate: Gate, routes: Sequence[Route], *, meet: Meet, page: PageSettings
) -> AsyncIterator[None]:
    """Answer requests while this lasts; `meet` is awaited for each WebSocket."""
    app = web.Application(middlewares=[_guarded(gate)], client_max_size=MOST_BODY_BYTES)
    app.router.add_get("/", _index)
    app.router.add_get("/ws", _socket_handler(meet))
    for route in routes:
        app.router.add_route(route.method, route.path, _handler(route))
    app.router.add_static("/static", STATIC)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    site = web.SockSite(
        runner, listening, ssl_context=_tls(page), shutdown_timeout=_STOPS_WITHIN_S
    )  # fmt: skip
    await site.start()
    try:
        yield
    finally:
        await runner.cleanup()


def _tls(page: PageSettings) -> ssl.SSLContext | None:
    if page.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(page.certificate, page.private_key)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"page.certificate and page.private_key: {error}") from None
    return context


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _guarded(gate: Gate) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        token = request.query.get("token") or request.cookies.get(TOKEN_COOKIE)
        is_socket = request.path == "/ws"
        refusal = gate.refusal(Visit(request.method, request.headers, token, is_socket))
        if refusal is not None:
            logger.debug("a request was refused: %s", refusal)
            response: web.StreamResponse = _answered(as_json({"error": refusal}, 403))
        else:
            response = await _handled(request, handler)
        if not response.prepared:
            response.headers.update(HEADERS)
            response.headers.setdefault("Cache-Control", "no-cache")
        return response

    return guard


async def _handled(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        message = f"more than {MOST_BODY_BYTES // 2**20} MB are too much"
        return _answered(as_json({"error": message}, 413))
    except web.HTTPException as error:
        return _answered(as_json({"error": error.reason}, error.status))
    except PerformerError as error:
        return _answered(as_json({"error": str(error)}, 400))
    except Exception:
        logger.exception("a request has failed")
        return _answered(as_json({"error": "it has failed; the Performer's log says how"}, 500))


def _handler(route: Route) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if (request.content_length or 0) > MOST_BODY_BYTES:  # not one byte of it is read
            raise web.HTTPRequestEntityTooLarge(MOST_BODY_BYTES, request.content_length or 0)
        question = Question(
            request.match_info.get("name", ""), await request.read(), request.headers
        )
        return _answered(await route.answer(question))

    return handle


def _answered(answer: Answer) -> web.Response:
    return web.Response(
        body=answer.body,
        status=answer.status,
        content_type=answer.kind,
        headers=dict(answer.headers),
    )


async def _index(request: web.Request) -> web.StreamResponse:
    if "token" not in request.query:
        return web.FileResponse(STATIC / "index.html")
    response = web.Response(status=303, headers={"Location": "/"})
    response.set_cookie(
        TOKEN_COOKIE, request.query["token"], httponly=True, samesite="Strict",
        secure=request.secure,
    )  # fmt: skip
    return response


def _socket_handler(meet: Meet) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        inner = web.WebSocketResponse(
            max_msg_size=MOST_FRAME_BYTES, heartbeat=_PING_S, compress=False, timeout=1.0
        )
        own = request.get_extra_info("socket")
        own.setsockopt(SOL_SOCKET, SO_SNDBUF, _SEND_BUFFER_BYTES)
        await inner.prepare(request)
        await meet(Socket(request, inner))
        return inner

    return handle
