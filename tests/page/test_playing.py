"""Mouse, fingers and the computer's keys play; the answer is seen and heard; a key takes over."""

import time

import pytest

from tests.page.playing import AUDIBLE, KEYS, Heard, answer, loudest, wait_for_answer
from tests.support.browser import Browser
from tests.support.running_daemon import RunningDaemon


def test_the_mouse_plays_and_is_louder_near_the_edge(
    browser: Browser, daemon: RunningDaemon
) -> None:
    heard = Heard(daemon)

    for pitch, depth in ((60, 0.1), (64, 0.65), (67, 0.95)):
        browser.mouse("mousePressed", browser.point_on_key(pitch, depth))
        heard.wait_until_down({pitch})
        browser.mouse("mouseReleased", browser.point_on_key(pitch, depth))
        heard.wait_until_down(set())

    struck = heard.struck()
    assert set(struck) == {60, 64, 67}
    assert struck[60] < 45 < struck[64] < struck[67]
    assert struck[67] > 100
    wait_for_answer(browser, daemon)


def test_a_mouse_that_is_dragged_glides(browser: Browser, daemon: RunningDaemon) -> None:
    heard = Heard(daemon)

    browser.mouse("mousePressed", browser.point_on_key(60, 0.9))
    for pitch in (62, 64, 65):
        browser.mouse("mouseMoved", browser.point_on_key(pitch, 0.9))
        heard.wait_until_down({pitch})
    browser.mouse("mouseReleased", browser.point_on_key(65, 0.9))

    heard.wait_until_down(set())
    assert list(heard.struck()) == [60, 62, 64, 65]


def test_the_computers_keys_play_and_the_space_bar_is_the_pedal(
    browser: Browser, daemon: RunningDaemon
) -> None:
    heard = Heard(daemon)

    browser.press("z", "q", "2")
    browser.hold(" ")
    browser.hold("w")
    heard.wait_until_down({62})
    browser.let_go("w")
    browser.let_go(" ")

    heard.wait_until_down(set())
    assert list(heard.struck()) == [48, 60, 61, 62]
    heard.wait_until_pedal_did([True, False])
    wait_for_answer(browser, daemon)


def test_the_octave_is_shifted_and_the_hints_with_it(
    browser: Browser, daemon: RunningDaemon
) -> None:
    heard = Heard(daemon)
    assert browser.key(60).text.split() == ["Q", "C4"]

    browser.click("#octave-up")
    browser.press("q")

    heard.wait_until_down(set())
    assert list(heard.struck()) == [72]
    assert browser.key(72).text.split() == ["Q", "C5"]
    assert browser.text("#octave") == "Keys from C4"


def test_the_pedal_has_a_button_for_fingers(browser: Browser, daemon: RunningDaemon) -> None:
    browser.look(360, 740, touch=True)
    browser.ask("document.getElementById('pedal').scrollIntoView()")
    heard = Heard(daemon)

    browser.touch("touchStart", pedal=browser.ask(_middle_of("document.getElementById('pedal')")))
    heard.wait_until_pedal_did([True])
    browser.touch("touchEnd")

    heard.wait_until_pedal_did([True, False])


def test_fingers_play_chords(browser: Browser, daemon: RunningDaemon) -> None:
    browser.look(1280, 800, touch=True)
    browser.ask("document.getElementById('keyboard').scrollIntoView()")
    heard = Heard(daemon)

    key = "p.hands.keyboard.keys.get({})"
    c, e, g = (browser.ask(_middle_of(key.format(pitch))) for pitch in (60, 64, 67))
    browser.touch("touchStart", c=c, e=e, g=g)
    heard.wait_until_down({60, 64, 67})
    browser.touch("touchEnd", e=e)
    heard.wait_until_down({60, 67})
    browser.touch("touchEnd", c=c, g=g)
    heard.wait_until_down(set())

    wait_for_answer(browser, daemon)


def _middle_of(element: str) -> str:
    return (
        "(({x, y, width, height}) => [x + width / 2, y + height * 0.8].map(Math.round))"
        f"({element}.getBoundingClientRect())"
    )


def test_the_keyboard_can_be_played_by_whoever_only_tabs(
    browser: Browser, daemon: RunningDaemon
) -> None:
    heard = Heard(daemon)

    browser.ask("p.hands.keyboard.focused.focus()")
    browser.press("\ue014", "\ue007")  # right arrow, then Enter

    heard.wait_until_down(set())
    assert list(heard.struck()) == [61]


def test_an_answer_is_seen_and_heard(browser: Browser, daemon: RunningDaemon) -> None:
    browser.press(*KEYS, hold_s=0.3)  # long enough to be found in the roll
    wait_for_answer(browser, daemon)

    assert loudest(browser) > AUDIBLE
    assert browser.text("#state-name") == "Playing"
    assert browser.ask("p.score.handovers.length") == 1
    assert _painted(browser, "player") > 100
    assert _painted(browser, "performer") > 100


def _painted(browser: Browser, by: str) -> int:
    """Return how many pixels of the roll have a colour of one of the two."""
    return int(
        browser.ask(
            f"""(() => {{
            const {{canvas, pen, shades}} = p.roll;
            const wanted = new Set(shades.{by}.map((shade) => shade.match(/\\d+/g).join()));
            const {{data}} = pen.getImageData(0, 0, canvas.width, canvas.height);
            let found = 0;
            for (let at = 0; at < data.length; at += 4)
              if (wanted.has(`${{data[at]}},${{data[at + 1]}},${{data[at + 2]}}`)) found += 1;
            return found;
            }})()"""
        )
    )


def test_what_is_planned_is_there_before_it_sounds(browser: Browser, daemon: RunningDaemon) -> None:
    browser.press(*"qwe")

    browser.wait_for(
        "p.score.planned.some(({onS}) => onS > p.clock.sessionS() + 0.05)",
        "a note stands ahead of the line of now",
    )


def test_a_key_takes_over(browser: Browser, daemon: RunningDaemon) -> None:
    answer(browser, daemon)

    browser.hold("q")
    daemon.wait_for_state("capturing")
    browser.wait_for("p.sound.answer.turn === null", "the answer is withdrawn")

    assert browser.ask("p.sound.answer.strings.down.size") == 0
    assert browser.ask("p.score.planned.length") == 0
    browser.let_go("q")


@pytest.mark.parametrize("button", ["perform", "stop"])
def test_buttons_begin_and_end_an_answer(
    browser: Browser, daemon: RunningDaemon, button: str
) -> None:
    browser.press("q")

    browser.click('[data-command="perform"]')
    wait_for_answer(browser, daemon)
    if button == "stop":
        browser.click('[data-command="stop"]')
        daemon.wait_for_state("listening")


def test_escape_is_panic(browser: Browser, daemon: RunningDaemon) -> None:
    answer(browser, daemon)

    browser.press("\ue00c")

    daemon.wait_for_state("listening")
    time.sleep(0.1)
    assert browser.ask("p.sound.output.level()") < AUDIBLE
