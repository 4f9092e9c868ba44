"""What controllers and keys have learnt to do."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from daemon.control.mapping import Assignment, Mappings, mappings_of
from daemon.control.mapping_file import MappingFile
from daemon.control.requests import CommandError
from daemon.messages.turns import Adjust, Commanded, Control, ControlKind, Perform, Stop
from daemon.parameters import RANGES, Parameters

KNOB = Control(ControlKind.CONTROLLER, 74)
PEDAL = Control(ControlKind.CONTROLLER, 67)
KEY = Control(ControlKind.KEY, 21)


def learnt(control: Control, **values: Any) -> Mappings:
    mappings = Mappings()
    mappings.learn(values)
    assert mappings.take(control)
    return mappings


def turned(mappings: Mappings, *places: int) -> list[Commanded]:
    return [done for place in places for done in mappings.moved(KNOB, place, Parameters(top_p=0.5))]


def test_what_moves_next_is_learnt_and_only_that() -> None:
    mappings = Mappings()
    assert not mappings.take(KNOB)

    mappings.learn({"target": "temperature"})
    assert mappings.described()["learning"] == "temperature"
    assert mappings.take(KNOB)
    assert not mappings.take(PEDAL)

    assert mappings.controls == {KNOB}
    assert mappings.moved(PEDAL, 127, Parameters()) == []


def test_a_controller_goes_through_the_range_from_end_to_end() -> None:
    row = RANGES["temperature"]
    whole = learnt(KNOB, target="temperature")
    part = learnt(KNOB, target="temperature", lowest=1.5, highest=0.5)

    assert turned(whole, 0, 127) == [
        Adjust({"temperature": row.minimum}),
        Adjust({"temperature": row.maximum}),
    ]
    assert turned(part, 0, 127) == [Adjust({"temperature": 1.5}), Adjust({"temperature": 0.5})]


def test_a_way_by_ratio_has_its_geometric_mean_in_the_middle() -> None:
    mappings = learnt(KNOB, target="length", lowest=1.0, highest=3600.0, curve="by_ratio")

    (middle,) = turned(mappings, 64)

    assert isinstance(middle, Adjust)
    assert middle.changes["length"] == pytest.approx(3600 ** (64 / 127), rel=1e-3)


def test_whole_numbers_choices_and_switches_are_turned_too() -> None:
    assert turned(learnt(KNOB, target="candidates"), 0, 127) == [Adjust({"candidates": 16})]
    assert turned(learnt(KNOB, target="hand_back"), 0, 64, 127) == [
        Adjust({"hand_back": "cut"}),
        Adjust({"hand_back": "phrase"}),
    ]  # the first is natural, and so it is
    assert turned(learnt(KNOB, target="preset_programs"), 20, 90) == [
        Adjust({"preset_programs": True})
    ]


def test_what_is_so_already_is_not_said_again() -> None:
    mappings = learnt(KNOB, target="top_p", lowest=0.5, highest=0.6)

    assert turned(mappings, 0, 0) == []


def test_a_pedal_gives_a_command_when_it_goes_down_and_a_key_when_it_is_struck() -> None:
    pedal, key = learnt(PEDAL, target="perform"), learnt(KEY, target="stop")

    done = [pedal.moved(PEDAL, place, Parameters()) for place in (10, 70, 90, 50, 20, 127)]
    assert done == [[], [Perform()], [], [], [], [Perform()]]
    assert key.moved(KEY, 90, Parameters()) == [Stop()]
    assert key.moved(KEY, 0, Parameters()) == []


def test_one_control_may_do_several_things_and_one_thing_have_several_controls() -> None:
    mappings = learnt(KNOB, target="temperature")
    for control, target in ((KNOB, "top_p"), (PEDAL, "temperature")):
        mappings.learn({"target": target})
        mappings.take(control)

    assert len(turned(mappings, 127)) == 2
    mappings.unlearn("temperature")
    assert mappings.controls == {KNOB}
    mappings.unlearn(None)
    assert mappings.controls == frozenset()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"target": "temprature"}, "did you mean 'temperature'?"),
        ({"target": "trigger"}, "is a list"),
        ({"target": "shutdown"}, "is nothing to learn"),
        ({"target": "capture"}, "is nothing to learn"),
        ({"target": "stop", "lowest": 0.0}, "has no range"),
        ({"target": "hand_back", "highest": 1.0}, "has no range"),
        ({"target": "temperature", "highest": 9.0}, "not in the range"),
        ({"target": "temperature", "lowest": 1.0, "highest": 1.0}, "nothing would turn"),
        ({"target": "transpose", "curve": "by_ratio"}, "above 0"),
    ],
)
def test_what_cannot_be_is_refused_in_words(values: Mapping[str, Any], told: str) -> None:
    mappings = Mappings()

    with pytest.raises(CommandError, match=told):
        mappings.learn(values)

    assert mappings.learning is None


def test_unlearning_what_nothing_does_is_refused() -> None:
    with pytest.raises(CommandError, match="nothing is learnt"):
        Mappings().unlearn("temperature")
    with pytest.raises(CommandError, match="did you mean 'top_p'"):
        learnt(KNOB, target="top_p").unlearn("top_q")


def test_a_file_says_what_was_learnt(tmp_path: Path) -> None:
    path = tmp_path / "of mine" / "mappings.json"
    mappings = learnt(KNOB, target="temperature", lowest=0.5, highest=1.5)

    MappingFile(path).write(mappings)

    assert MappingFile(path).read().assignments == mappings.assignments
    assert MappingFile(tmp_path / "none").read().assignments == []
    assert mappings_of(mappings.described()["mappings"]).assignments == mappings.assignments


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"format": 9, "mappings": []}',
        '{"format": 1, "mappings": [{"control": "knob", "number": 1, "target": "top_p"}]}',
        '{"format": 1, "mappings": [{"control": "key", "number": 200, "target": "top_p"}]}',
        '{"format": 1, "mappings": [{"control": "key", "number": 2, "target": "top_q"}]}',
        '{"format": 1, "mappings": [{"control": "key", "number": 2, "target": "top_p", "x": 1}]}',
        '{"format": 1, "mappings": [{"control": "key", "number": 2, "target": "top_p", '
        '"curve": "odd"}]}',
        '{"format": 1, "mappings": [7]}',
    ],
)
def test_a_broken_file_is_one_line_and_is_not_lost(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mappings.json"
    path.write_text(content)
    file = MappingFile(path)

    assert file.read().assignments == []
    assert len(caplog.records) == 1
    file.write(learnt(KEY, target="stop"))

    assert (tmp_path / "mappings.json.broken").read_text() == content
    assert json.loads(path.read_text())["mappings"][0]["target"] == "stop"


def test_nothing_is_kept_where_there_is_to_be_no_file() -> None:
    file = MappingFile(None)

    file.write(learnt(KEY, target="stop"))

    assert file.read().assignments == []


@pytest.mark.parametrize("kind", [ControlKind.CONTROLLER, ControlKind.KEY])
def test_every_place_of_every_target_is_allowed(kind: ControlKind) -> None:
    for target in (*Parameters.__dataclass_fields__,):
        try:
            assignment = Assignment(kind, 1, target)
        except CommandError:
            continue
        for place in (0, 1, 63, 64, 126, 127):
            value = assignment.value_at(place)
            row = RANGES[target]
            if isinstance(value, str):
                assert value in row.choices
            elif row.minimum is not None and row.maximum is not None:
                assert not isinstance(value, tuple)
                assert value is not None
                assert row.minimum <= value <= row.maximum
