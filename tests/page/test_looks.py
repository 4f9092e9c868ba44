"""How the page looks, to eyes and to those who use none; and how little it weighs."""

import time
from pathlib import Path
from typing import Any

import pytest
from axe_core_python.selenium import Axe

from tests.page.playing import answer
from tests.support.browser import Browser
from tests.support.running_daemon import RunningDaemon

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "daemon" / "page" / "static"
PICTURES = ROOT / "build" / "page"
MOST_SCRIPT_AND_STYLE = 150_000
MOST_SAMPLES = 6_000_000
SIZES = ((360, 740), (1280, 800), (2560, 1440))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
def test_it_is_usable_at_every_width(
    browser: Browser, daemon: RunningDaemon, size: tuple[int, int], *, dark: bool
) -> None:
    width, height = size
    browser.look(width, height, dark=dark, touch=width < 500)
    answer(browser, daemon)
    time.sleep(3)

    browser.picture(PICTURES / f"{width}-{'dark' if dark else 'light'}.png")

    assert browser.ask("document.documentElement.scrollWidth") <= width
    for selector in ("#roll", "#keyboard-scroll", "#commands", "#panic", "#steering-first"):
        box = browser.element(selector).rect
        assert box["width"] > 20
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nobody_is_kept_out(browser: Browser, *, dark: bool) -> None:
    browser.look(1280, 800, dark=dark)
    for details in browser.driver.find_elements("css selector", "details summary"):
        details.click()

    found = Axe().run(browser.driver)["violations"]

    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [_told(each) for each in serious] == []


def _told(violation: dict[str, Any]) -> str:
    places = ", ".join(str(node["target"]) for node in violation["nodes"][:3])
    return f"{violation['id']}: {violation['help']} ({places})"


def test_the_focus_can_be_seen(browser: Browser) -> None:
    browser.press("\ue004")  # tab

    outline = browser.ask("getComputedStyle(document.activeElement).outlineWidth")

    assert browser.ask("document.activeElement.tagName") == "BUTTON"
    assert outline == "3px"


def test_it_weighs_little() -> None:
    own = [path for kind in ("*.js", "*.css", "*.html", "*.svg") for path in STATIC.rglob(kind)]

    assert sum(path.stat().st_size for path in own) <= MOST_SCRIPT_AND_STYLE
    samples = sum(path.stat().st_size for path in (STATIC / "samples").iterdir())
    assert samples <= MOST_SAMPLES


def test_nothing_comes_from_anywhere_else(browser: Browser, daemon: RunningDaemon) -> None:
    browser.wait_for("p.sound.piano.share === 1", "everything is loaded")
    loaded = browser.ask("performance.getEntriesByType('resource').map(({name}) => name)")

    assert len(loaded) > 60
    assert [name for name in loaded if not name.startswith(daemon.page)] == []
