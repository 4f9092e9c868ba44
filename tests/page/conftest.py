"""A daemon with a page, and a browser on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.browser import Browser, browser_program, running_browser
from tests.support.running_daemon import RunningDaemon, running_daemon

NO_BROWSER = "no Chromium with its driver here; `make test-page` needs it"
PATIENCE = 3.0  # a browser, a daemon and a model share what is often two cores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.page)
        item.add_marker(pytest.mark.processes)
        if browser_program() is None:
            item.add_marker(pytest.mark.skip(reason=NO_BROWSER))


@pytest.fixture(scope="module")
def daemon(
    tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path
) -> Iterator[RunningDaemon]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JACK_DEFAULT_SERVER", "none-of-this-name")  # others' servers are not for us
        folder = tmp_path_factory.mktemp("daemon")
        with running_daemon(folder, tiny_model_folder, PATIENCE, page=True, length=20) as started:
            yield started


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with running_browser(PATIENCE) as started:
        yield started


@pytest.fixture
def browser(window: Browser, daemon: RunningDaemon) -> Iterator[Browser]:
    """Return the page, freshly loaded, with a Performer that listens and remembers nothing."""
    window.driver.get("about:blank")  # whatever a test has left there is let go
    daemon.ask("panic")
    daemon.ask("reset")
    daemon.wait_for_state("listening")
    window.look(1280, 800)
    window.open(daemon.page)
    daemon.events()
    window.complaints()
    yield window
    assert window.complaints() == []
