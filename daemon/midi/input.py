"""The thread that polls the input port."""

import logging
import threading
import time
from collections.abc import Callable

from daemon.midi.listener import Listener
from daemon.midi.parser import Played
from daemon.midi.ports import PRESENCE_S

logger = logging.getLogger(__name__)

POLL_S = 0.001
QUIET_POLL_S = 0.01  # when nobody plays: looking costs more than all else at rest


class InputThread:
    """Polls the port and reports what is played and whether the port is there.

    `heard(time_ns, played)` and `present(bool)` are called from this thread and must not block.
    """

    def __init__(
        self,
        listener: Listener,
        heard: Callable[[int, Played], None],
        present: Callable[[bool], None],
    ) -> None:
        self._listener = listener
        self._heard = heard
        self._present = present
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="input", daemon=True)

    def __enter__(self) -> "InputThread":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(timeout=2.0)
        if self._thread.is_alive():
            logger.error("the input thread did not stop")
        else:
            self._listener.port.close()

    def _run(self) -> None:
        is_present = True
        check_at = time.monotonic() + PRESENCE_S
        while not self._stopping.is_set():
            if is_present:
                self._drain()
            time.sleep(QUIET_POLL_S if self._listener.is_quiet(time.monotonic_ns()) else POLL_S)
            if time.monotonic() >= check_at:
                check_at += PRESENCE_S
                is_present = self._watch(is_present)

    def _drain(self) -> None:
        while (taken := self._listener.take(time.monotonic_ns())) is not None:
            self._heard(*taken)

    def _watch(self, was_present: bool) -> bool:
        port = self._listener.port
        is_present = port.is_present() if was_present else port.reopen()
        if is_present != was_present:
            if not is_present:
                self._listener.lost()
            self._present(is_present)
        return is_present
