"""A JACK server of our own, for the tests that play through one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WITH_JACK = Path(__file__).parent / "tools" / "with_jack.sh"
SERVER = "-".join(["performer-test", *filter(None, [os.environ.get("PYTEST_XDIST_WORKER")])])
"""One for each process that runs tests."""
_CLIENT_ENVIRONMENT = {
    "JACK_DEFAULT_SERVER": SERVER,
    "JACK_NO_START_SERVER": "1",
    "JACK_NO_AUDIO_RESERVATION": "1",
}


@contextmanager
def running_jack_server(client_timeout_ms: int = 2000) -> Iterator[None]:
    """Run a server, and make it that of this process and of those that it starts.

    It waits ten times `client_timeout_ms` for a client that does not answer.
    """
    before = dict(os.environ)
    with subprocess.Popen(
        [str(_WITH_JACK), "sh", "-c", "echo ready; exec cat"],
        env=before
        | {"JACK_TEST_SERVER": SERVER, "JACK_TEST_CLIENT_TIMEOUT_MS": str(client_timeout_ms)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n", "no JACK server: see the message above"
        os.environ |= _CLIENT_ENVIRONMENT
        try:
            yield
        finally:
            server.stdin.close()  # `cat` ends, and with it the server
            server.wait(60)
            os.environ.clear()
            os.environ.update(before)
