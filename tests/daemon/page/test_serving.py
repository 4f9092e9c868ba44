"""The page's process with real sockets: what browsers may do, and what becomes of the rest."""

import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import Track, parse_channels, performance_bytes
from tests.support.page_daemon import (
    Browser,
    PageDaemon,
    note_off,
    note_on,
    page_daemon,
    wait_until,
)

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageDaemon]:
    with page_daemon(tmp_path_factory.mktemp("page"), trigger=["command"]) as daemon:
        yield daemon


@pytest.fixture
def browser(daemon: PageDaemon) -> Iterator[Browser]:
    with Browser(daemon) as browser:
        browser.of_type("hello")
        yield browser


def held(daemon: PageDaemon) -> set[int]:
    """Return the keys that the daemon knows to be down, by what it has told the page."""
    with Browser(daemon) as browser:
        notes = [n for n in browser.of_type("hello")["recent"] if n["by"] == "player"]
    down: set[int] = set()
    for note in notes:
        if note["event"] == "note_on":
            down.add(note["pitch"])
        elif note["event"] == "note_off":
            down.discard(note["pitch"])
    return down


# Who may.


def test_the_page_and_its_files_carry_the_policy(daemon: PageDaemon) -> None:
    status, headers, body = daemon.get("/")

    assert status == 200
    assert b"<html" in body
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert daemon.get("/nothing")[0] == 404
    assert "Content-Security-Policy" in daemon.get("/nothing")[1]


def test_strangers_are_refused_whatever_they_ask(daemon: PageDaemon) -> None:
    for path in ("/", "/openings", "/recordings", "/session/all.mid", "/static/x", "/ws"):
        assert daemon.get(path, Host="evil.example")[0] == 403
        assert daemon.get(path, Origin="http://evil.example")[0] == 403
        assert daemon.get(path, Origin="null")[0] == 403


