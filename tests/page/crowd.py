"""What many pages cost the music: python -m tests.page.crowd.

Answers are played in turn with no page open and with twenty, of which half never read. How late a
note left is the difference between the moment that it was planned for and the moment that it is
told for, both by the session's clock; so whoever measures is not in the way.
"""

import argparse
import asyncio
import json
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from daemon.bench.results import add_to_json, tell
from daemon.settings import EngineSettings
from tests.page.measure import percentiles
from tests.support.page_daemon import deaf_browser
from tests.support.running_daemon import RunningDaemon, running_daemon

READING, DEAF = 10, 10
ROUNDS = 6
TURN_S = 10
SETTLED_S = 2.0  # after it is opened a page asks for much, once
Events = Iterable[tuple[str, dict[str, Any]]]


def main() -> None:
    """Measure, tell, and write beside the figures of one page."""
    parser = argparse.ArgumentParser(prog="python -m tests.page.crowd")
    parser.add_argument("--model", type=Path, default=Path(EngineSettings().model))
    parser.add_argument("--json", type=Path, default=Path("docs/figures/page.json"))
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_daemon(Path(folder), options.model, page=True, length=TURN_S) as daemon,
    ):
        found = {"crowd": {"model": str(options.model)} | measured(daemon)}
    tell(json.dumps(found, indent=1))
    add_to_json(options.json, found)


def measured(daemon: RunningDaemon) -> dict[str, Any]:
    """Return how late notes left, in turn without and with a crowd of pages."""
    late_ms: dict[int, list[float]] = {0: [], READING + DEAF: []}
    for number in range(2 * ROUNDS):
        pages = number % 2 * (READING + DEAF)
        with crowd(daemon.page) if pages else ExitStack():
            time.sleep(SETTLED_S)
            late_ms[pages] += lateness_ms(answered(daemon))
    return {
        f"{pages} pages": {"notes": len(found)} | {"late_ms": percentiles(found)}
        for pages, found in late_ms.items()
    }


def answered(daemon: RunningDaemon) -> list[tuple[str, dict[str, Any]]]:
    """Let the Performer play a turn; return what was told of it."""
    daemon.events()
    daemon.ask("perform")
    told: list[tuple[str, dict[str, Any]]] = []
    until_s = time.monotonic() + 3 * TURN_S
    while time.monotonic() < until_s and not any(topic == "turn" for topic, _ in told):
        told += daemon.events()
        time.sleep(0.05)
    return told


def lateness_ms(told: Events) -> list[float]:
    """Return how late each note of the Performer's began and ended."""
    planned: dict[tuple[str, int], list[float]] = defaultdict(list)
    late = []
    for topic, event in told:
        if topic == "planned":
            for each in event["events"]:
                if each["event"] != "pedal":
                    planned[each["event"], each["pitch"]].append(each["at_s"])
        elif topic == "note" and event["by"] == "performer" and event["event"] != "pedal":
            due_s = planned[event["event"], event["pitch"]]
            if due_s:
                late.append(1000 * (event["at_s"] - due_s.pop(0)))
    return late


@contextmanager
def crowd(page: str) -> Iterator[None]:
    """Keep pages open, as far as their WebSockets go: some that read, some that never do."""
    with ExitStack() as stack:
        port = int(page.rstrip("/").rpartition(":")[2])
        for _ in range(DEAF):
            stack.enter_context(deaf_browser(port))
        stack.enter_context(_readers(port))
        yield


@contextmanager
def _readers(port: int) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    are_open = threading.Event()
    reading = loop.create_task(_read_all(f"http://127.0.0.1:{port}", are_open))

    def run() -> None:
        with ExitStack() as stack:
            stack.callback(loop.close)
            try:
                loop.run_until_complete(reading)
            except asyncio.CancelledError:
                return

    thread = threading.Thread(target=run)
    thread.start()
    assert are_open.wait(20.0), "the pages do not open"
    try:
        yield
    finally:
        loop.call_soon_threadsafe(reading.cancel)
        thread.join()


async def _read_all(origin: str, are_open: threading.Event) -> None:
    async with aiohttp.ClientSession() as session:
        opening = (
            session.ws_connect(f"{origin}/ws", headers={"Origin": origin}, max_msg_size=0)
            for _ in range(READING)
        )
        sockets = await asyncio.gather(*opening)
        are_open.set()
        await asyncio.gather(*(_read(socket) for socket in sockets))


async def _read(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


if __name__ == "__main__":
    main()
