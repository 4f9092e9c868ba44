"""One browser at the other end of a WebSocket: what waits for it, and how much it may say."""

import asyncio
import contextlib
import json
import time

from daemon.page.web import Socket

_FRAMES_WAITING = 500  # for each browser; one that is further behind is dropped
_BYTES_WAITING = 2 * 1024 * 1024  # likewise
_FRAMES_PER_S = 300.0
_FRAMES_AT_ONCE = 600.0
_CLOSES_WITHIN_S = 2.0


class Tab:
    """One browser at the other end of a WebSocket."""

    def __init__(self, number: int, socket: Socket) -> None:
        self.number = number
        self.heard_s = time.monotonic()
        self.bad_frames = 0
        self.commands = 0
        self._socket = socket
        self._waiting: asyncio.Queue[str] = asyncio.Queue(_FRAMES_WAITING)
        self._bytes_waiting = 0
        self._allowance = _FRAMES_AT_ONCE

    def tell(self, frame: str) -> bool:
        """Have a frame sent, without waiting; False if too many wait already."""
        if self._waiting.full() or self._bytes_waiting > _BYTES_WAITING:
            return False
        self._waiting.put_nowait(frame)
        self._bytes_waiting += len(frame)
        return True

    async def write(self) -> None:
        """Send what waits, for as long as this lasts."""
        with contextlib.suppress(ConnectionError):
            while True:
                frame = await self._waiting.get()
                await self._socket.send(frame)
                self._bytes_waiting -= len(frame)

    def may_speak(self) -> bool:
        """Take note of a frame; False if that was one too many in too little time."""
        now_s = time.monotonic()
        earned = (now_s - self.heard_s) * _FRAMES_PER_S
        self._allowance = min(_FRAMES_AT_ONCE, self._allowance + earned) - 1
        self.heard_s = now_s
        return self._allowance >= 0

    async def close(self, code: int, reason: str) -> None:
        """Say why, and end."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_CLOSES_WITHIN_S):
                await self._socket.send(notice(reason))
                await self._socket.close(code, reason)
                return
        self.drop()

    def drop(self) -> None:
        """End without a word."""
        self._socket.drop()


def notice(message: str, level: str = "error") -> str:
    """Return a frame with a word for the user."""
    return json.dumps({"type": "notice", "level": level, "message": message})
