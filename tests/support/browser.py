"""A real browser without a window, driven as a person would: the system's Chromium."""

import base64
import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_QUIET = (
    "headless",
    "no-sandbox",  # the tests' container has no user namespaces
    "disable-gpu",
    "disable-quic",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
    "disable-features=BackForwardCache",  # pages that were left would keep their samples
    "hide-scrollbars",
    "autoplay-policy=no-user-gesture-required",
)
PAGE = "document.getElementById('page').performer"


def browser_program() -> str | None:
    """Return where the browser is, if it and its driver are installed."""
    found = [path for path in map(shutil.which, BROWSERS) if path]
    return found[0] if found and shutil.which("chromedriver") else None


class Browser:
    """One window on the page."""

    def __init__(self, driver: webdriver.Chrome, patience: float = 1.0) -> None:
        self.driver = driver
        self.patience = patience

    def open(self, address: str) -> None:
        """Load the page; return when it is connected and its middle samples are there."""
        self.driver.get(address)
        self.wait_for("p.connection.isOpen && p.steering.made !== null", "the page is connected")
        self.wait_for("p.sound.piano.share > 0.3", "the piano is loaded")

    def ask(self, expression: str) -> Any:
        """Return what an expression is worth in the page; `p` is the page's own object."""
        return self.driver.execute_script(f"const p = {PAGE}; return ({expression})")

    def wait_for(self, expression: str, what: str, timeout_s: float = 20.0) -> Any:
        """Return the expression's worth as soon as it is true; fail after `timeout_s`."""
        return wait_for(lambda: self.ask(expression), what, timeout_s * self.patience)

    def element(self, selector: str) -> WebElement:
        """Return the first element that a CSS selector finds."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """Return the words of an element."""
        return str(self.element(selector).text)

    def click(self, selector: str) -> None:
        """Press a button with the mouse."""
        self.element(selector).click()

    def key(self, pitch: int) -> WebElement:
        """Return a key of the keyboard on the screen."""
        return self.element(f'[data-pitch="{pitch}"]')

    def point_on_key(self, pitch: int, depth: float) -> tuple[int, int]:
        """Return a point of a white key: `depth` 0 is its far end, 1 its near one."""
        box = self.key(pitch).rect
        return round(box["x"] + box["width"] / 2), round(box["y"] + box["height"] * depth)

    def mouse(self, kind: str, at: tuple[int, int]) -> None:
        """Do with the mouse what `kind` says: mousePressed, mouseMoved, mouseReleased."""
        self.command(
            "Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1
        )

    def touch(self, kind: str, **fingers: tuple[int, int]) -> None:
        """Do with fingers, by name, what `kind` says: touchStart, touchMove, touchEnd."""
        points = [{"x": x, "y": y, "id": ord(name[0])} for name, (x, y) in fingers.items()]
        self.command("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    def press(self, *letters: str, hold_s: float = 0.12) -> None:
        """Press keys of the computer, one after another."""
        for letter in letters:
            self.hold(letter)
            time.sleep(hold_s)
            self.let_go(letter)

    def hold(self, letter: str) -> None:
        """Press a key of the computer and keep it down."""
        ActionChains(self.driver, duration=0).key_down(letter).perform()

    def let_go(self, letter: str) -> None:
        """Let a key of the computer come up."""
        ActionChains(self.driver, duration=0).key_up(letter).perform()

    def command(self, name: str, **arguments: Any) -> Any:
        """Send a command of the browser's own protocol."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def look(self, width: int, height: int, *, dark: bool = False, touch: bool = False) -> None:
        """Give the window a size and the system a wish."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=touch,
        )
        self.command("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])
        time.sleep(0.3)  # until it is drawn anew

    def picture(self, path: Path) -> None:
        """Write what the window shows."""
        shot = self.command("Page.captureScreenshot", format="png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[str]:
        """Return what went wrong in the page's scripts since the last call."""
        return [
            line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"
        ]


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float) -> Any:
    """Return what the condition returns as soon as that is true; fail after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while not (worth := condition()):
        if time.monotonic() > deadline_s:
            raise AssertionError(f"waited {timeout_s:g} s in vain until {what}")
        time.sleep(0.02)
    return worth


@contextlib.contextmanager
def running_browser(patience: float = 1.0) -> Iterator[Browser]:
    """Start a browser that remembers nothing, and end it."""
    program = browser_program()
    assert program is not None, "no Chromium: apt-get install chromium chromium-driver"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = program
        for flag in (*_QUIET, f"user-data-dir={profile}"):
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # With the driver named, selenium looks for none and downloads none.
        service = Service(shutil.which("chromedriver"))
        driver = webdriver.Chrome(options=options, service=service)
        try:
            yield Browser(driver, patience)
        finally:
            driver.quit()
