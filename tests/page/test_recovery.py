"""What dies comes back, and the page says so meanwhile and goes on by itself."""

import os
import signal

from tests.page.playing import Heard, answer
from tests.support.browser import Browser
from tests.support.running_daemon import RunningDaemon


def test_the_pages_process_comes_back_and_the_page_reconnects(
    browser: Browser, daemon: RunningDaemon
) -> None:
    heard = Heard(daemon)
    browser.hold("q")
    heard.wait_until_down({60})

    os.kill(daemon.page_process(), signal.SIGKILL)

    browser.wait_for("!p.connection.isOpen", "the page notices")
    browser.wait_for("document.getElementById('state-name').textContent === 'Away'", "it says so")
    heard.wait_until_down(set())
    browser.let_go("q")
    browser.wait_for("p.connection.isOpen", "the page is connected again", 30)
    browser.wait_for("document.getElementById('state-name').textContent !== 'Away'", "it says so")
    browser.complaints()  # the browser notes each try that found nobody
    answer(browser, daemon)


def test_a_brain_that_dies_is_told_and_comes_back(browser: Browser, daemon: RunningDaemon) -> None:
    answer(browser, daemon)

    os.kill(daemon.brain(), signal.SIGKILL)

    browser.wait_for(
        "document.getElementById('state-name').textContent === 'Not complete'", "the page says so"
    )
    browser.wait_for(
        "document.getElementById('state-sentence').textContent.includes('model')", "it says what"
    )
    assert browser.ask("p.sound.answer.strings.down.size") == 0
    browser.wait_for(
        "document.getElementById('state-name').textContent === 'Listening'", "it is back", 60
    )
    answer(browser, daemon)


def test_a_stage_that_dies_is_told_and_comes_back(browser: Browser, daemon: RunningDaemon) -> None:
    answer(browser, daemon)

    os.kill(daemon.stage(), signal.SIGKILL)

    browser.wait_for("document.getElementById('state-name').textContent === 'Away'", "it says so")
    assert browser.ask("p.sound.answer.strings.down.size") == 0
    browser.wait_for(
        "document.getElementById('state-name').textContent === 'Listening'", "it is back", 60
    )
    answer(browser, daemon)
