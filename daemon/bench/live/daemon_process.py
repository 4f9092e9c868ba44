"""A daemon as a process, in a folder and at addresses of its own: for who measures or tests it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
ENDS_WITHIN_S = 20.0


def plain_daemon(config: Path) -> list[str]:
    """Return the command that starts a daemon as a user does."""
    return [sys.executable, "-m", "daemon", "--config", str(config)]


class DaemonProcess:
    """Starts a daemon with settings, beside those that keep it apart from any other."""

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Mapping[str, Any]],
        command: Callable[[Path], list[str]] = plain_daemon,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it.

        folder: for its config file and its log.
        settings: by section; those of the control sockets are ours, and there is no page unless
            they ask for one.
        command: what starts a daemon with a config file.
        environment: variables beside our own.
        """
        ports = free_ports(3)
        self.commands, self.events = (f"tcp://127.0.0.1:{port}" for port in ports[:2])
        self.page = f"127.0.0.1:{ports[2]}"
        own = {
            "control": {"commands": self.commands, "events": self.events},
            "page": {"enabled": False, "address": self.page, "open": False}
            | dict(settings.get("page", {})),
        }
        config = folder / "config.yaml"
        config.write_text(json.dumps(dict(settings) | own))  # every JSON document is YAML
        self._log = folder / "daemon.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own program and file names
                command(config),
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | dict(environment or {}),
            )

    @property
    def log(self) -> str:
        """All that it has said so far."""
        return self._log.read_text()

    def end(self, within_s: float = ENDS_WITHIN_S) -> int:
        """End it as a service manager would; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)


def free_ports(count: int) -> list[int]:
    """Return ports of this computer that nobody listens at."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [int(free.getsockname()[1]) for free in sockets]
