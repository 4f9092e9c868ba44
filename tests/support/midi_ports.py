"""Stand-ins that implement the interfaces of ports, in the simplest way possible."""

import threading
import time
from collections import deque

from daemon.midi.ports import SendError


class RecordingOutput:
    """An output port that keeps what it is sent; it can be unplugged and plugged in again."""

    def __init__(self) -> None:
        self.name = "recorder"
        self.messages: list[tuple[int, bytes]] = []  # (monotonic ns, message)
        self.plugged = True
        self.closed = False
        self._arrived = threading.Condition()

    def send(self, message: bytes) -> None:
        assert not self.closed
        if not self.plugged:
            raise SendError("unplugged")
        with self._arrived:
            self.messages.append((time.monotonic_ns(), message))
            self._arrived.notify_all()

    def is_present(self) -> bool:
        return self.plugged

    def reopen(self) -> bool:
        return self.plugged

    def close(self) -> None:
        self.closed = True

    @property
    def sent(self) -> list[bytes]:
        """The messages without their moments."""
        return [message for _, message in self.messages]

    def wait_for(self, count: int, timeout_s: float = 5.0) -> None:
        """Wait until that many messages have arrived; fail if they do not."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.messages) >= count, timeout_s), self.sent


class ScriptedInput:
    """An input port that receives what the test puts into it."""

    def __init__(self) -> None:
        self.name = "script"
        self.waiting: deque[tuple[bytes, float]] = deque()
        self.plugged = True
        self.closed = False

    def receive(self) -> tuple[bytes, float] | None:
        assert not self.closed
        return self.waiting.popleft() if self.waiting else None

    def is_present(self) -> bool:
        return self.plugged

    def reopen(self) -> bool:
        return self.plugged

    def close(self) -> None:
        self.closed = True
