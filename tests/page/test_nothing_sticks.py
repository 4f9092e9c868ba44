"""However a hand leaves the page, the daemon's keys come up."""

import pytest

from tests.page.playing import Heard
from tests.support.browser import Browser
from tests.support.running_daemon import RunningDaemon

CHORD = {60, 64, 67}


def hold_chord(browser: Browser, heard: Heard) -> None:
    for letter in "qet":
        browser.hold(letter)
    heard.wait_until_down(CHORD)


@pytest.mark.parametrize(
    "leaving",
    [
        "window.dispatchEvent(new Event('blur'))",
        "p.connection.socket.close()",
        "location.reload()",
        "location.assign('about:blank')",
    ],
)
def test_keys_come_up_when_the_hands_are_gone(
    browser: Browser, daemon: RunningDaemon, leaving: str
) -> None:
    heard = Heard(daemon)
    hold_chord(browser, heard)
    browser.hold(" ")
    heard.wait_until_pedal_did([True])

    browser.driver.execute_script(f"const p = document.getElementById('page').performer; {leaving}")

    heard.wait_until_down(set())
    heard.wait_until_pedal_did([True, False])
    for letter in "qet ":
        browser.let_go(letter)


def test_two_tabs_hold_one_key_until_both_have_let_go(
    browser: Browser, daemon: RunningDaemon
) -> None:
    heard = Heard(daemon)
    driver = browser.driver
    first = driver.current_window_handle
    browser.ask("p.hands.held.press('midi', 60, 80)")
    heard.wait_until_down({60})
    driver.switch_to.new_window("tab")
    browser.open(daemon.page)
    browser.ask("p.hands.held.press('midi', 60, 80)")
    browser.ask("p.hands.held.press('midi', 62, 80)")
    heard.wait_until_down({60, 62})

    driver.close()  # the second
    driver.switch_to.window(first)
    heard.wait_until_down({60})
    browser.ask("p.hands.held.release('midi', 60)")
    heard.wait_until_down(set())

    assert [told["event"] for told in heard.events if told.get("pitch") == 60] == [
        "note_on", "note_off",
    ]  # fmt: skip


def test_another_button_of_the_mouse_plays_nothing(browser: Browser, daemon: RunningDaemon) -> None:
    heard = Heard(daemon)
    x, y = browser.point_on_key(60, 0.9)
    for kind in ("mousePressed", "mouseReleased"):
        browser.command(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="right", clickCount=1
        )
    browser.press("w")

    heard.wait_until_down(set())
    assert list(heard.struck()) == [62]


def test_letters_that_are_typed_play_nothing(browser: Browser, daemon: RunningDaemon) -> None:
    heard = Heard(daemon)
    browser.click("#parameter-temperature")
    browser.press("q", "2")
    browser.ask("document.activeElement.blur()")
    browser.press("w")

    heard.wait_until_down(set())
    assert list(heard.struck()) == [62]
