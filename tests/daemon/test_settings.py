"""Settings files: defaults, and every mistake told at once, each with what would be allowed."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.parameters import Parameters
from daemon.settings import (
    ControlSettings,
    EngineSettings,
    MidiSettings,
    Settings,
    load_settings,
)
from perceivers.errors import SettingsError
from perceivers.ranges import table
from perceivers.settings import load

_SHIPPED = Path(__file__).resolve().parents[2] / "config.yaml"


def _written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _problems(folder: Path, text: str) -> list[str]:
    path = _written(folder, text)
    with pytest.raises(SettingsError) as refusal:
        load_settings(path)
    return [line.removeprefix(f"{path}") for line in str(refusal.value).splitlines()]


def test_the_shipped_file_holds_exactly_the_defaults() -> None:
    assert load_settings(_SHIPPED) == Settings()


def test_the_shipped_file_shows_every_key_with_a_comment() -> None:
    lines = _SHIPPED.read_text(encoding="utf-8").splitlines()
    shown = [line.strip().split(":")[0] for line in lines if line.startswith("  ") and "#" in line]

    sections = (
        getattr(Settings(), name) for name in Settings.__dataclass_fields__ if name != "presets"
    )
    assert shown == [key for section in sections for key in table(type(section))]


def test_what_a_file_leaves_out_keeps_its_default(tmp_path: Path) -> None:
    path = _written(tmp_path, "midi:\n  input: Roland\nengine:\nperformer: {seed: 7, length: 20}\n")

    settings = load_settings(path)

    assert settings == Settings(
        midi=MidiSettings(input="Roland"), performer=Parameters(seed=7, length=20.0)
    )
    assert isinstance(settings.performer.length, float)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null\n"])
def test_an_empty_file_means_all_defaults(tmp_path: Path, text: str) -> None:
    assert load_settings(_written(tmp_path, text)) == Settings()


def test_all_mistakes_are_told_at_once_one_line_each(tmp_path: Path) -> None:
    text = """\
midi:
  inptu: Roland
  input: 4
performr: {}
performer:
  temperature: 9
  length: 10
  length: 20
  length_unit: miles
engine:
  threads: 1.5
