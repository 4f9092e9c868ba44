"""What tests of the page do and ask again and again."""

import time
from typing import Any

from tests.support.browser import Browser, wait_for
from tests.support.running_daemon import RunningDaemon

KEYS = "qwert"  # C4 to G4
SILENT = 0.003  # -50 dB: nobody hears that
AUDIBLE = 0.01


class Heard:
    """What the daemon has heard from the player since this was made."""

    def __init__(self, daemon: RunningDaemon) -> None:
        self._daemon = daemon
        daemon.events()
        self.events: list[dict[str, Any]] = []

    def update(self) -> list[dict[str, Any]]:
        """Return all events by the player so far."""
        self.events += [
            told
            for topic, told in self._daemon.events()
            if topic == "note" and told["by"] == "player"
        ]
        return self.events

    def struck(self) -> dict[int, int]:
        """Return the keys that were struck, with their velocities."""
        return {
            told["pitch"]: told["velocity"] for told in self.update() if told["event"] == "note_on"
        }

    def down(self) -> set[int]:
        """Return the keys that are down now."""
        down: set[int] = set()
        for told in self.update():
            if told["event"] == "note_on":
                down.add(told["pitch"])
            elif told["event"] == "note_off":
                down.remove(told["pitch"])
        return down

    def pedal_moves(self) -> list[bool]:
        """Return what the pedal did."""
        return [told["down"] for told in self.update() if told["event"] == "pedal"]

    def wait_until_down(self, pitches: set[int], timeout_s: float = 10.0) -> None:
        """Return as soon as these keys, and no others, are down."""
        wait_for(lambda: self.down() == pitches, f"{pitches} are down", timeout_s)

    def wait_until_pedal_did(self, moves: list[bool], timeout_s: float = 10.0) -> None:
        """Return as soon as the pedal has moved so, and no more."""
        wait_for(lambda: self.pedal_moves() == moves, f"the pedal did {moves}", timeout_s)


def answer(browser: Browser, daemon: RunningDaemon) -> None:
    """Play a phrase on the computer's keys and wait until the answer is there to be seen."""
    browser.press(*KEYS)
    wait_for_answer(browser, daemon)


def wait_for_answer(browser: Browser, daemon: RunningDaemon) -> None:
    """Wait until the Performer's notes are in the roll."""
    daemon.wait_for_state("performing")
    browser.wait_for("p.score.notes.some(({by}) => by === 'performer')", "an answer is in the roll")


def loudest(browser: Browser, seconds: float = 2.0) -> float:
    """Return the highest level at the output for a while."""
    until_s = time.monotonic() + seconds
    level = 0.0
    while time.monotonic() < until_s:
        level = max(level, browser.ask("p.sound.output.level()"))
        time.sleep(0.02)
    return level
