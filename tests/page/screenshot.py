"""The README's picture: the page in the middle of an answer: python -m tests.page.screenshot."""

import argparse
import tempfile
import time
from pathlib import Path

from daemon.settings import EngineSettings
from tests.support.browser import running_browser
from tests.support.running_daemon import running_daemon

WIDTH, HEIGHT = 1280, 800
PHRASE_S = 9.0  # of the opening, before it stops and the Performer goes on
ANSWER_S = 6.5
TAKES_S = 40.0


def main() -> None:
    """Have an opening played in, and take the picture while it is answered."""
    parser = argparse.ArgumentParser(prog="python -m tests.page.screenshot", description=__doc__)
    parser.add_argument("--model", type=Path, default=Path(EngineSettings().model))
    parser.add_argument("--picture", type=Path, default=Path("docs/figures/page.png"))
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_daemon(Path(folder), options.model, page=True, length=TAKES_S, seed=1) as daemon,
        running_browser() as browser,
    ):
        browser.look(WIDTH, HEIGHT)
        browser.open(daemon.page)
        browser.click("#opening-play")
        time.sleep(PHRASE_S)
        browser.click("#play-in-stop")
        browser.mouse("mouseMoved", (WIDTH // 2, 20))  # onto nothing
        daemon.wait_for_state("performing")
        time.sleep(ANSWER_S)
        browser.picture(options.picture)


if __name__ == "__main__":
    main()