timing: fast
"""

    problems = _problems(tmp_path, text)

    assert problems == [
        ":2: unknown key midi.inptu; did you mean 'input'?",
        ":3: midi.input = 4 is not allowed; allowed: text, or null",
        ":4: unknown section performr; did you mean 'performer'?",
        ":6: performer.temperature = 9 is not allowed; allowed: a number from 0.1 to 2",
        ":8: performer.length stands here a second time",
        ":9: performer.length_unit = 'miles' is not allowed; allowed: one of seconds, notes, "
        "bars, match, open",
        ":11: engine.threads = 1.5 is not allowed; allowed: a whole number from 1 to 256",
        ":12: timing must be made of lines `name: value`",
    ]


@pytest.mark.parametrize("number", [".nan", ".inf", "-.inf"])
def test_a_number_must_be_finite(tmp_path: Path, number: str) -> None:
    (problem,) = _problems(tmp_path, f"timing:\n  lead_ms: {number}\n")

    assert "a number from 20 to 5000" in problem


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("midi: [", ":1: is not YAML"),
        ("midi:\n\tinput: x\n", ":2: is not YAML"),
        ("a: b: c\n", ":1: is not YAML"),
        ("- midi\n", ":1: the file must be made of lines"),
        ("midi: *port\n", ":1: is not YAML"),
        ("\x07\n", "is not YAML"),
        ("? [a]\n: 1\n", ":1: unknown section"),
    ],
)
def test_a_file_that_is_no_settings_file_is_told_with_its_line(
    tmp_path: Path, text: str, told: str
) -> None:
    (problem,) = _problems(tmp_path, text)

    assert told in problem


def test_a_file_that_cannot_be_read_is_told_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")

    for name, told in (("none.yaml", "no such file"), (".", "cannot"), ("binary.yaml", "UTF-8")):
        with pytest.raises(SettingsError, match=told) as refusal:
            load_settings(tmp_path / name)
        assert str(tmp_path / name) in str(refusal.value)
        assert "\n" not in str(refusal.value)


def test_a_date_where_text_is_wanted_is_told_as_what_it_is(tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path, "recording:\n  folder: 2026-01-01\n")

    assert "recording.folder = datetime.date(2026, 1, 1) is not allowed; allowed: text" in problem


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_no_text_ends_in_anything_but_settings_or_one_clear_error(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            load(file, Settings)
            told = str(file)
        except SettingsError as error:
            told = str(error)

    assert told.startswith(str(file))


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:7800", "tcp://[::1]:7800", "tcp://127.9.9.9:0"]
)
def test_a_loopback_address_needs_no_keys(address: str) -> None:
    assert ControlSettings(commands=address).commands == address


@pytest.mark.parametrize(
    "address", ["tcp://*:7800", "tcp://0.0.0.0:7800", "tcp://192.168.1.5:7800", "tcp://eth0:7800"]
)
def test_any_other_address_is_refused_without_keys(address: str) -> None:
    with pytest.raises(SettingsError, match="other computers") as refusal:
        ControlSettings(commands=address)

    assert "127.0.0.1" in str(refusal.value)
    assert "daemon.ctl keys" in str(refusal.value)
    with_keys = ControlSettings(commands=address, server_key="s.key_secret", client_keys="clients")
    assert with_keys.commands == address


@pytest.mark.parametrize(
    "address",
    ["7700", "127.0.0.1:7700", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "ipc:///tmp/x"],
)
def test_what_is_no_address_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(SettingsError, match=r"tcp://127\.0\.0\.1:7700"):
        ControlSettings(events=address)


def test_keys_that_do_not_go_together_are_told_with_the_line_of_their_section(
    tmp_path: Path,
) -> None:
    problems = _problems(tmp_path, "engine: {}\ncontrol:\n  server_key: a.key_secret\n")

    assert problems == [
        ":3: control: server_key and client_keys belong together: give both or neither"
    ]


def test_commands_and_events_cannot_share_a_port() -> None:
    with pytest.raises(SettingsError, match="cannot share"):
        ControlSettings(commands="tcp://127.0.0.1:7700", events="tcp://127.0.0.1:7700")


def test_choices_stand_in_the_settings_as_plain_text() -> None:
    assert EngineSettings().provider == "auto"
    assert table(EngineSettings)["precision"].allowed == ["auto", "int8", "fp32", "fp16"]


def test_presets_have_names_of_the_users_and_some_parameters(tmp_path: Path) -> None:
    text = "presets:\n  calm: {temperature: 0.8, most_notes_per_s: 4}\n  'Über 2': {seed: 7}\n"

    settings = load_settings(_written(tmp_path, text))

    assert settings.presets == {
        "calm": {"temperature": 0.8, "most_notes_per_s": 4.0},
        "Über 2": {"seed": 7},
    }
    assert load_settings(_written(tmp_path, "presets:\n")).presets == {}


def test_mistakes_in_presets_are_told_with_their_lines(tmp_path: Path) -> None:
    text = """\
presets:
  calm:
    temprature: 0.8
    top_p: 7
  odd: {lowest_key: 80, highest_key: 40}
  calm: {}
  flat: 3
"""

    problems = _problems(tmp_path, text)

    assert problems == [
        ":3: unknown key presets.calm.temprature; did you mean 'temperature'?",
        ":4: presets.calm.top_p = 7 is not allowed; allowed: a number from 0.01 to 1",
        ":5: presets.odd: lowest_key = 80 lies above highest_key = 40; set both so that something"
        " lies between",
        ":6: presets.calm stands here a second time",
        ":7: presets.flat must be made of lines `name: value`",
    ]


def test_a_part_without_keys_is_refused(tmp_path: Path) -> None:
    problems = _problems(tmp_path, "midi: {input_lowest_key: 60, input_highest_key: 59}\n")

    assert problems == [
        ":1: midi: input_lowest_key = 60 lies above input_highest_key = 59; nothing would be heard"
    ]
