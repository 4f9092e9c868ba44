"""A player and a recorder that are not ours: those of alsa-utils."""

import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import mido

from tests.support.running_daemon import wait_until
from tests.support.wire import Seen

_READY_S = 10.0


def play(file: Path, sink: str) -> subprocess.Popen[bytes]:
    """Start aplaymidi, which ends by itself."""
    return subprocess.Popen(["aplaymidi", "--delay", "0", "--port", sink, str(file)])


class Recorder:
    """arecordmidi, whose file can be read when the block has been left."""

    def __init__(self, source: str, file: Path) -> None:
        self._file = file
        self._source = source
        self._process = subprocess.Popen(["arecordmidi", "--port", source, str(file)])

    def __enter__(self) -> Self:
        wait_until(self._listens, f"arecordmidi listens to {self._source}", _READY_S)
        return self

    def _listens(self) -> bool:
        clients = Path("/proc/asound/seq/clients").read_text()
        assert self._process.poll() is None, f"arecordmidi cannot listen to {self._source}"
        return bool(re.search(r'"arecordmidi"[^"]*"[^"]*"[^"]*Connected From', clients))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.send_signal(signal.SIGINT)  # upon which it writes its file
        self._process.wait(_READY_S)

    def seen(self) -> list[Seen]:
        """Return what was recorded."""
        now_s = 0.0
        seen = []
        for message in mido.MidiFile(self._file):
            now_s += message.time
            if not message.is_meta:
                seen.append(Seen(now_s, bytes(message.bytes())))
        return seen


class Monitor:
    """aseqdump, which tells what it sees as it sees it."""

    _LINE = re.compile(r"Note (on|off)\s+(\d+), note (\d+), velocity (\d+)")

    def __init__(self, source: str) -> None:
        self._process = subprocess.Popen(
            ["stdbuf", "-oL", "aseqdump", "--port", source], stdout=subprocess.PIPE, text=True
        )
        self._seen: list[Seen] = []
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        assert first.startswith("Waiting for data"), f"aseqdump cannot listen: {first}"
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            match = self._LINE.search(line)
            if match is not None:
                status = (0x90 if match[1] == "on" else 0x80) | int(match[2])
                data = bytes([status, int(match[3]), int(match[4])])
                self._seen.append(Seen(time.monotonic(), data))

    def seen(self) -> list[Seen]:
        """Return the notes so far."""
        return self._seen.copy()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(_READY_S)
        self._reader.join(_READY_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
