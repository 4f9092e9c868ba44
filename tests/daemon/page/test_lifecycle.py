"""The page's process and its neighbours: who dies, who comes back, and who goes on meanwhile."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from daemon.bench.live.daemon_process import free_ports
from daemon.control.sockets import create_keys
from tests.support.page_daemon import (
    Browser,
    PageDaemon,
    deaf_browser,
    note_off,
    note_on,
    page_daemon,
    wait_until,
)
from tests.support.running_daemon import ROOT

pytestmark = pytest.mark.processes

CERTIFICATE = Path(__file__).with_name("certificate.pem")  # self-signed, for 127.0.0.1


def pages(daemon: PageDaemon) -> list[int]:
    """Return the pages' processes that are there: one, or none while one is replaced."""
    return [
        pid
        for pid in daemon.children()
        if "_websocket/mask" in Path(f"/proc/{pid}/maps").read_text()
    ]


def page_process(daemon: PageDaemon) -> int:
    (pid,) = pages(daemon)
    return pid


def test_a_page_that_is_killed_comes_back_and_what_it_held_comes_up(tmp_path: Path) -> None:
    with page_daemon(tmp_path, trigger=["command"]) as daemon:
        with Browser(daemon) as browser:
            browser.of_type("hello")
            browser.play(note_on(60))
            browser.of_type("event", topic="note", event="note_on")
            killed = page_process(daemon)
            os.kill(killed, signal.SIGKILL)
            browser.wait_until_closed()

        with Browser(daemon) as browser:  # it waits, and is not turned away
            browser.of_type("hello")
            browser.of_type("event", topic="note", event="note_off", pitch=60)

        assert page_process(daemon) != killed
        assert "is started again" in daemon.log


def test_the_music_goes_on_while_the_page_is_replaced(tmp_path: Path) -> None:
    with page_daemon(tmp_path, trigger=["command"], length=600) as daemon:
        daemon.ask("perform")
        os.kill(page_process(daemon), signal.SIGKILL)
        with Browser(daemon) as browser:
            browser.of_type("hello")
            browser.of_type("event", topic="note", by="performer")
        assert daemon.ask("state")["turn"] == 1
        counts = daemon.ask("info")["counts"]
        assert counts.get("output_late", 0) == 0


def test_a_page_that_dies_again_and_again_is_given_up_and_the_daemon_goes_on(
    tmp_path: Path,
) -> None:
    with page_daemon(tmp_path) as daemon:
        killed: set[int] = set()
        while "goes on without" not in daemon.log:
            fresh = {*pages(daemon)} - killed
            for pid in fresh:
                os.kill(pid, signal.SIGKILL)
            killed |= fresh
            assert len(killed) <= 5
            time.sleep(0.1)
        assert daemon.ask("state")["state"] == "listening"


def stage_of(daemon: PageDaemon) -> int:
    """Return the stage, which alone has children of its own."""
    (stage,) = [
        pid
        for pid in daemon.children()
        if any(tasks.read_text() for tasks in Path(f"/proc/{pid}/task").glob("*/children"))
    ]
    return stage


def test_a_page_tells_when_the_daemon_is_gone_and_greets_when_it_is_back(tmp_path: Path) -> None:
    with page_daemon(tmp_path, trigger=["command"]) as daemon, Browser(daemon) as browser:
        browser.of_type("hello")
        browser.play(note_on(60))
        browser.of_type("event", topic="note")
        killed_s = time.monotonic()

        os.kill(stage_of(daemon), signal.SIGKILL)

        gone = browser.of_type("daemon", alive=False)
        assert "does not answer" in gone["message"]
        assert time.monotonic() - killed_s < 2.0
        browser.play(note_on(61))
        browser.send({"type": "command", "id": 1, "cmd": "state"})
        assert browser.of_type("reply", id=1)["ok"] is False
        browser.of_type("daemon", alive=True)
        assert browser.of_type("hello")["state"]["state"] in ("starting", "listening")
        browser.play(note_on(62), note_off(62))
        browser.of_type("event", topic="note", pitch=62)


def test_browsers_that_do_not_read_are_dropped_and_delay_nobody(tmp_path: Path) -> None:
    with page_daemon(tmp_path, trigger=["command"], length=600) as daemon:
        deaf = [deaf_browser(daemon.port) for _ in range(10)]
        readers = [Browser(daemon) for _ in range(10)]
        try:
            for reader in readers:
                reader.__enter__().of_type("hello")
            daemon.ask("perform")
            until_s = time.monotonic() + 30.0
            while "(10 so far)" not in daemon.log and time.monotonic() < until_s:
                for each in deaf:  # much is told to them, and nobody there to read it
                    send_masked(each, b'{"type":"command","id":1,"cmd":"schema"}')
                time.sleep(0.01)
            assert "does not keep up and is dropped (10 so far)" in daemon.log
            assert daemon.ask("state")["turn"] == 1
            assert daemon.ask("info")["counts"].get("output_late", 0) == 0
            for reader in readers:
                reader.of_type("event", topic="note", by="performer")
        finally:
            for reader in readers:
                reader.__exit__(None, None, None)
            for each in deaf:
                each.close()