def test_a_socket_from_elsewhere_is_not_opened(daemon: PageDaemon) -> None:
    upgrade = {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip

    assert daemon.get("/ws", Origin="http://evil.example", **upgrade)[0] == 403
    assert daemon.get("/ws", **upgrade)[0] == 403
    assert daemon.get("/ws", Host="rebound.example", Origin=daemon.origin, **upgrade)[0] == 403


@pytest.mark.parametrize("path", ["/play-in", "/play-in/opening", "/play-in/stop"])
def test_nothing_changes_for_who_comes_from_elsewhere_or_follows_a_link(
    daemon: PageDaemon, path: str
) -> None:
    assert daemon.get(path)[0] == 405
    for headers in ({"Origin": "http://evil.example"}, {"X_Performer": "1"}, {}):
        assert daemon.request("POST", path, b"{}", **headers)[0] == 403
    assert daemon.request("POST", path, b"{}", Origin=daemon.origin)[0] == 403
    assert daemon.request("DELETE", path, Origin=daemon.origin, X_Performer="1")[0] == 405


@pytest.mark.parametrize(
    "path",
    ["/static/../page/gate.py", "/static/%2e%2e/gate.py", "/static/..%2fgate.py",
     "/static//etc/passwd", "/static/../../../config.yaml"],
)  # fmt: skip
def test_no_path_leads_out_of_the_pages_files(daemon: PageDaemon, path: str) -> None:
    assert daemon.get(path)[0] in (403, 404)


# Playing.


def test_it_greets_with_all_that_a_page_needs(daemon: PageDaemon) -> None:
    with Browser(daemon) as browser:
        hello = browser.of_type("hello")

    assert hello["schema"]["commands"].keys() >= {"play", "perform", "stop"}
    assert hello["parameters"]["length"] == 15.0
    assert hello["state"]["state"] == "listening"
    assert hello["has_ports"] is Path("/dev/snd/seq").exists()
    assert hello["session_s"] == pytest.approx(daemon.ask("state")["time_s"], abs=5.0)


def test_what_is_played_in_a_tab_is_the_players(browser: Browser) -> None:
    browser.play(note_on(60), {**note_on(64), "ago_ms": 200})
    browser.play(note_off(60), note_off(64))

    told = [browser.of_type("event", topic="note") for _ in range(4)]
    assert [(note["event"], note["pitch"]) for note in told] == [
        ("note_on", 60), ("note_on", 64), ("note_off", 60), ("note_off", 64),
    ]  # fmt: skip
    assert {note["by"] for note in told} == {"player"}


def test_commands_are_answered_and_changes_are_told_to_every_tab(
    daemon: PageDaemon, browser: Browser
) -> None:
    with Browser(daemon) as other:
        other.of_type("hello")
        browser.send({"type": "command", "id": "x", "cmd": "set", "args": {"temperature": 0.5}})
        reply = browser.of_type("reply", id="x")
        assert reply["result"]["parameters"] == {"temperature": 0.5}
        assert other.of_type("event", topic="parameters")["parameters"] == {"temperature": 0.5}
    browser.send({"type": "command", "id": 2, "cmd": "set", "args": {"temperature": 5}})
    assert browser.of_type("reply", id=2)["error"]["code"] == "out_of_range"
    assert daemon.ask("get", names=["temperature"])["parameters"] == {"temperature": 0.5}


def test_clocks_agree_with_the_daemons(daemon: PageDaemon, browser: Browser) -> None:
    def agree() -> bool:
        browser.send({"type": "clock", "t": 77.5})
        clock = browser.of_type("clock")
        assert clock["t"] == 77.5
        return -0.05 <= daemon.ask("state")["time_s"] - clock["session_s"] < 5.0

    wait_until(agree, "the clocks agree", daemon)  # a first guess is as good as a machine is quiet


def test_what_is_planned_comes_before_it_sounds_and_a_stop_withdraws_it(browser: Browser) -> None:
    browser.send({"type": "command", "id": 1, "cmd": "perform"})
    planned = browser.of_type("event", topic="planned")
    assert planned["events"][0]["at_s"] <= planned["events"][-1]["at_s"]

    browser.send({"type": "command", "id": 2, "cmd": "stop"})

    assert browser.of_type("event", topic="withdrawn")["reason"] == "stopped"


def test_two_tabs_that_hold_a_key_must_both_let_go(daemon: PageDaemon, browser: Browser) -> None:
    with Browser(daemon) as other:
        other.play(note_on(70))
        browser.of_type("event", topic="note", event="note_on", pitch=70)
        browser.play(note_on(70))
        other.play(note_off(70), note_on(71), note_off(71))
        browser.of_type("event", topic="note", event="note_off", pitch=71)
        assert held(daemon) == {70}
    browser.play(note_off(70))
    browser.of_type("event", topic="note", event="note_off", pitch=70)


def test_a_tab_that_closes_lets_go(daemon: PageDaemon, browser: Browser) -> None:
    with Browser(daemon) as other:
        other.play(note_on(72), {"event": "pedal", "down": True})
        browser.of_type("event", topic="note", event="pedal", down=True)

    browser.of_type("event", topic="note", event="note_off", pitch=72)
    browser.of_type("event", topic="note", event="pedal", down=False)


def test_a_tab_that_falls_silent_lets_go(daemon: PageDaemon, browser: Browser) -> None:
    with Browser(daemon) as other:
        other.play(note_on(73))
        browser.of_type("event", topic="note", event="note_on", pitch=73)
        browser.of_type("event", topic="note", event="note_off", pitch=73)
    assert held(daemon) == set()


def test_a_tab_that_lives_may_hold_a_key_for_long(daemon: PageDaemon, browser: Browser) -> None:
    browser.play(note_on(74))
    frames = []
    for _ in range(9):
        browser.send({"type": "clock", "t": 0})
        frames += browser.during(0.5)

    assert not [f for f in frames if f.get("event") == "note_off"]
    assert held(daemon) == {74}
    browser.play(note_off(74))


# Bad input.


@pytest.mark.parametrize(
    "frame",
    ["nonsense", "[]", b"\x00\xff", '{"type":"play","events":[{"event":"note_on"}]}',
     '{"type":"play","events":[{"event":"note_on","pitch":60,"velocity":80,"at_s":1e12}]}',
     '{"type":"play","events":[{"event":"note_on","pitch":60,"velocity":80,"ago_ms":-9e9}]}',
     '{"type":"command","id":1,"cmd":"shutdown"}'],
)  # fmt: skip
def test_a_frame_that_means_nothing_is_refused_and_the_tab_goes_on(
    browser: Browser, frame: str | bytes
) -> None:
    browser.send(frame)

    assert browser.of_type("notice")["level"] == "error"
    browser.send({"type": "clock", "t": 1})
    browser.of_type("clock")


def test_a_huge_frame_ends_the_tab_and_what_it_held(daemon: PageDaemon, browser: Browser) -> None:
    with Browser(daemon) as other:
        other.play(note_on(75))
        other.send('{"type":"play","events":[' + " " * 100_000 + "]}")
        assert other.wait_until_closed()[0] == 1009
    browser.of_type("event", topic="note", event="note_off", pitch=75)


def test_who_sends_nothing_but_nonsense_is_dropped(daemon: PageDaemon) -> None:
    with Browser(daemon) as browser:
        for _ in range(60):
            browser.send("nonsense")
        assert browser.wait_until_closed() == (1008, "too many messages that mean nothing")


def test_a_flood_ends_the_tab_and_releases_what_it_struck(
    daemon: PageDaemon, browser: Browser
) -> None:
    with Browser(daemon) as flooding:
        for number in range(2000):
            try:
                flooding.play(note_on(21 + number % 88))
            except ConnectionError:
                break
        assert flooding.wait_until_closed()[0] == 1008

    wait_until(lambda: held(daemon) == set(), "its keys are up", daemon)
    browser.send({"type": "clock", "t": 1})
    browser.of_type("clock")


def test_too_many_tabs_are_turned_away(daemon: PageDaemon) -> None:
    browsers = [Browser(daemon) for _ in range(65)]
    try:
        for browser in browsers:
            browser.__enter__()
        assert browsers[-1].wait_until_closed()[0] == 1013
        browsers[0].send({"type": "clock", "t": 1})
        browsers[0].of_type("clock")
    finally:
        for browser in browsers:
            browser.__exit__(None, None, None)


# Files.


def file_of(*pitches: int, every_s: float = 0.1, channel: int = 0) -> bytes:
    events = []
    for place, pitch in enumerate(pitches):
        events.append(TimedEvent(1.0 + place * every_s, NoteOn(pitch, 70)))
        events.append(TimedEvent(1.0 + (place + 0.9) * every_s, NoteOff(pitch)))
    return performance_bytes([Track("piece", channel, tuple(events))])


def test_a_file_is_played_in_with_its_own_timing(daemon: PageDaemon, browser: Browser) -> None:
    status, told = daemon.post("/play-in", file_of(60, 62, 64), X_File_Name="my%20piece.mid")

    assert status == 200
    assert told == {"name": "my piece.mid", "seconds": pytest.approx(0.29, abs=0.01), "notes": 3}
    strikes = [browser.of_type("event", topic="note", event="note_on") for _ in range(3)]
    assert [strike["pitch"] for strike in strikes] == [60, 62, 64]
    distances = [b["at_s"] - a["at_s"] for a, b in itertools.pairwise(strikes)]
    assert distances == pytest.approx([0.1, 0.1], abs=0.03)
    browser.of_type("event", topic="note", event="note_off", pitch=64)


def test_a_file_can_be_stopped_and_lets_go(daemon: PageDaemon, browser: Browser) -> None:
    daemon.post("/play-in", file_of(50, 51, every_s=20.0))
    browser.of_type("event", topic="note", event="note_on", pitch=50)

    assert daemon.post("/play-in/stop") == (200, {})

    browser.of_type("event", topic="note", event="note_off", pitch=50)


def test_panic_ends_a_file_too(daemon: PageDaemon, browser: Browser) -> None:
    daemon.post("/play-in", file_of(50, 51, every_s=20.0))
    browser.of_type("event", topic="note", event="note_on", pitch=50)

    browser.send({"type": "command", "id": 1, "cmd": "panic"})

    browser.of_type("event", topic="note", event="note_off", pitch=50)


def test_sixteen_channels_are_one_player_and_drums_are_left_out(
    daemon: PageDaemon, browser: Browser
) -> None:
    tracks = [
        Track(
            f"{channel}",
            channel,
            (TimedEvent(0.0, NoteOn(40 + channel, 70)), TimedEvent(0.2, NoteOff(40 + channel))),
        )
        for channel in range(16)
    ]

    status, told = daemon.post("/play-in", performance_bytes(tracks))

    assert (status, told["notes"]) == (200, 15)
    struck = {browser.of_type("event", topic="note", event="note_on")["pitch"] for _ in range(15)}
    assert struck == {40 + channel for channel in range(16) if channel != 9}
    for _ in range(15):
        browser.of_type("event", topic="note", event="note_off")


@pytest.mark.parametrize(
    ("body", "about"),
    [
        (b"", "MIDI"),
        (b"no MIDI at all", "MIDI"),
        (b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x01\xe0MTrk\x00\x00\xff\xff", "complete"),
        (performance_bytes([]), "no notes"),
        (file_of(36, channel=9), "drums"),
    ],
)
def test_what_is_no_music_is_refused_in_words(daemon: PageDaemon, body: bytes, about: str) -> None:
    status, told = daemon.post("/play-in", body, X_File_Name="a.mid")

    assert status == 400
    assert about in told["error"]
    assert "/" not in told["error"]


def test_a_file_that_is_too_large_is_not_even_read(daemon: PageDaemon) -> None:
    status, told = daemon.post("/play-in", b"MThd", Content_Length=str(50 * 2**20))

    assert (status, told) == (413, {"error": "more than 2 MB are too much"})


def test_openings_are_there_and_can_be_played(daemon: PageDaemon, browser: Browser) -> None:
    openings = json.loads(daemon.get("/openings")[2])

    assert len(openings) == 6
    status, told = daemon.post("/play-in/opening", json.dumps(openings[0]).encode())
    assert status == 200
    assert told["seconds"] == pytest.approx(openings[0]["seconds"], abs=0.3)
    assert told["notes"] > 40
    browser.of_type("event", topic="note", event="note_on")
    daemon.post("/play-in/stop")
    for bad in (b"", b"[]", b'{"name":"../../etc/passwd"}', b'{"name":{}}', b"[" * 3000):
        assert daemon.post("/play-in/opening", bad)[0] == 404


# Keeping.


def test_recordings_are_listed_read_and_given_out(daemon: PageDaemon) -> None:
    content = performance_bytes(
        [
            Track("player", 0, (TimedEvent(0.0, NoteOn(60, 70)), TimedEvent(0.5, NoteOff(60)))),
            Track("performer", 1, (TimedEvent(1.0, NoteOn(72, 50)), TimedEvent(1.5, Pedal(True)))),
        ]
    )
    daemon.recordings.mkdir(exist_ok=True)
    (daemon.recordings / "kept.mid").write_bytes(content)
    (daemon.recordings / "damaged.mid").write_bytes(b"MThd")

    listed = {each["name"]: each for each in json.loads(daemon.get("/recordings")[2])}
    status, headers, given = daemon.get("/recordings/kept.mid")

    assert listed["kept.mid"] | {"time": 0} == {
        "name": "kept.mid", "seconds": 1.5, "notes": 2, "size": len(content), "time": 0,
    }  # fmt: skip
    assert listed["damaged.mid"]["notes"] == 0
    assert (status, given) == (200, content)
    assert headers["Content-Disposition"] == 'attachment; filename="kept.mid"'
    assert json.loads(daemon.get("/recordings/kept.mid/notes")[2]) == {
        "player": [[0.0, 0.5, 60, 70]],
        "performer": [[1.0, 1.5, 72, 50]],
    }
    assert daemon.get("/recordings/damaged.mid/notes")[0] == 400


@pytest.mark.parametrize(
    "name",
    ["../config.yaml", "..%2fconfig.yaml", "%2e%2e%2fconfig.yaml", "..", ".hidden.mid", "a.txt",
     "linked.mid", "pipe.mid", "folder.mid", "nothing.mid", "%00.mid", "x" * 200 + ".mid"],
)  # fmt: skip
@pytest.mark.parametrize("notes", ["", "/notes"])
def test_nothing_but_recordings_is_given_out(daemon: PageDaemon, name: str, notes: str) -> None:
    folder = daemon.recordings
    (folder / "folder.mid").mkdir(parents=True, exist_ok=True)
    (folder / ".hidden.mid").write_bytes(file_of(60))
    (folder / "a.txt").write_bytes(file_of(60))
    if not (folder / "linked.mid").is_symlink():
        (folder.parent / "outside.mid").write_bytes(file_of(60))
        (folder / "linked.mid").symlink_to(folder.parent / "outside.mid")
        os.mkfifo(folder / "pipe.mid")

    assert daemon.get(f"/recordings/{name}{notes}")[0] == 404
    assert name not in {each["name"] for each in json.loads(daemon.get("/recordings")[2])}


def test_phrase_answer_and_session_can_be_kept(tmp_path: Path) -> None:
    with page_daemon(tmp_path, length=1, trigger=["command"]) as daemon, Browser(daemon) as browser:
        browser.of_type("hello")
        for kept in ("phrase", "answer", "all"):
            assert daemon.get(f"/session/{kept}.mid")[0] == 404
        browser.play(note_on(60), note_on(64))
        browser.play(note_off(60), note_off(64))
        browser.of_type("event", topic="note", event="note_off", pitch=64)
        browser.send({"type": "command", "id": 1, "cmd": "perform"})
        browser.of_type("event", topic="turn")

        phrase, answer, everything = (
            parse_channels(daemon.get(f"/session/{kept}.mid")[2], kept)
            for kept in ("phrase", "answer", "all")
        )
        assert strikes(phrase) == {0: [60, 64]}
        assert list(strikes(answer)) == [1]
        assert len(strikes(answer)[1]) >= 10
        assert strikes(everything) == strikes(phrase) | strikes(answer)


def strikes(parts: dict[int, list[TimedEvent]]) -> dict[int, list[int]]:
    return {
        channel: [timed.event.pitch for timed in part if isinstance(timed.event, NoteOn)]
        for channel, part in parts.items()
    }


def test_it_stays_a_client_that_asks_little_while_nobody_plays(daemon: PageDaemon) -> None:
    before = daemon.ask("info")["control"]["requests"]
    time.sleep(2.0)
    after = daemon.ask("info")["control"]["requests"]

    assert after - before <= 6


def test_after_all_that_nothing_was_lost_on_the_daemons_side(daemon: PageDaemon) -> None:
    wait_until(lambda: daemon.ask("state")["state"] != "performing", "it is at rest", daemon)
    control = daemon.ask("info")["control"]

    assert control["malformed"] == control["replies_lost"] == control["events_lost"] == 0
