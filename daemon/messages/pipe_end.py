"""One end of a pipe between processes, with threads so that nobody waits for the other side."""

import contextlib
import logging
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

logger = logging.getLogger(__name__)


def end_with_parent() -> None:
    """End this process when the one that started it does, however that ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


class PipeEnd:
    """Sends messages in order without ever blocking the caller, and hands over what comes.

    `deliver(message)` is called from a thread of this object, and `deliver(None)` once, when the
    other side is gone.
    """

    def __init__(self, name: str, connection: Connection, deliver: Callable[[Any], None]) -> None:
        self._connection = connection
        self._deliver = deliver
        self._outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name=f"{name} in", daemon=True)
        self._writer = threading.Thread(target=self._write, name=f"{name} out", daemon=True)

    def start(self) -> None:
        """Begin to read and to write."""
        self._reader.start()
        self._writer.start()

    def send(self, message: object) -> None:
        """Send a message after those before it; return at once."""
        self._outgoing.put(message)

    def close(self, timeout_s: float = 0.0) -> None:
        """Send what is waiting, and nothing after it; wait for that no longer than told."""
        self._outgoing.put(None)
        self._writer.join(timeout_s)

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._deliver(self._connection.recv())
        self._deliver(None)

    def _write(self) -> None:
        with contextlib.suppress(OSError):
            while (message := self._outgoing.get()) is not None:
                self._connection.send(message)
