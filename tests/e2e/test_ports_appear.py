"""A MIDI system that comes, and goes, while the daemon plays through its page."""

import subprocess
from pathlib import Path

import pytest

from tests.support.jack_server import SERVER, running_jack_server
from tests.support.page_daemon import Browser, note_off, note_on, page_daemon, wait_until

pytestmark = pytest.mark.jack


@pytest.mark.skipif(Path("/dev/snd/seq").exists(), reason="an ALSA sequencer comes before JACK")
def test_ports_are_taken_when_jack_appears_and_the_page_stays_when_it_ends(tmp_path: Path) -> None:
    with (
        page_daemon(tmp_path, jack=SERVER, trigger=["command"]) as daemon,
        Browser(daemon) as browser,
    ):
        assert browser.of_type("hello")["has_ports"] is False
        with running_jack_server():
            wait_until(lambda: daemon.ask("info")["input"] is not None, "ports appear", daemon)
            listed = subprocess.run(["jack_lsp"], capture_output=True, text=True, check=True)
            assert {"Page In:in", "Page Out:out"} <= {*listed.stdout.split("\n")}
            assert daemon.ask("info")["output"] == "Page Out:out"
            browser.play(note_on(60), note_off(60))
            browser.of_type("event", topic="note", pitch=60)

        hello = browser.of_type("hello", has_ports=False)  # without JACK the stage begins anew
        assert hello["state"]["state"] in ("starting", "listening")
        browser.play(note_on(62), note_off(62))
        browser.of_type("event", topic="note", pitch=62)
