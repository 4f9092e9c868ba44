"""The console in a terminal of 80 columns, before a running control server."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from daemon import ctl
from daemon.console import Console
from daemon.control.console_view import View, meter_line, part_line, stepped
from daemon.control.server import ControlServer
from daemon.messages import turns as t
from daemon.parameters import TABLE
from daemon.settings import ControlSettings
from tests.support.fake_performer import FakePerformer

PATIENCE_S = 10.0
WIDTH = 80
METRICS = {
    "state": "performing",
    "context_tokens": 1234,
    "lag_tokens": 5,
    "lead_ms": 250.0,
    "step_ms": 1.5,
    "send_late_ms_p99": 0.4,
    "counts": {"output_late": 2, "input_echoes": 7},
}


@pytest.fixture
def performer() -> FakePerformer:
    return FakePerformer()


@pytest.fixture
def server(performer: FakePerformer) -> Iterator[ControlServer]:
    free = ControlSettings(commands="tcp://127.0.0.1:*", events="tcp://127.0.0.1:*")
    with ControlServer(free, performer.carry_out) as running:
        yield running


Seen = Callable[[Console, Pilot[None]], Awaitable[None]]


def in_terminal(server: ControlServer, see: Seen, width: int = WIDTH) -> None:
    """Run the console in a terminal of our own while `see` looks at it."""

    async def running() -> None:
        console = Console(server.commands_address, server.events_address)
        async with console.run_test(size=(width, 24)) as pilot:
            await see(console, pilot)

    asyncio.run(running())


async def until(pilot: Pilot[None], condition: Callable[[], bool], what: str) -> None:
    for _ in range(int(PATIENCE_S / 0.05)):
        if condition():
            return
        await pilot.pause(0.05)
    raise AssertionError(f"waited in vain until {what}")


def text(console: Console, identity: str) -> str:
    return str(console.query_one(f"#{identity}", Static).content)


def test_arrow_keys_choose_a_parameter_and_change_it(
    server: ControlServer, performer: FakePerformer
) -> None:
    async def see(console: Console, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "temperature" in console.view.parameters, "values are known")
        await pilot.press("right")
        await until(pilot, lambda: performer.current.temperature != 1.0, "it is changed")
        await pilot.press("down", "down", "up", "up", "up")
        assert [*TABLE][console.chosen] == [*TABLE][-1] == "channel"
        await pilot.press("right")
        await until(pilot, lambda: performer.current.channel == 2, "the channel is changed")
        await pilot.press("d")
        await until(pilot, lambda: performer.current.channel == 1, "it is the default again")

    in_terminal(server, see)

    assert performer.current.temperature == pytest.approx(1.05)


def test_what_happens_is_shown_within_the_width(
    server: ControlServer, performer: FakePerformer
) -> None:
    note = {"by": "player", "at_s": 1.0, "event": "note_on", "pitch": 60, "velocity": 70}

    async def see(console: Console, pilot: Pilot[None]) -> None:
        def told() -> bool:
            server.publish("metrics", METRICS)
            server.publish("note", note)
            return bool(console.view.metrics and console.view.down["player"])

        await until(pilot, told, "events are heard")
        console.draw()
        assert text(console, "state").startswith("PERFORMING")
        assert text(console, "player").count("█") == 1
        assert text(console, "performer").count("█") == 0
        assert "1,234 tokens" in text(console, "meters")
        lines = [line for one in console.query(Static) for line in str(one.content).split("\n")]
        assert max(map(len, lines)) <= WIDTH

    in_terminal(server, see)


def test_the_turn_is_taken_and_given_back_by_a_key(
    server: ControlServer, performer: FakePerformer
) -> None:
    async def see(console: Console, pilot: Pilot[None]) -> None:
        await pilot.press("space")
        await until(pilot, lambda: t.Perform() in performer.done, "it performs")
        console.view.state = "performing"
        await pilot.press("space", "p")
        await until(pilot, lambda: t.Stop() in performer.done, "it stops")
        await until(pilot, lambda: t.Panic() in performer.done, "it panics")

    in_terminal(server, see)


def test_a_refusal_is_shown(server: ControlServer) -> None:
    async def see(console: Console, pilot: Pilot[None]) -> None:
        console._ask("set", {"temperature": 99})
        await until(pilot, lambda: "is not allowed" in console.view.told, "it is told")

    in_terminal(server, see)


def test_without_a_terminal_plain_lines_are_printed(
    server: ControlServer,
    performer: FakePerformer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    where = ["--address", server.commands_address, "--events", server.events_address]
    monkeypatch.setattr(ctl, "_watch", lambda options: ctl.say(" ".join(options.words)))

    assert ctl.main([*where, "console"]) == 0

    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[:-1]] == [*TABLE]
    assert printed[-1] == "state turn parameters metrics"


def test_where_textual_is_missing_it_is_said(
    server: ControlServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for stream in ("stdin", "stdout"):
        monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "daemon.console", None)

    assert ctl.main(["--address", server.commands_address, "console"]) == 2
    assert "pip install '.[console]'" in capsys.readouterr().err


@pytest.mark.parametrize("name", list(TABLE))
@pytest.mark.parametrize("direction", [-1, 1])
def test_steps_lead_through_allowed_values_from_end_to_end(name: str, direction: int) -> None:
    row = TABLE[name]
    value: Any = row.default
    seen = [value]
    for _ in range(3000):
        value = row.admit(stepped(row, value, direction))
        if value in seen:  # the end, or round again
            break
        seen.append(value)

    if row.range.minimum is not None and not row.range.choices:
        end = row.range.maximum if direction > 0 else row.range.minimum
        step = (row.range.maximum - row.range.minimum) / 20
        assert min(abs(each - end) for each in seen if each is not None) <= step
    if row.range.choices and row.kind is str:
        assert set(seen) == set(row.range.choices)


def test_keys_that_share_a_column_are_shown_and_meters_are_never_too_wide() -> None:
    view = View(metrics=dict(METRICS))
    for width in (20, 40, 79, 80, 200):
        assert "█" in part_line("player", {21, 108, 0, 127}, width)
        assert len(part_line("player", set(), width)) <= max(width, 11)
    assert max(map(len, meter_line(view, WIDTH).split("\n"))) <= WIDTH
