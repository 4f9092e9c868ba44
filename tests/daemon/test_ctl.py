"""The command-line client against a running control server."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon import ctl
from daemon.control.commands import COMMANDS, Answers, Command, Names
from daemon.control.requests import Request
from daemon.control.server import ControlServer
from daemon.messages import turns as t
from daemon.parameters import TABLE, Parameters
from daemon.settings import ControlSettings, load_settings
from perceivers.errors import PerformerError
from perceivers.ranges import Range, Setting
from tests.support.fake_performer import FakePerformer

_ROOT = Path(__file__).resolve().parents[2]
_FREE = ControlSettings(commands="tcp://127.0.0.1:*", events="tcp://127.0.0.1:*")
PLAIN = [row for row in COMMANDS.values() if row.becomes is not None and not row.arguments]

Said = tuple[int, str, str]
Run = Callable[..., Said]


@pytest.fixture
def performer() -> FakePerformer:
    return FakePerformer()


@pytest.fixture
def server(performer: FakePerformer) -> Iterator[ControlServer]:
    with ControlServer(_FREE, performer.carry_out) as running:
        yield running


@pytest.fixture
def run(server: ControlServer, capsys: pytest.CaptureFixture[str]) -> Run:
    def running(*words: str) -> Said:
        where = ["--address", server.commands_address, "--events", server.events_address]
        code = ctl.main([*where, "--timeout", "20", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return running


def test_set_changes_parameters_and_shows_them(run: Run, performer: FakePerformer) -> None:
    code, out, err = run("set", "temperature", "0.9", "seed", "7", "length_unit", "notes")

    assert (code, err) == (0, "")
    assert performer.current == Parameters(temperature=0.9, seed=7, length_unit="notes")
    assert [line.split() for line in out.splitlines()] == [
        ["temperature", "0.9", "next", "token"],
        ["seed", "7", "next", "turn"],
        ["length_unit", '"notes"', "next", "token"],
    ]


def test_null_can_be_set(run: Run, performer: FakePerformer) -> None:
    performer.current = Parameters(seed=7)

    assert run("set", "seed", "null")[0] == 0
    assert performer.current == Parameters()


def test_get_shows_the_named_parameters_or_all(run: Run) -> None:
    assert run("get", "silence_s") == (0, "silence_s  1.5  s\n", "")
    assert [line.split()[0] for line in run("get")[1].splitlines()] == list(TABLE)


def test_json_is_for_scripts_wherever_the_option_stands(run: Run) -> None:
    before, after = run("--json", "get", "channel"), run("get", "channel", "--json")

    assert before == after
    assert json.loads(after[1]) == {"parameters": {"channel": 1}}


def test_perform_takes_parameters_for_one_turn(run: Run, performer: FakePerformer) -> None:
    assert run("perform", "length", "30") == (0, "state LISTENING\n", "")

    assert performer.done == [t.Perform({"length": 30.0})]


@pytest.mark.parametrize("command", PLAIN, ids=lambda command: command.name)
def test_a_plain_command_is_carried_out(
    run: Run, performer: FakePerformer, command: Command
) -> None:
    assert run(command.name) == (0, "state LISTENING\n", "")
    assert performer.done == [Request(1, command).happening()]


def test_an_empty_answer_is_shown_as_done(run: Run, performer: FakePerformer) -> None:
    performer.on_state = dict

    assert run("stop") == (0, "done\n", "")


def test_state_and_info_are_shown_line_by_line(run: Run, performer: FakePerformer) -> None:
    performer.on_state = lambda: {"state": "CAPTURING", "held": [60, 64], "turn": None}

    assert run("state") == (0, "state CAPTURING\nheld [60, 64]\nturn null\n", "")
    assert run("info")[1].startswith("model none\ncontrol.requests 2\ncontrol.refused 0\n")


def test_the_schema_shows_every_command_and_parameter(run: Run) -> None:
    code, out, _ = run("schema")

    shown = [line.split()[0] for line in out.splitlines()]
    assert code == 0
    assert shown == ["Commands", *COMMANDS, "Parameters", "name", *TABLE]


@dataclass(frozen=True, slots=True)
class Tune(t.Commanded):
    strings: tuple[str, ...]
    pitch_hz: float = 440.0


TUNE = Command(
    "tune",
    "tune the piano",
    Answers.STATE,
    Tune,
    {
        "strings": Names("strings", ("low", "high"), "of strings"),
        "pitch_hz": Setting("pitch_hz", float, 440.0, Range("Hz", "of a'", 400.0, 480.0)),
    },
    at_least=1,
)


def test_an_entry_in_the_table_is_all_that_a_further_command_needs(
    run: Run, performer: FakePerformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMMANDS, "tune", TUNE)

    assert run("tune", "strings", '["low"]', "pitch_hz", "442")[0] == 0
    assert performer.done == [Tune(("low",), 442.0)]
    assert "a number from 400 to 480" in run("tune", "pitch_hz", "300")[2]
    assert "did you mean 'high'?" in run("tune", "strings", '["hihg"]')[2]
    assert "a list of names" in run("tune", "strings", "low")[2]
    assert "tune the piano" in run("schema")[1]
    described = json.loads(run("--json", "schema")[1])["commands"]["tune"]["own_arguments"]
    assert described["strings"]["choices"] == ["low", "high"]
    assert (described["pitch_hz"]["minimum"], described["pitch_hz"]["unit"]) == (400.0, "Hz")


def test_the_help_of_a_command_has_what_it_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMMANDS, "tune", TUNE)

    with pytest.raises(SystemExit):
        ctl.main(["tune", "--help"])

    told = capsys.readouterr().out
    assert "a list of names of strings" in told
    assert "a number from 400 to 480 Hz; default 440.0" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("set", "temperature", "9"), "a number from 0.1 to 2"),
        (("set", "temperature", "hot"), "'hot' is not allowed"),
        (("set", "tempreature", "1"), "did you mean 'temperature'?"),
        (("set", "channel", "1.5"), "a whole number from 1 to 16"),
        (("get", "chanel"), "did you mean 'channel'?"),
        (("perform", "trigger", "silence"), "perform takes no 'trigger'"),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_2(run: Run, words: tuple[str, ...], told: str) -> None:
    code, out, err = run(*words)

    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_what_the_daemon_cannot_do_now_is_one_line_and_exit_code_2(
    run: Run, performer: FakePerformer
) -> None:
    def refuse() -> dict[str, object]:
        raise PerformerError("no model is loaded")

    performer.on_state = refuse

    assert run("state") == (2, "", "no model is loaded\n")


def test_a_name_without_a_value_is_exit_code_2(run: Run) -> None:
    with pytest.raises(SystemExit) as ended:
        run("set", "temperature", "1", "seed")

    assert ended.value.code == 2


@pytest.mark.parametrize("words", [["state"], ["watch"]])
def test_without_a_daemon_the_client_says_so(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with socket.socket() as taken:  # bound, and never listening
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"

        code = ctl.main(["--address", address, "--events", address, "--timeout", "0.2", *words])

    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert address in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("address", ["127.0.0.1:7700", "tcp://", "tcp://nowhere.invalid:x"])
def test_what_is_no_address_is_one_line(capsys: pytest.CaptureFixture[str], address: str) -> None:
    assert ctl.main(["--address", address, "--timeout", "0.2", "state"]) == 2
    assert address in capsys.readouterr().err


def _watching(
    server: ControlServer, *words: str, in_background: bool = False
) -> subprocess.Popen[str]:
    where = ["--address", server.commands_address, "--events", server.events_address]
    ignoring = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"]  # as a shell does behind `&`
    return subprocess.Popen(
        [
            *(ignoring if in_background else []),
            *(sys.executable, "-m", "daemon.ctl", "watch", *words, *where, "--timeout", "20"),
        ],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _line(server: ControlServer, process: subprocess.Popen[str]) -> str:
    """Return the first line, publishing until the subscription has arrived."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    for _ in range(2000):
        server.publish("note", {"pitch": 60})
        server.publish("state", {"to": "LISTENING"})
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
        line = process.stdout.readline()
        if line:
            return line
    raise AssertionError("nothing was shown")


