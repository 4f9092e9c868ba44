"""Requests as bytes: what is understood, and how everything else is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.control.commands import COMMANDS, Answers, Command
from daemon.control.replies import (
    changed,
    chosen,
    encode_error,
    encode_event,
    encode_result,
    schema,
)
from daemon.control.requests import (
    MAX_REQUEST_BYTES,
    Code,
    CommandError,
    Request,
    parse_request,
)
from daemon.messages import turns as t
from daemon.parameters import APPLIES, TABLE, Parameters, as_json, with_changes
from daemon.stage.turns import Turns
from perceivers.ranges import Setting


def _frame(command: str, /, **args: Any) -> bytes:
    return json.dumps({"v": 1, "id": 7, "cmd": command, "args": args}).encode()


def _playing(*events: Any) -> bytes:
    request = {"v": 1, "cmd": "play", "args": {"events": events}}
    return json.dumps(request, separators=(",", ":")).encode()


_STRIKE = {"event": "note_on", "pitch": 60, "velocity": 80}


def _refusal(frame: bytes) -> CommandError:
    with pytest.raises(CommandError) as refusal:
        parse_request(frame)
    return refusal.value


def test_set_is_read_with_its_values_and_answered_with_them() -> None:
    request = parse_request(b'{"v":1,"id":7,"cmd":"set","args":{"temperature":0.9,"seed":null}}')

    parameters = with_changes(Parameters(seed=3), request.values)

    assert request == Request(7, COMMANDS["set"], {"temperature": 0.9, "seed": None})
    assert request.happening() == t.Adjust({"temperature": 0.9, "seed": None})
    assert parameters == Parameters(temperature=0.9, seed=None)
    assert json.loads(encode_result(request.id, changed(parameters, request.values))) == {
        "id": 7,
        "ok": True,
        "result": {
            "parameters": {"temperature": 0.9, "seed": None},
            "applies": {"temperature": "next_token", "seed": "next_turn"},
        },
    }


def test_get_is_answered_with_the_named_parameters_or_all() -> None:
    named = parse_request(_frame("get", names=["seed", "channel"]))
    everything = parse_request(b'{"v":1,"cmd":"get"}')

    assert chosen(Parameters(seed=4), named.values["names"]) == {
        "parameters": {"seed": 4, "channel": 1}
    }
    assert chosen(Parameters(), everything.values.get("names", ())) == {
        "parameters": as_json(Parameters())
    }


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_a_command_stands_alone_unless_it_needs_an_argument(command: Command) -> None:
    frame = json.dumps({"v": 1, "id": "a", "cmd": command.name}).encode()

    if command.at_least:
        assert _refusal(frame).code is Code.MISSING_FIELD
    else:
        assert parse_request(frame) == Request("a", command)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_whose_turn_it_is_has_a_handler_for_what_a_command_becomes(command: Command) -> None:
    values = {
        row.name: row.default for row in command.arguments.values() if isinstance(row, Setting)
    }
    happening = Request(None, command, values).happening()

    if happening is not None:
        assert isinstance(Turns(Parameters()).handle(happening, 0.0), list)


def test_perform_takes_what_can_differ_for_one_turn_and_nothing_else() -> None:
    request = parse_request(_frame("perform", length=30, seed=1))

    assert request.happening() == t.Perform({"length": 30.0, "seed": 1})
    assert _refusal(_frame("perform", trigger="command")).code is Code.UNKNOWN_FIELD


def test_an_error_is_told_as_the_protocol_says() -> None:
    error = _refusal(_frame("set", temperature=9))

    assert json.loads(encode_error(error)) == {
        "id": 7,
        "ok": False,
        "error": {
            "code": "out_of_range",
            "field": "temperature",
            "message": "temperature = 9 is not allowed; allowed: a number from 0.1 to 2",
            "allowed": [0.1, 2.0],
        },
    }


@pytest.mark.parametrize(
    ("frame", "code", "field"),
    [
        (b"", Code.BAD_JSON, None),
        (b"set temperature 0.9", Code.BAD_JSON, None),
        (b'{"v":1,"cmd":"stop"', Code.BAD_JSON, None),
        (b'{"v":1,"cmd":"stop"}{}', Code.BAD_JSON, None),
        (b"[]", Code.BAD_JSON, None),
        (b"7", Code.BAD_JSON, None),
        (b"\xff\xfe{}", Code.BAD_JSON, None),
        (b"[" * 10_000, Code.BAD_JSON, None),
        (b"1" * 10_000, Code.BAD_JSON, None),
        (b'{"v":1,"v":1,"cmd":"stop"}', Code.BAD_JSON, None),
        (b'{"v":1,"cmd":"set","args":{"top_p":NaN}}', Code.BAD_JSON, None),
        (b'{"v":1,"cmd":"set","args":{"top_p":-Infinity}}', Code.BAD_JSON, None),
        (b'{"v":1,"cmd":"set","args":{"top_p":1e999}}', Code.OUT_OF_RANGE, "top_p"),
        (b'{"cmd":"stop"}', Code.BAD_VERSION, "v"),
        (b'{"v":2,"cmd":"stop"}', Code.BAD_VERSION, "v"),
        (b'{"v":true,"cmd":"stop"}', Code.BAD_VERSION, "v"),
        (b'{"v":1,"id":[1],"cmd":"stop"}', Code.WRONG_TYPE, "id"),
        (b'{"v":1,"id":true,"cmd":"stop"}', Code.WRONG_TYPE, "id"),
        (b'{"v":1}', Code.MISSING_FIELD, "cmd"),
        (b'{"v":1,"cmd":7}', Code.WRONG_TYPE, "cmd"),
        (b'{"v":1,"cmd":"pannic"}', Code.UNKNOWN_COMMAND, "cmd"),
        (b'{"v":1,"cmd":"stop","arg":{}}', Code.UNKNOWN_FIELD, "arg"),
        (b'{"v":1,"cmd":"stop","args":[]}', Code.WRONG_TYPE, "args"),
        (b'{"v":1,"cmd":"stop","args":{"now":1}}', Code.UNKNOWN_FIELD, "now"),
        (b'{"v":1,"cmd":"set"}', Code.MISSING_FIELD, "args"),
        (b'{"v":1,"cmd":"set","args":{"tempreature":1}}', Code.UNKNOWN_FIELD, "tempreature"),
        (b'{"v":1,"cmd":"set","args":{"channel":"1"}}', Code.WRONG_TYPE, "channel"),
        (b'{"v":1,"cmd":"set","args":{"channel":17}}', Code.OUT_OF_RANGE, "channel"),
        (b'{"v":1,"cmd":"set","args":{"trigger":"knock"}}', Code.OUT_OF_RANGE, "trigger"),
        (b'{"v":1,"cmd":"get","args":{"names":"seed"}}', Code.WRONG_TYPE, "names"),
        (b'{"v":1,"cmd":"get","args":{"names":["sed"]}}', Code.UNKNOWN_FIELD, "sed"),
        (b'{"v":1,"cmd":"play"}', Code.MISSING_FIELD, "args"),
        (b'{"v":1,"cmd":"play","args":{"events":{}}}', Code.WRONG_TYPE, "events"),
        (_playing("loud"), Code.WRONG_TYPE, "events"),
        (_playing({}), Code.OUT_OF_RANGE, "event"),
        (_playing({"event": ["note_on"]}), Code.OUT_OF_RANGE, "event"),
        (_playing({"event": "note_on", "pitch": 60}), Code.MISSING_FIELD, "velocity"),
        (_playing({**_STRIKE, "velocity": 0}), Code.OUT_OF_RANGE, "velocity"),
        (_playing({**_STRIKE, "velocity": 8.5}), Code.WRONG_TYPE, "velocity"),
        (_playing({**_STRIKE, "pitch": 128}), Code.OUT_OF_RANGE, "pitch"),
        (_playing({**_STRIKE, "pitch": True}), Code.WRONG_TYPE, "pitch"),
        (_playing({**_STRIKE, "down": True}), Code.UNKNOWN_FIELD, "down"),
        (_playing({**_STRIKE, "at_s": "now"}), Code.WRONG_TYPE, "at_s"),
        (_playing({**_STRIKE, "at_s": 10**400}), Code.OUT_OF_RANGE, "at_s"),
        (
            _playing({"event": "note_off", "pitch": 60, "velocity": 3}),
            Code.UNKNOWN_FIELD,
            "velocity",
        ),
        (_playing({"event": "pedal", "down": 1}), Code.WRONG_TYPE, "down"),
        (_playing(*[_STRIKE] * 257), Code.OUT_OF_RANGE, "events"),
        (b" " * (MAX_REQUEST_BYTES + 1), Code.TOO_LARGE, None),
    ],
)
def test_a_bad_request_is_refused_by_code_and_field(
    frame: bytes, code: Code, field: str | None
) -> None:
    error = _refusal(frame)

    assert (error.code, error.field) == (code, field)
    assert len(encode_error(error)) < 2000


def test_one_bad_value_refuses_the_whole_set() -> None:
    error = _refusal(_frame("set", temperature=0.5, top_p=7))

    assert error.field == "top_p"


def test_a_misspelt_name_is_answered_with_the_nearest_one() -> None:
    assert "did you mean 'temperature'?" in _refusal(_frame("set", tempreature=1)).message
    assert "did you mean 'panic'?" in _refusal(_frame("pannic")).message


def test_a_refusal_carries_the_id_of_its_request() -> None:
    assert _refusal(b'{"v":1,"id":"seven","cmd":"x"}').request_id == "seven"
    assert _refusal(b'{"v":9,"id":7,"cmd":"stop"}').request_id == 7


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_NEARLY_REQUESTS = st.fixed_dictionaries(
    {"v": st.just(1) | _JSON, "cmd": st.sampled_from(sorted(COMMANDS)) | _JSON},
    optional={
        "id": _JSON,
        "args": st.dictionaries(st.sampled_from([*TABLE, "names"]) | st.text(), _JSON) | _JSON,
        "more": _JSON,
    },
)


def _answer(frame: bytes) -> dict[str, Any]:
    try:
        request = parse_request(frame)
        values = {name: value for name, value in request.values.items() if name in TABLE}
        reply = encode_result(request.id, changed(with_changes(Parameters(), values), values))
    except CommandError as error:
        reply = encode_error(error)
    answer = json.loads(reply)
    assert isinstance(answer, dict)
    return answer


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_answered(frame: bytes) -> None:
    assert _answer(frame)["ok"] is False


@given(_NEARLY_REQUESTS | _JSON)
def test_arbitrary_json_is_answered_and_never_leaves_a_value_out_of_range(message: Any) -> None:
    answer = _answer(json.dumps(message).encode())

    if answer["ok"]:
        for name, value in answer["result"]["parameters"].items():
            assert json.loads(json.dumps(TABLE[name].admit(value))) == value


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(TABLE, _JSON)).filter(bool))
def test_set_takes_exactly_what_the_table_admits(values: dict[str, Any]) -> None:
    def admitted(name: str, value: Any) -> bool:
        try:
            TABLE[name].admit(value)
        except ValueError:
            return False
        return True

    answer = _answer(json.dumps({"v": 1, "cmd": "set", "args": values}).encode())

    assert answer["ok"] is all(admitted(name, value) for name, value in values.items())


def test_the_schema_describes_every_command_and_every_parameter() -> None:
    described = json.loads(encode_result(1, schema()))["result"]

    assert list(described["commands"]) == list(COMMANDS)
    assert described["commands"]["set"]["arguments"] == list(TABLE)
    assert described["commands"]["stop"]["arguments"] == []
    assert described["commands"]["get"]["own_arguments"]["names"]["choices"] == list(TABLE)
    assert described["parameters"]["temperature"] == {
        "type": "float",
        "unit": "",
        "minimum": 0.1,
        "maximum": 2.0,
        "choices": [],
        "null_allowed": False,
        "default": 1.0,
        "applies": "next_token",
        "description": "how daring the choice of notes is; 1 is the model itself",
    }
    defaults = {name: row["default"] for name, row in described["parameters"].items()}
    assert defaults == json.loads(json.dumps(as_json(Parameters())))


def test_an_event_cannot_overwrite_its_own_head() -> None:
    event = json.loads(encode_event("note", 3, 1.5, {"pitch": 60, "topic": "state", "n": 0}))

    assert event == {"v": 1, "topic": "note", "n": 3, "time_s": 1.5, "pitch": 60}
    assert list(event)[:4] == ["v", "topic", "n", "time_s"]


def takes(command: Command) -> str:
    """Say what a command takes, as the documentation does."""
    if command.takes_parameters:
        return "parameters"
    shown = [f"`{row.name}`: {row.allowed_text}" for row in command.arguments.values()]
    return "; ".join(shown) or "none"


def test_the_documentation_has_every_command_parameter_and_code_as_the_tables_have_it() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "control.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    holds = {
        Answers.SCHEMA: "the tables of commands and parameters",
        Answers.PARAMETERS: "`parameters`",
        Answers.CHANGED: "`parameters`, `applies`",
        Answers.STATE: "`state`, `turn`, `missing`, `time_s`",
        Answers.INFO: "`model`, `input`, `output`, `counts`, `presets`, `control`",
        Answers.MAPPINGS: "`mappings`, `learning`",
        Answers.HELD: "`held`: keys that this client holds, `pedal`",
    }

    for command in COMMANDS.values():
        told = (f"`{command.name}`", takes(command), command.help, holds[command.answers])
        assert f"| {' | '.join(told)} |" in rows
    for name, row in TABLE.items():
        told = (
            f"`{name}`",
            json.dumps(row.default),
            row.allowed_text,
            row.range.unit,
            APPLIES[name].value,
            row.range.description,
        )
        assert f"| {' | '.join(told)} |" in rows
    for code in Code:
        assert any(row.startswith(f"| `{code.value}` |") for row in rows)
    assert f"{MAX_REQUEST_BYTES:,} bytes" in text
