"""What is heard at the page's output: how loud, when, and how soon it ends."""

import time

import pytest

from tests.page.playing import AUDIBLE, SILENT, answer, loudest
from tests.support.browser import PAGE, Browser
from tests.support.running_daemon import RunningDaemon

# A meter of 5 ms at the output; resolves to the milliseconds from an act until silence stays.
UNTIL_SILENCE = """
const [silent, done] = arguments;
const p = document.getElementById("page").performer;
const meter = new AnalyserNode(p.sound.output.context, { fftSize: 256 });
p.sound.output.switch.connect(meter);
const samples = new Float32Array(256);
const level = () => {
  meter.getFloatTimeDomainData(samples);
  return samples.reduce((peak, each) => Math.max(peak, Math.abs(each)), 0);
};
setTimeout(() => {
  const before = level();
  const beganMs = performance.now();
  let lastMs = beganMs;
  const channel = new MessageChannel();
  channel.port1.onmessage = () => {
    const nowMs = performance.now();
    if (level() > silent) lastMs = nowMs;
    if (nowMs < beganMs + 400) channel.port2.postMessage(null);
    else done([before, lastMs - beganMs]);
  };
  ACT;
  channel.port2.postMessage(null);
}, 100);
"""


def until_silence_ms(browser: Browser, act: str) -> tuple[float, float]:
    """Return the level before an act, and how long after it anything could be heard."""
    browser.driver.set_script_timeout(30)
    script = UNTIL_SILENCE.replace("ACT", act)
    before, ms = browser.driver.execute_async_script(script, SILENT)
    return before, ms


def wait_until_loud(browser: Browser) -> None:
    browser.wait_for(f"p.sound.output.level() > {AUDIBLE}", "the answer sounds")


@pytest.mark.parametrize(
    "act",
    [
        "p.commands.run('stop')",
        "p.commands.run('panic')",
        "document.querySelector('#panic').click()",
    ],
)
def test_a_stop_is_heard_within_50_ms(browser: Browser, daemon: RunningDaemon, act: str) -> None:
    answer(browser, daemon)
    wait_until_loud(browser)

    before, ms = until_silence_ms(browser, act)

    assert before > SILENT
    assert ms <= 50


def test_what_is_withdrawn_is_silent_within_50_ms(browser: Browser, daemon: RunningDaemon) -> None:
    answer(browser, daemon)
    wait_until_loud(browser)

    # The daemon knows nothing of it; what it plans from now on is not to be heard here.
    act = "p.sound.answer.plan = () => {}; p.sound.answer.withdraw()"
    before, ms = until_silence_ms(browser, act)

    assert before > SILENT
    assert ms <= 50


def test_a_key_of_ones_own_sounds_at_once_even_without_the_daemon(browser: Browser) -> None:
    browser.ask("p.connection.socket.close()")

    browser.hold("q")
    level = loudest(browser, 0.5)
    browser.let_go("q")

    assert level > AUDIBLE


def test_what_is_played_here_sounds_once(browser: Browser) -> None:
    browser.hold("q")
    time.sleep(0.5)

    assert browser.ask("p.sound.player.strings.voices.size") == 1
    browser.let_go("q")
    browser.wait_for("p.sound.player.strings.voices.size === 0", "the string is damped")


def test_a_louder_touch_is_louder(browser: Browser) -> None:
    levels = []
    for velocity in (30, 64, 90, 120):
        browser.ask(f"p.hands.held.press('test', 60, {velocity})")
        levels.append(loudest(browser, 0.4))
        browser.ask("p.hands.held.release('test', 60)")
        time.sleep(0.6)

    assert levels == sorted(levels)
    assert levels[0] > SILENT


def test_the_pedal_holds_what_the_key_has_let_go(browser: Browser) -> None:
    browser.hold(" ")
    browser.press("q")
    time.sleep(0.6)
    held = browser.ask("p.sound.output.level()")
    browser.let_go(" ")
    time.sleep(0.8)

    assert held > AUDIBLE
    assert browser.ask("p.sound.output.level()") < SILENT


def test_the_switch_mutes_and_is_remembered(browser: Browser) -> None:
    browser.click("#sound")
    try:
        time.sleep(0.1)
        browser.hold("q")
        assert loudest(browser, 0.4) < SILENT
        browser.let_go("q")
        browser.driver.refresh()
        assert browser.element("#sound").get_attribute("aria-pressed") == "false"
    finally:
        browser.click("#sound")


def test_what_other_clients_play_is_heard_and_seen_here(
    browser: Browser, daemon: RunningDaemon
) -> None:
    daemon.ask("play", events=[{"event": "note_on", "pitch": 72, "velocity": 90}])

    assert loudest(browser, 0.5) > AUDIBLE
    assert "by-player" in browser.key(72).get_attribute("class").split()
    daemon.ask("play", events=[{"event": "note_off", "pitch": 72}])
    browser.wait_for("p.score.sounding.size === 0", "the key is up")


def test_of_two_tabs_the_one_that_was_touched_last_sounds(
    browser: Browser, daemon: RunningDaemon
) -> None:
    driver = browser.driver
    first = driver.current_window_handle
    browser.driver.execute_script(
        f"const {{output}} = {PAGE}.sound; window.said = [];"
        "output.addEventListener('change', () => window.said.push(output.isElsewhere));"
    )
    driver.switch_to.new_window("tab")
    browser.open(daemon.page)
    browser.press("a")  # which plays nothing, and is a touch
    driver.close()
    driver.switch_to.window(first)
    browser.press("a")

    assert browser.text("#sound") == "Sound on"
    assert browser.ask("window.said").count(True) >= 1
    assert browser.ask("window.said.at(-1)") is False
