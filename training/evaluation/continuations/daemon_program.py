"""The daemon's own program, run to its end: what plays here is what plays live."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from perceivers.errors import PerformerError

DAEMON = Path(__file__).resolve().parents[3] / "daemon" / "__main__.py"


def run_daemon(arguments: Sequence[str], folder: Path, on_line: Callable[[], object]) -> None:
    """Run the daemon in a folder, where no config.yaml should lie that nobody asked for.

    `on_line` is called for every line that it writes: one for each file that is done. Raises
    PerformerError, with its first reason, when it fails. It never outlives this call.
    """
    with tempfile.TemporaryFile("w+") as errors:
        daemon = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, str(DAEMON), *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=folder,
        )
        assert daemon.stdout is not None
        try:
            with daemon.stdout:
                for _ in daemon.stdout:
                    on_line()
            code = daemon.wait()
        finally:
            daemon.kill()
            daemon.wait()
        errors.seek(0)
        reasons = errors.read().strip().splitlines() or [f"exit code {code}"]
    if code:
        raise PerformerError(f"the daemon could not continue every primer: {reasons[0]}")
