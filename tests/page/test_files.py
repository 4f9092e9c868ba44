"""Music that is played in from files, and files that are kept."""

import base64
import io
import itertools
from pathlib import Path

import mido
import pytest

from tests.page.playing import Heard, answer, wait_for_answer
from tests.support.browser import Browser, wait_for
from tests.support.running_daemon import RunningDaemon

DROP = """
const [name, content, done] = arguments;
const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
const files = new DataTransfer();
files.items.add(new File([bytes], name));
dispatchEvent(new DragEvent("dragover", { dataTransfer: files, cancelable: true }));
const veil = getComputedStyle(document.querySelector(".drop-veil")).display;
dispatchEvent(new DragEvent("drop", { dataTransfer: files, cancelable: true }));
done(veil);
"""


def drop(browser: Browser, name: str, content: bytes) -> str:
    """Drop a file on the page; return how the veil was shown while it hung above."""
    encoded = base64.b64encode(content).decode()
    return str(browser.driver.execute_async_script(DROP, name, encoded))


def scale(channels: tuple[int, ...] = (0,)) -> bytes:
    """Return a MIDI file of five quavers, in each of the channels."""
    track = mido.MidiTrack()
    for pitch in (60, 62, 64, 65, 67):
        for channel in channels:
            track.append(mido.Message("note_on", note=pitch, velocity=70, channel=channel))
        for index, channel in enumerate(channels):
            time = 0 if index else 240
            track.append(mido.Message("note_off", note=pitch, time=time, channel=channel))
    file = mido.MidiFile(tracks=[track])
    written = io.BytesIO()
    file.save(file=written)
    return written.getvalue()


def wait_for_notice(browser: Browser, words: str) -> None:
    browser.wait_for(
        f"document.getElementById('notices').textContent.includes({words!r})", f"{words!r} is said"
    )


def test_a_file_that_is_dropped_is_played_in_and_answered(
    browser: Browser, daemon: RunningDaemon
) -> None:
    heard = Heard(daemon)

    veil = drop(browser, "scale.mid", scale())

    assert veil == "grid"
    wait_for_answer(browser, daemon)
    assert list(heard.struck()) == [60, 62, 64, 65, 67]
    onsets = [told["at_s"] for told in heard.events if told["event"] == "note_on"]
    gaps = [later - sooner for sooner, later in itertools.pairwise(onsets)]
    assert all(0.2 < gap < 0.3 for gap in gaps), gaps
    wait_for_notice(browser, "5 notes")


def test_an_opening_plays_for_whoever_cannot(browser: Browser, daemon: RunningDaemon) -> None:
    heard = Heard(daemon)
    assert browser.ask("document.getElementById('opening').options.length") >= 2

    browser.click("#opening-play")
    wait_for(lambda: len(heard.struck()) >= 5, "the opening is played", 20)
    browser.click("#play-in-stop")

    heard.wait_until_down(set())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("words.mid", b"these are words and no notes"),
        ("nothing.mid", b""),
        ("cut.mid", scale()[:20]),
    ],
)
def test_what_is_no_music_is_refused_in_words(
    browser: Browser, daemon: RunningDaemon, name: str, content: bytes
) -> None:
    drop(browser, name, content)

    browser.wait_for("document.querySelector('.notice.error') !== null", "it is refused")
    assert daemon.state() == "listening"
    # The browser itself notes every refusal of a request, here one that was asked for.
    assert all("/play-in" in each for each in browser.complaints())


def test_a_huge_file_is_not_even_sent(browser: Browser) -> None:
    browser.driver.execute_script(
        "const files = new DataTransfer();"
        "files.items.add(new File([new Uint8Array(50_000_000)], 'huge.mid'));"
        "dispatchEvent(new DragEvent('drop', { dataTransfer: files, cancelable: true }));"
    )

    wait_for_notice(browser, "too large")


def test_what_was_played_is_kept_by_one_click(
    browser: Browser, daemon: RunningDaemon, tmp_path: Path
) -> None:
    browser.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    answer(browser, daemon)
    browser.click('[data-command="stop"]')
    daemon.wait_for_state("listening")

    files = {}
    for button, name in (
        ("#save-phrase", "last-phrase.mid"),
        ("#save-answer", "last-answer.mid"),
        ("#save-all", "this-session.mid"),
    ):
        browser.click(button)
        wait_for((tmp_path / name).exists, f"{name} is kept", 10)
        files[name] = _struck(tmp_path / name)

    assert files["last-phrase.mid"][-5:] == [60, 62, 64, 65, 67]
    assert len(files["last-answer.mid"]) >= 1
    assert set(files["this-session.mid"]) >= {60, 62, 64, 65, 67}


def _struck(path: Path) -> list[int]:
    return [
        message.note
        for message in mido.MidiFile(path)
        if message.type == "note_on" and message.velocity > 0
    ]


def test_the_last_exchange_is_kept_under_a_name(browser: Browser, daemon: RunningDaemon) -> None:
    answer(browser, daemon)
    browser.click('[data-command="stop"]')
    daemon.wait_for_state("listening")

    browser.element("#capture-name").send_keys("a good one\n")

    wait_for_notice(browser, "Kept as captures/a-good-one.mid")
    kept = daemon.recordings.with_name("captures") / "a-good-one.mid"
    wait_for(kept.exists, "it is a file", 10)
    assert {60, 62, 64, 65, 67} <= set(_struck(kept))


def test_recordings_are_listed_drawn_and_played(browser: Browser, daemon: RunningDaemon) -> None:
    answer(browser, daemon)
    browser.click('[data-command="stop"]')
    daemon.wait_for_state("listening")

    browser.wait_for("document.querySelector('#recordings li') !== null", "it is listed")
    browser.ask("document.getElementById('recordings').scrollIntoView()")
    browser.wait_for(
        """(() => {
        const canvas = document.querySelector('#recordings canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return data.some((each) => each > 0);
        })()""",
        "its roll is drawn",
    )
    browser.click("#recordings li button")
    browser.wait_for("p.sound.tape.strings.voices.size > 0", "it is played")
    browser.click("#recordings li button")
    browser.wait_for("p.sound.tape.strings.voices.size === 0", "it is stopped")
