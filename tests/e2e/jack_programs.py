"""A player and a recorder that are not ours: the example programs that come with JACK.

Both keep time by the server's sample clock.
"""

import re
import signal
import subprocess
import threading
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
_TICK_S = 0.02
_TICK_PITCH = 0  # no piano has this key
_IS_TICK = re.compile(rb"[\x80\x90]" + bytes([_TICK_PITCH]))
_LINE = re.compile(r"\s*(\d+):((?: [0-9a-f]{2})+)")


def ports() -> list[str]:
    done = subprocess.run(["jack_lsp"], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.splitlines()


def connect(source: str, sink: str) -> None:
    wait_until(lambda: {source, sink} <= set(ports()), f"{source} and {sink} are there", 10)
    subprocess.run(["jack_connect", source, sink], timeout=10, check=True, capture_output=True)


class _Program:
    """A JACK program that runs until the block is left."""

    def __init__(self, arguments: list[str], stdout: int = subprocess.DEVNULL) -> None:
        self._process = subprocess.Popen(
            arguments, stdout=stdout, stderr=subprocess.DEVNULL, text=True
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


class Recorder(_Program):
    """jack_midi_dump, which tells what it sees as it sees it.

    A message that comes while it prints the one before is told with the next one only. So it is
    given a tick to hear, which is left out again here.
    """

    def __init__(self, *sources: str, name: str = "recorder") -> None:
        tick = [str(round(_TICK_S * RATE_HZ)), "0", str(_TICK_PITCH), "64"]
        self._ticker = _Program(["jack_midiseq", "ticker", *tick])
        super().__init__(["stdbuf", "-oL", "jack_midi_dump", "-a", name], subprocess.PIPE)
        self._seen: list[Seen] = []
        self._ticks = 0
        self._name = name
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        for source in ("ticker:out", *sources):
            self.listen_to(source)

    def listen_to(self, source: str) -> None:
        connect(source, f"{self._name}:input")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            match = _LINE.match(line)
            if match is None:
                continue
            data = bytes.fromhex(match[2])
            if _IS_TICK.match(data):
                self._ticks += 1
            else:
                self._seen.append(Seen(int(match[1]) / RATE_HZ, data))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.wait_for_everything()
        finally:
            super().__exit__(kind, error, traceback)
            self._reader.join(10)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._ticker.__exit__(kind, error, traceback)

    def seen(self) -> list[Seen]:
        """Return everything so far."""
        return self._seen.copy()

    def wait_for_everything(self) -> None:
        """Return when all that was sent before has been told."""
        before = self._ticks
        # The first tick from now on may have been sent already; a tick is two messages.
        wait_until(lambda: self._ticks > before + 4, "the recorder has caught up", 10)


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