def send_masked(made: socket.socket, text: bytes) -> None:
    """Send a frame as a browser does; its mask changes nothing. Who was dropped says nothing."""
    try:
        made.sendall(bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text)
    except OSError:
        return


def test_an_address_that_is_taken_is_told_in_a_line_and_no_other_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        daemon = PageDaemon(tmp_path, {"address": f"127.0.0.1:{port}"})
        try:
            if Path("/dev/snd/seq").exists():  # there is another way in
                wait_until(lambda: "listening (" in daemon.log, "it listens", daemon)
            else:
                assert daemon.process.wait(30) == 2
            assert f"cannot listen at 127.0.0.1:{port}: it is in use" in daemon.log
            assert "page.address" in daemon.log
            assert "--no-page" in daemon.log
        finally:
            daemon.close()


@pytest.mark.skipif(Path("/dev/snd/seq").exists(), reason="there is a MIDI system here")
def test_without_page_and_midi_system_it_says_what_to_install(tmp_path: Path) -> None:
    daemon = PageDaemon(tmp_path, {"enabled": False})
    try:
        assert daemon.process.wait(30) == 2
        assert "no MIDI system" in daemon.log
    finally:
        daemon.close()


def test_who_wants_no_page_loads_nothing_of_it() -> None:
    modules = ("supervisor", "stage.process", "stage.core", "brain.process", "control.server")
    program = (
        f"import importlib, sys; [importlib.import_module('daemon.' + name) for name in {modules}];"
        "print([name for name in sys.modules if name.startswith(('aiohttp', 'daemon.page'))])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_stage_and_brain_load_nothing_of_the_page(tmp_path: Path) -> None:
    with page_daemon(tmp_path) as daemon:
        stage = stage_of(daemon)
        (brain,) = [
            int(pid)
            for tasks in Path(f"/proc/{stage}/task").glob("*/children")
            for pid in tasks.read_text().split()
        ]
        for pid in (daemon.process.pid, stage, brain):
            assert "aiohttp" not in Path(f"/proc/{pid}/maps").read_text()


# From other computers.


def test_beyond_this_computer_the_start_line_has_the_token_that_is_needed(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    page = {"address": f"0.0.0.0:{port}", "insecure": True}
    with page_daemon(tmp_path, page) as daemon:
        daemon.port = port
        (token,) = re.findall(r"\?token=(\S+)", daemon.log)

        assert len(token) >= 20
        for path in ("/", "/recordings", "/?token=wrong", f"/?token={token[:-1]}", "/static/a"):
            status, headers, body = daemon.get(path)
            assert (status, "Set-Cookie" in headers) == (403, False)
            assert "token" in json.loads(body)["error"]
        status, headers, _ = daemon.get(f"/?token={token}")
        cookie = headers["Set-Cookie"]
        assert (status, headers["Location"]) == (303, "/")
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        own = cookie.split(";")[0]
        assert daemon.get("/", Cookie=own)[0] == 200
        assert daemon.get("/", Cookie=own, Host="rebound.example:1")[0] == 403
        with Browser(daemon, Cookie=own) as browser:
            browser.of_type("hello")


def test_with_a_certificate_it_speaks_tls_alone(tmp_path: Path) -> None:
    files = {"certificate": str(CERTIFICATE), "private_key": str(CERTIFICATE)}
    with page_daemon(tmp_path, files) as daemon:
        assert f"https://127.0.0.1:{daemon.port}/" in daemon.log
        context = ssl.create_default_context(cafile=str(CERTIFICATE))
        with (
            socket.create_connection(("127.0.0.1", daemon.port), 10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secret,
        ):
            secret.sendall(f"GET / HTTP/1.0\r\nHost: {daemon.host}\r\n\r\n".encode())
            assert secret.recv(100).startswith(b"HTTP/1.0 200")


def test_where_control_takes_keys_the_page_needs_one_too(tmp_path: Path) -> None:
    made = create_keys(tmp_path / "keys")
    commands, events, port = free_ports(3)
    settings = {
        "engine": {"model": str(tmp_path / "told")},
        "control": {
            "commands": f"tcp://127.0.0.1:{commands}",
            "events": f"tcp://127.0.0.1:{events}",
            "server_key": made.server_key,
            "client_keys": made.client_keys,
        },
        "recording": {"enabled": False},
        "page": {
            "address": f"127.0.0.1:{port}",
            "open": False,
            "client_key": str(tmp_path / "keys" / "client.key_secret"),
        },
    }
    daemon = PageDaemon.__new__(PageDaemon)
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    daemon.port = port
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.scripted_daemon", str(config)],
        cwd=ROOT,
        env=os.environ | {"JACK_DEFAULT_SERVER": "there-is-none"},
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        with Browser(daemon) as browser:
            browser.of_type("hello")
    finally:
        process.terminate()
        process.wait(30)
