"""A keyboard that the browser sees; here a port that speaks MIDI bytes to the page's listener."""

from tests.page.playing import Heard
from tests.support.browser import Browser
from tests.support.running_daemon import RunningDaemon

PORT = """
navigator.requestMIDIAccess = async () => window.midi;
const keyboard = { name: "Digital Piano", state: "connected", onmidimessage: null };
const ours = { name: "Performer Out", state: "connected", onmidimessage: null };
window.midi = { inputs: new Map([["1", keyboard], ["2", ours]]), onstatechange: null };
window.send = (...bytes) => keyboard.onmidimessage({ data: new Uint8Array(bytes) });
"""


def send(browser: Browser, *messages: tuple[int, int, int]) -> None:
    for message in messages:
        browser.driver.execute_script("window.send(...arguments)", *message)


def test_a_keyboard_that_is_plugged_in_plays(browser: Browser, daemon: RunningDaemon) -> None:
    heard = Heard(daemon)
    browser.driver.execute_script(PORT)
    browser.click("#midi-button")
    browser.wait_for("document.body.textContent.includes('Digital Piano')", "it is taken")

    send(browser, (0x90, 60, 33), (0xB0, 64, 127), (0xB0, 64, 50), (0x93, 64, 99))
    heard.wait_until_down({60, 64})
    send(browser, (0x80, 60, 0), (0x93, 64, 0), (0xB0, 64, 10))
    heard.wait_until_down(set())

    assert heard.struck() == {60: 33, 64: 99}
    heard.wait_until_pedal_did([True, False])
    assert browser.ask("window.midi.inputs.get('2').onmidimessage") is None


def test_what_it_held_comes_up_when_it_is_pulled_out(
    browser: Browser, daemon: RunningDaemon
) -> None:
    heard = Heard(daemon)
    browser.driver.execute_script(PORT)
    browser.click("#midi-button")
    browser.wait_for("p.hands.midi.access !== null", "it is taken")
    send(browser, (0x90, 60, 80))
    heard.wait_until_down({60})

    browser.driver.execute_script("window.midi.inputs.delete('1'); window.midi.onstatechange()")

    heard.wait_until_down(set())


def test_a_browser_without_midi_says_so(browser: Browser) -> None:
    browser.driver.execute_script("navigator.requestMIDIAccess = undefined")

    browser.click("#midi-button")

    browser.wait_for("document.body.textContent.includes('no Web MIDI')", "it is said")


def test_a_browser_that_forbids_midi_says_so(browser: Browser) -> None:
    browser.driver.execute_script(
        "navigator.requestMIDIAccess = () => Promise.reject(new Error('denied'))"
    )

    browser.click("#midi-button")

    browser.wait_for("document.body.textContent.includes('site settings')", "it is said")
