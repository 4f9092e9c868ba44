"""What the page costs and how exact it is, in a real browser: python -m tests.page.measure."""

import argparse
import base64
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from daemon.bench.results import add_to_json, tell
from daemon.settings import EngineSettings
from tests.page.scripts import ONSET_METER, PRESSES_WATCHED, TWO_THOUSAND_NOTES
from tests.support.browser import Browser, running_browser
from tests.support.running_daemon import RunningDaemon, running_daemon

ROOT = Path(__file__).resolve().parents[2]
PRESSES = 200
TURN_S = 25
FRAMES_S = 5
SIZES = ((1280, 800), (2560, 1440))
CLOCKS_APART = "p.sound.clock.contextS(p.clock.pageMs(0))"
NEAR_S = 0.05  # an onset further from every planned one is none of them


def main() -> None:
    """Measure, tell, and write."""
    parser = argparse.ArgumentParser(prog="python -m tests.page.measure", description=__doc__)
    parser.add_argument("--model", type=Path, default=Path(EngineSettings().model))
    parser.add_argument("--json", type=Path, default=Path("docs/figures/page.json"))
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_daemon(Path(folder), options.model, page=True, length=TURN_S) as daemon,
        running_browser() as browser,
    ):
        found = measured(browser, daemon)
    tell(json.dumps(found, indent=1))
    add_to_json(options.json, {"model": str(options.model)} | found)


def measured(browser: Browser, daemon: RunningDaemon) -> dict[str, Any]:
    """Return all figures."""
    browser.look(*SIZES[0])
    browser.driver.get(daemon.page)
    browser.wait_for("p.sound.piano.share === 1", "the piano is loaded", 60)
    return (
        {"browser": browser.driver.capabilities["browserVersion"]}
        | {"loading": loading(browser)}
        | {"presses": presses(browser, daemon)}
        | {"answer": answer(browser, daemon)}
        | {
            "frames": {
                f"{width} x {height}": frames(browser, width, height) for width, height in SIZES
            }
        }
    )


def loading(browser: Browser) -> dict[str, Any]:
    """Return what was loaded, and when the page could be played."""
    entries = browser.ask(
        "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
        ".map(({name, encodedBodySize}) => [name, encodedBodySize])"
    )
    samples = sum(size for name, size in entries if "/samples/" in name)
    ready = browser.ask("performance.getEntriesByName('performer-ready')[0].startTime")
    return {
        "bytes": sum(size for _, size in entries) - samples,
        "bytes_of_samples": samples,
        "interactive_ms": round(ready),
        "first_sample_ms": round(
            browser.ask("performance.getEntriesByName('performer-first-sample')[0].startTime")
        ),
    }


def presses(browser: Browser, daemon: RunningDaemon) -> dict[str, Any]:
    """Press keys; return when each was heard here, and when by the daemon."""
    browser.driver.execute_script(PRESSES_WATCHED)
    daemon.ask("set", trigger=[])  # nobody answers meanwhile
    for number in range(PRESSES):
        browser.press("qwertyu"[number % 7], hold_s=0.05)
        time.sleep(0.12)
    found = browser.driver.execute_script("return window.watched")
    daemon.ask("set", trigger=["silence"])
    return {
        "count": len(found["soundMs"]),
        "audio_buffer_ms": round(browser.ask("p.sound.output.context.baseLatency * 1000"), 1),
        "to_sound_ms": percentiles(found["soundMs"]),
        "to_note_event_ms": percentiles(found["noteMs"]),
        "to_note_event_seen_by_page_ms": percentiles(found["seenMs"]),
    }


def answer(browser: Browser, daemon: RunningDaemon) -> dict[str, Any]:
    """Let the Performer play; return how far ahead notes came and how exactly they sounded."""
    browser.command("Page.setBypassCSP", enabled=True)  # the meter below is no file of the page's
    browser.driver.refresh()
    browser.wait_for("p.sound.piano.share === 1", "the piano is loaded", 60)
    encoded = base64.b64encode(ONSET_METER["worklet"].encode()).decode()
    browser.driver.execute_async_script(ONSET_METER["page"], encoded)
    browser.press(*"qwertytrewq")
    daemon.wait_for_state("performing")
    time.sleep(1)
    began_s = browser.ask(CLOCKS_APART)
    time.sleep(TURN_S - 3)
    moved_s = browser.ask(CLOCKS_APART) - began_s
    heard, planned, leads = browser.ask("[p.onsets, p.sound.answer.begun, p.sound.answer.leadsMs]")
    shift_s = browser.ask("p.sound.answer.shiftS")
    onsets = [
        min((onset - at_s for onset in heard), key=lambda shift: abs(shift - shift_s))
        for at_s in sorted({at_s for at_s, _ in planned})
        if at_s + shift_s < heard[-1] - NEAR_S
    ]
    near = [onset for onset in onsets if abs(onset - shift_s) < NEAR_S]
    # A turn is shifted as a whole; what would be heard is what differs from note to note.
    usual = statistics.median(near)
    errors = [1000 * abs(onset - usual) for onset in near]
    gaps = [1000 * abs(later - sooner) for sooner, later in itertools.pairwise(near)]
    return {
        "notes": len(leads),
        "lead_ms": percentiles(leads, (50, 5, 1)) | {"least": round(min(leads), 1)},
        "shift_of_the_turn_ms": round(browser.ask("p.sound.answer.delayS") * 1000, 1),
        "onsets": len(near),
        "onsets_not_found": len(onsets) - len(near),
        "onset_error_ms": percentiles(errors) | {"most": round(max(errors), 2)},
        "interval_error_ms": percentiles(gaps) | {"most": round(max(gaps), 2)},
        # A device that runs dry loses time, and whoever listens hears all that follows later.
        "audio_clock_moved_ms": round(1000 * moved_s, 2),
    }


def frames(browser: Browser, width: int, height: int) -> dict[str, Any]:
    """Return how smoothly the roll flows with 2,000 notes in sight."""
    browser.look(width, height)
    browser.driver.set_script_timeout(60)
    times: list[float] = browser.driver.execute_async_script(TWO_THOUSAND_NOTES, FRAMES_S)
    drawn = browser.ask(f"p.roll.drawnMs.slice(-{len(times)})")
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    return {
        "notes": browser.ask("p.score.notes.length"),
        "frames_per_s": round(1000 / statistics.mean(gaps), 1),
        "longest_gap_ms": round(max(gaps), 1),
        "drawing_ms": percentiles(drawn),
    }


def percentiles(values: list[float], percents: tuple[int, ...] = (50, 95, 99)) -> dict[str, float]:
    """Return what so many in a hundred of the values do not exceed."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {f"p{percent}": round(cuts[percent - 1], 2) for percent in percents}


if __name__ == "__main__":
    main()
