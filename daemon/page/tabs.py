"""The browsers that are there: told what happens, heard, and dropped when they do not read."""

import asyncio
import itertools
import json
import logging
import time
from types import TracebackType
from typing import Any, Self

from daemon.control.commands import Result
from daemon.control.played import LEASE_S
from daemon.page import frames
from daemon.page.asking import Reply, refusal
from daemon.page.daemon_link import DaemonLink
from daemon.page.piano import Piano
from daemon.page.session_log import SessionLog
from daemon.page.tab import Tab, notice
from daemon.page.web import Socket

logger = logging.getLogger(__name__)

MOST_TABS = 64
TOLD = ("note", "planned", "withdrawn", "state", "turn", "parameters", "metrics")
"""The events that browsers are told."""
_MOST_BAD_FRAMES = 50
_COMMANDS_UNDER_WAY = 50
_STAY_S = 1.0
_TRY_LATER, _POLICY = 1013, 1008  # codes of WebSocket for why it is closed


class Tabs:
    """All browsers; an asynchronous context manager. It listens to the daemon."""

    def __init__(self, link: DaemonLink) -> None:
        self.log = SessionLog()
        self.piano = Piano(link)
        self.dropped = 0
        """Browsers that did not read, or said too much."""
        self._link = link
        self._tabs: dict[int, Tab] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        link.listen(self)

    async def __aenter__(self) -> Self:
        self._do(self._keep_watch())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()

    # From the daemon.

    def heard(self, topic: str, event: Result) -> None:
        """The daemon tells an event: so is every browser."""
        self.log.heard(topic, event)
        if topic in TOLD and self._tabs:
            self._tell_all(json.dumps({**event, "type": "event", "topic": topic}))

    def is_there(self, alive: bool) -> None:
        """The daemon is there, or it is not any more."""
        self.piano.forget()
        message = "the Performer is there" if alive else "the Performer does not answer"
        self._tell_all(json.dumps({"type": "daemon", "alive": alive, "message": message}))
        if alive:
            for tab in self._tabs.values():
                self._do(self._greet(tab))

    def tell_all(self, message: str, level: str = "error") -> None:
        """Let every browser show a word to its user."""
        self._tell_all(notice(message, level))

    def _tell_all(self, frame: str) -> None:
        for tab in [*self._tabs.values()]:
            self._tell(tab, frame)

    def _tell(self, tab: Tab, frame: str) -> None:
        if tab.tell(frame) or tab.number not in self._tabs:
            return
        self.dropped += 1
        logger.warning("a browser does not keep up and is dropped (%d so far)", self.dropped)
        self._gone(tab)
        tab.drop()

    # From browsers.

    async def meet(self, socket: Socket) -> None:
        """Serve a browser until it is gone."""
        tab = Tab(next(self._numbers), socket)
        if len(self._tabs) >= MOST_TABS:
            await tab.close(_TRY_LATER, f"{MOST_TABS} pages are open; close one of them")
            return
        self._tabs[tab.number] = tab
        writing = asyncio.create_task(tab.write())
        try:
            await self._greet(tab)
            await self._listen(tab, socket)
        finally:
            writing.cancel()
            self._gone(tab)

    async def _listen(self, tab: Tab, socket: Socket) -> None:
        while (frame := await socket.receive()) is not None:
            if not tab.may_speak():
                self.dropped += 1
                logger.warning("a browser says too much and is dropped (%d so far)", self.dropped)
                self._gone(tab)
                await tab.close(_POLICY, "too many messages; load the page again")
                return
            try:
                self._take(tab, frames.read(frame))
            except frames.FrameError as error:
                tab.bad_frames += 1
                self._tell(tab, notice(f"not understood: {error}"))
                if tab.bad_frames > _MOST_BAD_FRAMES:
                    self._gone(tab)
                    await tab.close(_POLICY, "too many messages that mean nothing")
                    return

    def _gone(self, tab: Tab) -> None:
        if self._tabs.pop(tab.number, None) is not None:
            self.piano.let_go(tab.number)

    def _take(self, tab: Tab, said: frames.Said) -> None:
        match said:
            case frames.Playing(events):
                if self._link.alive:
                    self.piano.play(tab.number, events)
                elif events:
                    message = "the Performer does not answer now; it does not hear you"
                    self._tell(tab, notice(message))
            case frames.Asking():
                self._ask(tab, said)
            case frames.ReadingClock(browser_ms):
                now_s = self._link.now_s
                self._tell(tab, json.dumps({"type": "clock", "t": browser_ms, "session_s": now_s}))

    def _ask(self, tab: Tab, asking: frames.Asking) -> None:
        if tab.commands >= _COMMANDS_UNDER_WAY:
            self._tell(tab, _reply(asking, refusal("too many commands at once")))
            return
        tab.commands += 1

        async def carry_out() -> None:
            reply = await self._link.ask(asking.command, asking.args)
            tab.commands -= 1
            self._tell(tab, _reply(asking, reply))

        self._do(carry_out())

    async def _greet(self, tab: Tab) -> None:
        """Tell a browser all that it needs to begin."""
        if not self._link.alive:
            message = "the Performer does not answer"
            self._tell(tab, json.dumps({"type": "daemon", "alive": False, "message": message}))
            return
        asked = ("schema", "state", "get", "info")
        replies = await asyncio.gather(*(self._link.ask(name, {}) for name in asked))
        if not all(reply["ok"] for reply in replies):
            return  # it has gone again: a greeting follows when it is back
        schema, state, parameters, info = (reply["result"] for reply in replies)
        now_s = self._link.now_s or state["time_s"]
        hello: dict[str, Any] = {
            "type": "hello",
            "session_s": now_s,
            "schema": schema,
            "state": state,
            "parameters": parameters["parameters"],
            "info": info,
            "has_ports": info["input"] is not None,
            "recent": self.log.recent(now_s),
        }
        self._tell(tab, json.dumps(hello))

    # By itself.

    async def _keep_watch(self) -> None:
        """Let the daemon know who is there, and let go for who is not."""
        while True:
            await asyncio.sleep(_STAY_S)
            now_s = time.monotonic()
            for tab in [*self._tabs.values()]:
                if now_s - tab.heard_s > LEASE_S and self.piano.holds(tab.number):
                    self.piano.let_go(tab.number)
            self.piano.stay()

    def _do(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the page has a fault", exc_info=error)


def _reply(asking: frames.Asking, reply: Reply) -> str:
    return json.dumps({**reply, "type": "reply", "id": asking.number})
