"""Fixtures that several test files share."""

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.jack_server import running_jack_server

# How long an example takes is the machine's affair.
settings.register_profile("performer", deadline=None)
settings.load_profile("performer")

# `make test &` in a script: a shell lets such programs ignore SIGINT, and all that they start
# inherits that; but some tests end programs by this very signal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model folder with small random weights, exported once."""
    from tests.support.make_model import make_model_folder  # noqa: PLC0415 - loads torch, slowly

    return make_model_folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def jack_server() -> Iterator[None]:
    """Run a JACK server of our own, fresh for each file of tests, and make it the default one."""
    with running_jack_server():
        yield


@pytest.fixture(autouse=True)
def _processes_are_announced(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that starts processes and does not say so: `make test-fast` leaves those out."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
    yield
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
    says_so = {mark.name for mark in request.node.iter_markers()} & {
        "alsa",
        "jack",
        "page",
        "processes",
    }
    assert says_so or after == before, "it starts processes: mark it with `processes`"
