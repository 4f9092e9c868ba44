"""A player and a recorder that are not ours: the example programs that come with JACK.

Both keep time by the server's sample clock.
"""

import re
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tests.e2e.music import Key
from tests.e2e.running_daemon import wait_until
from tests.e2e.wire import Seen

RATE_HZ = 48_000
PERIOD_S = 64 / RATE_HZ  # of the server that tests/tools/with_jack.sh starts
LEAD_IN_S = 1.0  # before a player's first note, to connect it
_LOOP_S = 600  # jack_midiseq plays a loop; nothing here lasts that long
_LINE = re.compile(r"\s*(\d+):((?: [0-9a-f]{2})+)")


def ports() -> list[str]:
    done = subprocess.run(["jack_lsp"], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.splitlines()


def connect(source: str, sink: str) -> None:
    wait_until(lambda: {source, sink} <= set(ports()), f"{source} and {sink} are there", 10)
    subprocess.run(["jack_connect", source, sink], timeout=10, check=True, capture_output=True)


class _Program:
    """A JACK program that runs until the block is left."""

    def __init__(self, arguments: list[str]) -> None:
        self._process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The one signal at which they close their client; the server would suffer from others.
        self._process.send_signal(signal.SIGINT)
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


class Recorder(_Program):
    """jack_midi_dump, which tells what it sees as it sees it."""

    def __init__(self, *sources: str, name: str = "recorder") -> None:
        super().__init__(["stdbuf", "-oL", "jack_midi_dump", "-a", name])
        self._seen: list[Seen] = []
        self._host_offset_s = float("inf")
        self._name = name
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        for source in sources:
            self.listen_to(source)

    def listen_to(self, source: str) -> None:
        connect(source, f"{self._name}:input")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            match = _LINE.match(line)
            if match is not None:
                time_s = int(match[1]) / RATE_HZ
                self._host_offset_s = min(self._host_offset_s, time.monotonic() - time_s)
                self._seen.append(Seen(time_s, bytes.fromhex(match[2])))

    def seen(self) -> list[Seen]:
        return self._seen.copy()

    def host_time_s(self, seen: Seen) -> float:
        """Return the monotonic time of a message, too late by what its way here took at least."""
        return seen.time_s + self._host_offset_s


class Player(_Program):
    """jack_midiseq, which plays keys on the first channel, at one velocity."""

    def __init__(self, keys: Sequence[Key], *sinks: str, name: str = "player") -> None:
        words = [
            str(round(seconds * RATE_HZ)) if isinstance(seconds, float) else str(seconds)
            for key in keys
            for seconds in (key.start_s + LEAD_IN_S, key.pitch, key.length_s)
        ]
        super().__init__(["jack_midiseq", name, str(_LOOP_S * RATE_HZ), *words])
        for sink in sinks:
            connect(f"{name}:out", sink)
