"""The page's process as the supervisor sees it: started, watched, and started again."""

import errno
import logging
import os
import queue
import secrets
import signal
import socket
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection

from daemon.messages.child_process import RESTARTS, ChildProcess
from daemon.messages.page import PageBeat, PageOptions, StopPage
from daemon.messages.pipe_end import end_with_parent
from daemon.settings import PageSettings, Settings
from perceivers.errors import PerformerError

logger = logging.getLogger(__name__)

_STARTS_WITHIN_S = 60.0
_ENDS_WITHIN_S = 2.0
_TOKEN_BYTES = 16
_WAITING_CONNECTIONS = 128
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - told apart, not listened to


class PageAddressError(PerformerError, OSError):
    """The page cannot listen, or cannot reach the daemon, where the settings say."""


@dataclass(frozen=True, slots=True)
class _PageOver:
    """The page's process is over."""


def run_page(connection: Connection, listening: socket.socket, options: PageOptions) -> None:
    """Be the page's process."""
    end_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):  # they are for the supervisor, who says so here
        signal.signal(number, signal.SIG_IGN)
    from daemon.page import process  # noqa: PLC0415 - who only starts it shall not load it

    process.run(connection, listening, options)


class PageKeeper:
    """Owns the page's process, and the socket at which it listens, which outlives it.

    So a browser that asks while the process is replaced waits, and nobody else gets the address.
    All methods belong to one thread.
    """

    def __init__(self, settings: Settings, *, verbose: bool = False) -> None:
        page = settings.page
        _check(settings)
        self._listening = _listen(page)
        needs_token = page.token is not None or not page.is_local
        self._token = (page.token or secrets.token_urlsafe(_TOKEN_BYTES)) if needs_token else None
        self._settings = settings
        self._verbose = verbose
        self._inbox: queue.SimpleQueue[PageBeat | _PageOver] = queue.SimpleQueue()
        self._child = ChildProcess(
            "page", run_page, self._inbox.put, lambda: self._inbox.put(_PageOver())
        )
        self._was_ready = False

    @property
    def address(self) -> str:
        """What a browser is to open; with the token, where one is needed."""
        page = self._settings.page
        host, port = self._listening.getsockname()[:2]
        if host in _EVERYWHERE:
            host = socket.gethostname()
        shown = f"[{host}]" if ":" in host else host
        scheme = "https" if page.is_encrypted else "http"
        query = "" if self._token is None else f"?token={self._token}"
        return f"{scheme}://{shown}:{port}/{query}"

    def start(self, now_s: float) -> None:
        """Start a process."""
        opens = self._settings.page.open and not self._was_ready and _has_display()
        options = PageOptions(
            self._settings, self._token, self.address if opens else None, self._verbose
        )
        self._child.start(now_s, self._listening, options, within_s=_STARTS_WITHIN_S)

    def look(self, now_s: float) -> bool:
        """See to what has happened since the last look; tell if it is there at last."""
        was_ready = self._was_ready
        while not self._inbox.empty():
            match self._inbox.get():
                case PageBeat():
                    self._was_ready = True
                    self._child.heard(now_s, is_ready=True)
                case _PageOver():
                    self._over(now_s)
        if self._child.watch(now_s):
            logger.error("the page does not answer and is killed")
        return self._was_ready and not was_ready

    def _over(self, now_s: float) -> None:
        code = self._child.collect()
        if self._child.is_hopeless(now_s):
            logger.error(
                "the page has ended %d times within a minute; the Performer goes on without",
                RESTARTS,
            )
            self._listening.close()
            return
        logger.error("the page has ended (exit code %s) and is started again", code)
        self.start(now_s)

    def stop(self) -> None:
        """Let the page end; kill it if it does not."""
        self._child.end(StopPage(), _ENDS_WITHIN_S)
        self._listening.close()


def _check(settings: Settings) -> None:
    """See that the page will be able to reach the daemon."""
    control = settings.control
    if control.server_key is not None and settings.page.client_key is None:
        raise PageAddressError(
            "there is no page, for control takes keys and the page has none:"
            " set page.client_key, or page.enabled: false"
        )
    if any(address.endswith((":0", ":*")) for address in (control.commands, control.events)):
        raise PageAddressError(
            "there is no page, for it must know where control is: give control.commands and"
            " control.events a port, or set page.enabled: false"
        )


def _listen(page: PageSettings) -> socket.socket:
    host, port = page.host_and_port
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere the option lets two listen at one address
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(_WAITING_CONNECTIONS)
    except OSError as error:
        made.close()
        reason = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise PageAddressError(
            f"there is no page, for it cannot listen at {page.address}: {reason};"
            " set page.address to another, or leave the page out with --no-page"
        ) from None
    return made


def _has_display() -> bool:
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return True
    return sys.platform in ("darwin", "win32")
