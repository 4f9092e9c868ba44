"""Fixtures that several test files share."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

WITH_JACK = Path(__file__).parent / "tools" / "with_jack.sh"
JACK_SERVER = "performer-test"  # the name that with_jack.sh gives


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model folder with small random weights, exported once."""
    from tests.make_model import make_model_folder  # noqa: PLC0415 - loads torch, slowly

    return make_model_folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def jack_server() -> Iterator[None]:
    """Run a JACK server of our own, fresh for each file of tests, and make it the default one."""
    before = dict(os.environ)
    with subprocess.Popen(
        [str(WITH_JACK), "sh", "-c", "echo ready; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n", "no JACK server: see the message above"
        os.environ |= {
            "JACK_DEFAULT_SERVER": JACK_SERVER,
            "JACK_NO_START_SERVER": "1",
            "JACK_NO_AUDIO_RESERVATION": "1",
        }
        try:
            yield
        finally:
            server.stdin.close()  # `cat` ends, and with it the server
            server.wait(30)
            os.environ.clear()
            os.environ.update(before)