@pytest.mark.processes
@pytest.mark.parametrize("in_background", [False, True])
def test_watch_shows_events_until_it_is_interrupted(
    server: ControlServer, in_background: bool
) -> None:
    with _watching(server, "note", in_background=in_background) as process:
        line = _line(server, process)
        process.send_signal(signal.SIGINT)
        code = process.wait(20)
        assert process.stderr is not None
        complaints = process.stderr.read()

    assert line.split()[1:] == ["note", "pitch=60"]
    assert (code, complaints) == (0, "")


@pytest.mark.processes
def test_watch_as_json_gives_whole_events(server: ControlServer) -> None:
    with _watching(server, "state", "--json") as process:
        event = json.loads(_line(server, process))
        process.send_signal(signal.SIGINT)

    assert (event["topic"], event["to"]) == ("state", "LISTENING")


def test_keys_are_made_and_the_printed_settings_are_accepted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, performer: FakePerformer
) -> None:
    folder = tmp_path / "keys"
    assert ctl.main(["keys", str(folder)]) == 0
    printed = capsys.readouterr().out
    file = tmp_path / "config.yaml"
    file.write_text("\n".join(printed.splitlines()[:3]))
    made = load_settings(file).control
    settings = ControlSettings(_FREE.commands, _FREE.events, made.server_key, made.client_keys)

    with ControlServer(settings, performer.carry_out) as server:
        code = ctl.main(
            [
                *("--address", server.commands_address),
                *("--server-key", str(folder / "server.key")),
                *("--client-key", str(folder / "client.key_secret")),
                "panic",
            ]
        )

    assert code == 0
    assert performer.done == [t.Panic()]
    assert ctl.main(["keys", str(folder)]) == 2


@pytest.mark.processes
@pytest.mark.parametrize("as_module", [True, False])
def test_the_help_names_every_command_and_parameter_with_its_range(
    tmp_path: Path, as_module: bool
) -> None:
    how = ["-m", "daemon.ctl"] if as_module else [str(_ROOT / "daemon" / "ctl.py")]

    told = subprocess.run(
        [sys.executable, *how, "--help"],
        cwd=_ROOT if as_module else tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    for name in (*COMMANDS, "watch", "keys", *TABLE):
        assert f"  {name} " in told
    for row in TABLE.values():
        assert row.allowed_text in told


def test_a_preset_needs_its_name_alone(run: Run, performer: FakePerformer) -> None:
    assert run("preset", "calm")[0] == 0
    assert run("preset", "name", "loud and fast")[0] == 0

    assert performer.done == [t.Preset("calm"), t.Preset("loud and fast")]
