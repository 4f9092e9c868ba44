"""Parameters and commands on the page are those of the daemon, and move with it."""

from pathlib import Path

from tests.page.conftest import PATIENCE
from tests.support.browser import Browser, wait_for
from tests.support.running_daemon import RunningDaemon, running_daemon

UP = "\ue013"


def parameter(daemon: RunningDaemon, name: str) -> object:
    return daemon.ask("get", names=[name])["parameters"][name]


def type_into(browser: Browser, name: str, text: str) -> None:
    field = browser.element(f"#parameter-{name}")
    field.clear()
    field.send_keys(text + "\n")


def test_there_is_a_control_for_every_parameter_of_the_schema(
    browser: Browser, daemon: RunningDaemon
) -> None:
    rows = daemon.ask("schema")["parameters"]

    controls = browser.ask("[...p.steering.controls.keys()]")

    assert sorted(controls) == sorted(rows)
    shown = browser.ask("document.getElementById('steering-first').children.length")
    assert shown == 5
    for row in rows.values():
        assert browser.ask(f"document.body.textContent.includes({row['description']!r})")


def test_a_value_that_is_typed_is_the_daemons(browser: Browser, daemon: RunningDaemon) -> None:
    type_into(browser, "temperature", "0.7")
    wait_for(lambda: parameter(daemon, "temperature") == 0.7, "temperature is 0.7", 10)

    browser.click('[aria-label^="Reset Temperature"]')
    wait_for(lambda: parameter(daemon, "temperature") == 1.0, "temperature is 1 again", 10)


def test_a_slider_steers(browser: Browser, daemon: RunningDaemon) -> None:
    slider = browser.element('#steering-first input[type="range"]')
    slider.send_keys(UP * 5)

    wait_for(lambda: parameter(daemon, "temperature") != 1.0, "temperature has moved", 10)
    daemon.ask("set", temperature=1.0)


def test_what_is_not_allowed_is_refused_in_words(browser: Browser, daemon: RunningDaemon) -> None:
    type_into(browser, "temperature", "9")

    browser.wait_for(
        "p.steering.controls.get('temperature').error.textContent.includes('0.1 to 2')",
        "the refusal is told",
    )
    assert parameter(daemon, "temperature") == 1.0
    assert browser.element("#parameter-temperature").get_attribute("value") == "1"


def test_a_choice_a_list_and_nothing_are_set(browser: Browser, daemon: RunningDaemon) -> None:
    browser.click("#more summary")

    browser.click('input[name="parameter-length_unit"][value="notes"]')
    wait_for(lambda: parameter(daemon, "length_unit") == "notes", "notes are counted", 10)
    browser.click('input[name="parameter-trigger"][value="silence"]')
    wait_for(lambda: parameter(daemon, "trigger") == [], "nothing but commands begins", 10)
    none = browser.element("#steering-more .control:has(#parameter-held_after_s) .none input")
    none.click()
    wait_for(lambda: parameter(daemon, "held_after_s") is None, "no held chord is an end", 10)

    daemon.ask("set", length_unit="seconds", trigger=["silence"], held_after_s=4.0)


def test_what_another_client_changes_moves_here(browser: Browser, daemon: RunningDaemon) -> None:
    daemon.ask("set", top_p=0.5)
    browser.wait_for("document.getElementById('parameter-top_p').value === '0.5'", "it moves")

    daemon.ask("set", top_p=0.99)
    browser.wait_for("document.getElementById('parameter-top_p').value === '0.99'", "it is back")


def test_there_is_a_button_for_every_command_that_needs_nothing(
    browser: Browser, daemon: RunningDaemon
) -> None:
    rows = daemon.ask("schema")["commands"]
    wanted = {
        name for name, row in rows.items() if row["answers"] == "state" and row["at_least"] == 0
    } - {"state", "panic", "shutdown"}

    names = browser.ask(
        "[...document.querySelectorAll('[data-command]')].map((each) => each.dataset.command)"
    )

    assert set(names) == wanted
    assert names[:2] == ["perform", "stop"]


def test_a_preset_is_a_button_that_is_pressed_while_it_is_so(
    tmp_path: Path, tiny_model_folder: Path, window: Browser
) -> None:
    presets = {"calm": {"temperature": 0.8, "scale": ["d", "dorian"]}, "wild": {"temperature": 1.5}}
    with running_daemon(
        tmp_path, tiny_model_folder, PATIENCE, page=True, sections={"presets": presets}
    ) as daemon:
        window.look(1280, 800)
        window.open(daemon.page)
        calm, wild = window.driver.find_elements("css selector", "#presets button")

        calm.click()
        wait_for(lambda: parameter(daemon, "scale") == ["d", "dorian"], "the scale is set", 10)
        wait_for(lambda: calm.get_attribute("aria-pressed") == "true", "it is pressed", 10)
        daemon.ask("preset", name="wild")
        wait_for(lambda: wild.get_attribute("aria-pressed") == "true", "the other is", 10)
        assert calm.get_attribute("aria-pressed") == "false"
        window.driver.get("about:blank")
