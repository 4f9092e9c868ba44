"""A player and a recorder that are not ours: the example programs that come with JACK.

Both keep time by the server's sample clock.
"""

import ctypes
import errno
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from types import TracebackType
from typing import Self

from tests.support.jack_server import running_jack_server
from tests.support.opening import Key
from tests.support.running_daemon import wait_until
from tests.support.wire import Seen

RATE_HZ = 48_000
PERIOD_S = 64 / RATE_HZ  # of the server that tests/support/tools/with_jack.sh starts
LEAD_IN_S = 1.0  # before a player's first note, to connect it
_LOOP_S = 600  # jack_midiseq plays a loop; nothing here lasts that long
_TICK_S = 0.02
_TICK_PITCH = 0  # no piano has this key
_IS_TICK = re.compile(rb"[\x80\x90]" + bytes([_TICK_PITCH]))
_LINE = re.compile(r"\s*(\d+):((?: [0-9a-f]{2})+)")


class Patchbay:
    """A client that connects the ports of others, and takes no part in the server's cycle.

    `jack_connect` does the same, but comes and goes as an active client each time: a synchronous
    server that sees many of those stops in the middle of a cycle sooner or later.
    """

    _NO_START_SERVER = 1

    def __init__(self) -> None:
        self._jack = ctypes.CDLL("libjack.so.0")
        self._jack.jack_client_open.restype = ctypes.c_void_p
        opened = self._jack.jack_client_open(b"patchbay", self._NO_START_SERVER, None)
        assert opened is not None, "the JACK server takes no client"
        self._client = ctypes.c_void_p(opened)

    def connect(self, source: str, sink: str) -> None:
        """Connect two ports as soon as both are there and at work."""
        words = self._client, source.encode(), sink.encode()
        wait_until(
            lambda: self._jack.jack_connect(*words) in (0, errno.EEXIST),
            f"{source} and {sink} can be connected",
            10,
        )

    def disconnect(self, source: str, sink: str) -> None:
        """Disconnect two ports, if they are connected."""
        self._jack.jack_disconnect(self._client, source.encode(), sink.encode())

    def close(self) -> None:
        """Leave the server."""
        self._jack.jack_client_close(self._client)


class _Program:
    """A JACK program that runs until the block is left."""

    def __init__(self, arguments: list[str], stdout: int = subprocess.DEVNULL) -> None:
        self._process = subprocess.Popen(
            arguments, stdout=stdout, stderr=subprocess.DEVNULL, text=True
        )

    @contextmanager
    def _closed_upon_failure(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.push(self)
            yield
            stack.pop_all()

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
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:  # the server stopped, and the program waits for it
            self._process.kill()
            self._process.wait()


class Recorder(_Program):
    """jack_midi_dump, which tells what it sees as it sees it.

    A message that comes while it prints the one before is told with the next one only. So it is
    given a tick to hear, which is left out again here.
    """

    INPUT = "recorder:input"

    def __init__(self, patchbay: Patchbay) -> None:
        tick = [str(round(_TICK_S * RATE_HZ)), "0", str(_TICK_PITCH), "64"]
        self._ticker = _Program(["jack_midiseq", "ticker", *tick])
        super().__init__(["stdbuf", "-oL", "jack_midi_dump", "-a", "recorder"], subprocess.PIPE)
        self._seen: list[Seen] = []
        self._ticks = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        with self._closed_upon_failure():
            patchbay.connect("ticker:out", self.INPUT)

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
        super().__exit__(kind, error, traceback)
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._ticker.__exit__(kind, error, traceback)

    def forget(self) -> None:
        """Begin anew."""
        self.wait_for_everything()
        self._seen.clear()

    def seen(self) -> list[Seen]:
        """Return everything so far."""
        return self._seen.copy()

    def wait_for_everything(self) -> None:
        """Return when all that was sent before has been told."""
        before = self._ticks
        # The first tick from now on may have been sent already; a tick is two messages.
        wait_until(lambda: self._ticks > before + 4, "the recorder has caught up", 10)


@contextmanager
def patched_recorder() -> Iterator[tuple[Patchbay, Recorder]]:
    """Run a server with a patchbay and a recorder that is seen to hear.

    A synchronous server stops now and then, for good, when clients come and go; if it does so
    before anything of ours was started, another one is taken.
    """
    for attempts_left in (2, 1, 0):
        with ExitStack() as stack:
            stack.enter_context(running_jack_server())
            try:
                bay = stack.enter_context(closing(Patchbay()))
                recorder = stack.enter_context(Recorder(bay))
                recorder.wait_for_everything()
            except AssertionError:
                if not attempts_left:
                    raise
                continue
            yield bay, recorder
            return


class Player(_Program):
    """jack_midiseq, which plays keys on the first channel, at one velocity."""

    def __init__(self, patchbay: Patchbay, keys: Sequence[Key], *sinks: str) -> None:
        words = [
            str(round(seconds * RATE_HZ)) if isinstance(seconds, float) else str(seconds)
            for key in keys
            for seconds in (key.start_s + LEAD_IN_S, key.pitch, key.length_s)
        ]
        super().__init__(["jack_midiseq", "player", str(_LOOP_S * RATE_HZ), *words])
        with self._closed_upon_failure():
            for sink in sinks:
                patchbay.connect("player:out", sink)
