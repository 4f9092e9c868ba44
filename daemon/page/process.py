"""The page's process: its parts put together, and the loop that they share."""

import asyncio
import contextlib
import logging
import os
import socket
import threading
import webbrowser
from multiprocessing.connection import Connection
from pathlib import Path

from daemon.log import set_up_logging
from daemon.messages.page import PageBeat, PageOptions, StopPage
from daemon.messages.pipe_end import PipeEnd
from daemon.page.daemon_link import DaemonLink
from daemon.page.gate import Gate
from daemon.page.play_in import PlayIn
from daemon.page.routes import Routes
from daemon.page.tabs import Tabs
from daemon.page.web import serving

logger = logging.getLogger(__name__)

_SAYS_SO_EVERY_S = 0.5
_NICENESS = 3  # behind the stage, before the brain


def run(connection: Connection, listening: socket.socket, options: PageOptions) -> None:
    """Be the page until the supervisor says so, or is gone."""
    set_up_logging(options.verbose)
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    threading.excepthook = _end_with_thread
    try:
        asyncio.run(_run(connection, listening, options))
    except Exception:
        logger.exception("the page has failed")
        os._exit(1)
    os._exit(0)  # no thread that hangs shall keep the process


def _end_with_thread(failure: threading.ExceptHookArgs) -> None:
    """End where a thread does: the supervisor starts another page, and half a page is none."""
    name = failure.thread.name if failure.thread else "a"
    logger.error("the %s thread of the page has failed", name, exc_info=failure.exc_value)
    os._exit(1)


async def _run(connection: Connection, listening: socket.socket, options: PageOptions) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def deliver(_: StopPage | None) -> None:
        loop.call_soon_threadsafe(ended.set)

    supervisor = PipeEnd("supervisor", connection, deliver)
    supervisor.start()
    async with contextlib.AsyncExitStack() as stack:
        link = stack.enter_context(DaemonLink(options.settings, loop))
        tabs = await stack.enter_async_context(Tabs(link))
        play_in = PlayIn(tabs.piano)
        link.listen(play_in)
        routes = Routes(tabs.log, play_in, Path(options.settings.recording.folder))
        await stack.enter_async_context(
            serving(
                listening, _gate(listening, options), routes.table(),
                meet=tabs.meet, page=options.settings.page,
            )
        )  # fmt: skip
        if options.opens is not None:
            threading.Thread(target=webbrowser.open, args=(options.opens,), daemon=True).start()
        while not ended.is_set():
            supervisor.send(PageBeat())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _SAYS_SO_EVERY_S)


def _gate(listening: socket.socket, options: PageOptions) -> Gate:
    host, port = listening.getsockname()[:2]
    name = socket.gethostname().lower()
    scheme = "https" if options.settings.page.is_encrypted else "http"
    own_names = () if options.settings.page.is_local else (name, f"{name}.local")
    return Gate(host, port, scheme=scheme, names=own_names, token=options.token)
