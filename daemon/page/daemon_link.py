"""The page's connection to the daemon: its public sockets, each in a thread of its own.

All methods belong to the loop of the page, and all that is told is told there.
"""

import asyncio
import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from daemon.control.commands import Result
from daemon.control.played import LATE_S, MOST_EVENTS
from daemon.control.requests import MAX_REQUEST_BYTES, VERSION
from daemon.control.sockets import ClientKeys, EventClient
from daemon.page.asking import Asker, Reply, refusal, to_connect
from daemon.settings import Settings

logger = logging.getLogger(__name__)

_MISSED_AFTER_S = 3.0  # it tells something every half second
_POLL_S = 0.25
_EVENTS_AT_A_TIME = 200
_MOST_WAITING = 200  # commands; more are refused at once
_CLOCK_EVERY_S = 1.0
_CLOCKS = 8  # of so many readings, the one that took the least time is believed


class Listener(Protocol):
    """Who is told what the daemon tells."""

    def heard(self, topic: str, event: Result) -> None:
        """The daemon tells an event."""

    def is_there(self, alive: bool, /) -> None:
        """The daemon is there, or it is not any more."""


class DaemonLink:
    """Asks, plays, listens; a context manager."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        control = settings.control
        self._commands = to_connect(control.commands)
        self._events = to_connect(control.events)
        self._keys = (
            ClientKeys(Path(control.server_key), Path(settings.page.client_key))
            if control.server_key and settings.page.client_key
            else None
        )
        self._loop = loop
        self._listeners: list[Listener] = []
        self._questions: queue.SimpleQueue[tuple[Result, Future[Reply]] | None]
        self._questions = queue.SimpleQueue()
        self._played: queue.SimpleQueue[Result | None] = queue.SimpleQueue()
        self._stopping = False
        self._clocks: list[tuple[float, float]] = []  # how long each reading took, and the offset
        self.alive = False
        """Whether the daemon is there."""
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for name, run in (
                ("commands", self._ask_all), ("playing", self._play_all), ("events", self._hear_all)
            )
        ]  # fmt: skip

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping = True
        self._questions.put(None)
        self._played.put(None)

    def listen(self, listener: Listener) -> None:
        """Tell a listener everything from now on."""
        self._listeners.append(listener)

    @property
    def now_s(self) -> float | None:
        """What the session's clock shows now; None while the daemon has never said."""
        if not self._clocks:
            return None
        return time.monotonic() + min(self._clocks)[1]

    async def ask(self, command: str, args: Result) -> Reply:
        """Have a command carried out; return the reply, which may be a refusal."""
        request = {"v": VERSION, "cmd": command, "args": args}
        if len(json.dumps(request)) > MAX_REQUEST_BYTES - 64:
            return refusal(f"a command has at most {MAX_REQUEST_BYTES} bytes")
        if not self.alive:
            return refusal("the Performer does not answer now")
        if self._questions.qsize() > _MOST_WAITING:
            return refusal("too many commands wait; try again")
        answered: Future[Reply] = Future()
        self._questions.put((request, answered))
        return await asyncio.wrap_future(answered)

    def play(self, events: Sequence[Result]) -> None:
        """Play events, each as the command takes it; with none of them, stay a client."""
        if not self.alive:
            return
        if not events:
            self._played.put({})
        for event in events:
            self._played.put(event)

    # The threads.

    def _ask_all(self) -> None:
        client = Asker(self._commands, self._keys)
        read_clock_s = 0.0
        while not self._stopping:
            if time.monotonic() >= read_clock_s:
                read_clock_s = time.monotonic() + _CLOCK_EVERY_S
                self._read_clock(client)
            try:
                asked = self._questions.get(timeout=_CLOCK_EVERY_S)
            except queue.Empty:
                continue
            if asked is not None:
                request, answered = asked
                if answered.set_running_or_notify_cancel():  # else who asked is gone
                    answered.set_result(client.ask(request))
        client.close()

    def _read_clock(self, client: Asker) -> None:
        asked_s = time.monotonic()
        reply = client.ask({"v": VERSION, "cmd": "state"})
        answered_s = time.monotonic()
        if reply["ok"]:
            offset_s = reply["result"]["time_s"] - (asked_s + answered_s) / 2
            self._loop.call_soon_threadsafe(self._clock_read, answered_s - asked_s, offset_s)

    def _clock_read(self, took_s: float, offset_s: float) -> None:
        if self._clocks and abs(offset_s - self._clocks[-1][1]) > took_s + self._clocks[-1][0]:
            self._clocks.clear()  # another session
        self._clocks = [*self._clocks, (took_s, offset_s)][-_CLOCKS:]

    def _play_all(self) -> None:
        client = Asker(self._commands, self._keys)
        while not self._stopping:
            waiting = [self._played.get()]
            while len(waiting) < MOST_EVENTS // 2 and not self._played.empty():
                waiting.append(self._played.get())
            events = [self._not_too_late(event) for event in waiting if event]
            reply = client.ask({"v": VERSION, "cmd": "play", "args": {"events": events}})
            if not reply["ok"]:
                logger.warning("not played: %s", reply["error"]["message"])
        client.close()

    def _not_too_late(self, event: Result) -> Result:
        """However long an event has waited here, it is not to be refused for that."""
        now_s = self.now_s
        if now_s is None or "at_s" not in event:
            return event
        return event | {"at_s": min(max(event["at_s"], now_s - LATE_S), now_s)}

    def _hear_all(self) -> None:
        heard_s = -_MISSED_AFTER_S
        with EventClient(self._events, keys=self._keys) as client:
            while not self._stopping:
                events = _waiting_events(client)
                now_s = time.monotonic()
                if events:
                    heard_s = now_s
                    self._tell(self._are_heard, events)
                if client.times_lost or now_s - heard_s > _MISSED_AFTER_S:
                    client.times_lost = 0
                    heard_s = -_MISSED_AFTER_S
                    self._tell(self._has_gone)

    def _tell(self, function: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop has closed: this process ends
            self._stopping = True

    def _are_heard(self, events: list[tuple[str, bytes]]) -> None:
        if not self.alive:
            self.alive = True
            for listener in self._listeners:
                listener.is_there(True)
        for topic, body in events:
            told = json.loads(body)
            for listener in self._listeners:
                listener.heard(topic, told)

    def _has_gone(self) -> None:
        if self.alive:
            self.alive = False
            for listener in self._listeners:
                listener.is_there(False)


def _waiting_events(client: EventClient) -> list[tuple[str, bytes]]:
    """Return the events that wait, once there is one, or nothing for a while."""
    events: list[tuple[str, bytes]] = []
    timeout_s = _POLL_S
    while len(events) < _EVENTS_AT_A_TIME:
        event = client.next_event(timeout_s)
        if event is None:
            break
        events.append(event)
        timeout_s = 0.0
    return events
