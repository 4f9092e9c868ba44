"""The table of parameters: defaults lie in their ranges, and a wrong value is told with them."""

import math
from dataclasses import fields
from typing import Any

import pytest

from daemon.parameter_groups.scales import pitch_classes
from daemon.parameters import (
    APPLIES,
    RANGES,
    TABLE,
    Applies,
    Parameters,
    as_json,
    with_changes,
)
from perceivers.errors import SettingsError
from perceivers.ranges import RangeError, suggestion


def test_every_default_is_allowed_by_its_own_row() -> None:
    defaults = as_json(Parameters())

    admitted = {name: TABLE[name].admit(value) for name, value in defaults.items()}

    assert admitted == defaults


def test_every_parameter_has_a_row_a_description_and_a_time_of_effect() -> None:
    names = [item.name for item in fields(Parameters)]

    assert list(TABLE) == list(RANGES) == list(APPLIES) == names
    assert all(row.range.description for row in TABLE.values())
    assert set(APPLIES.values()) == set(Applies)


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.allowed])
def test_the_limits_themselves_are_allowed_and_what_lies_beyond_is_not(name: str) -> None:
    row = TABLE[name]
    within: list[Any]
    beyond: list[Any]
    if row.range.choices:
        within, beyond = row.allowed, ["no such choice"]
        if row.kind is tuple:
            within = [(choice,) for choice in row.allowed]
    else:
        lowest, highest = row.range.minimum, row.range.maximum
        assert lowest is not None
        assert highest is not None
        within = [row.kind(lowest), row.kind(highest)]
        beyond = [within[0] - 1, within[1] + 1]

    assert [row.admit(value) for value in within] == within
    for value in beyond:
        with pytest.raises(RangeError) as refusal:
            row.admit(value)
        assert refusal.value.code == "out_of_range"
        assert refusal.value.allowed == row.allowed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "0.9"),
        ("temperature", True),
        ("temperature", None),
        ("temperature", [0.9]),
        ("channel", 1.0),
        ("channel", False),
        ("length_unit", 3),
        ("seed", "seven"),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(RangeError) as refusal:
        TABLE[name].admit(value)

    assert refusal.value.code == "wrong_type"
    assert name in str(refusal.value)
    assert repr(value) in str(refusal.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**4000])
def test_what_is_no_finite_number_is_out_of_range(value: float) -> None:
    with pytest.raises(RangeError) as refusal:
        TABLE["temperature"].admit(value)

    assert refusal.value.code == "out_of_range"


def test_a_whole_number_serves_where_a_number_is_wanted() -> None:
    admitted = TABLE["temperature"].admit(1)

    assert admitted == 1.0
    assert isinstance(admitted, float)


@pytest.mark.parametrize("value", ["silence", " silence ", ["silence"], "silence, silence"])
def test_a_list_may_be_one_word_or_words_with_commas(value: object) -> None:
    assert TABLE["trigger"].admit(value) == ("silence",)


@pytest.mark.parametrize("value", ["c major", "c, major", " c  major", ["c", "major"]])
def test_words_of_a_list_may_have_spaces_between_them(value: object) -> None:
    assert TABLE["scale"].admit(value) == ("c", "major")
    assert pitch_classes(("c", "major")) == {0, 2, 4, 5, 7, 9, 11}


@pytest.mark.parametrize(
    ("words", "classes"),
    [
        ((), None),
        (("a", "minor"), {9, 11, 0, 2, 4, 5, 7}),
        (("bb", "blues"), {10, 1, 3, 4, 5, 8}),
        (("c", "e", "g"), {0, 4, 7}),
        (("db", "c#"), {1}),
    ],
)
def test_a_scale_is_notes_or_a_note_and_a_mode(words: tuple[str, ...], classes: object) -> None:
    assert pitch_classes(words) == classes


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"lowest_key": 60, "highest_key": 59}, "lowest_key = 60 lies above highest_key = 59"),
        ({"lowest_velocity": 90, "highest_velocity": 80}, "lowest_velocity = 90 lies above"),
        ({"scale": ("major",)}, "one note and one mode"),
        ({"scale": ("c", "d", "minor")}, "one note and one mode"),
        ({"scale": ("c", "minor", "major")}, "one note and one mode"),
        ({"scale": ("c",), "lowest_key": 61, "highest_key": 71}, "no key from 61 to 71"),
    ],
)
def test_limits_that_leave_nothing_between_them_are_refused(
    changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        with_changes(Parameters(), changes)


@pytest.mark.parametrize("value", ["quiet", "silence,", ["silence", "quiet"]])
def test_a_word_that_is_no_choice_is_refused(value: object) -> None:
    with pytest.raises(RangeError, match="any of silence, command"):
        TABLE["trigger"].admit(value)


def test_a_list_may_be_empty_or_hold_several() -> None:
    assert TABLE["trigger"].admit([]) == TABLE["trigger"].admit("") == ()
    assert TABLE["trigger"].admit("command,silence") == ("command", "silence")
    assert TABLE["trigger"].described()["type"] == "list"


@pytest.mark.parametrize("value", [3, None, ["silence", 3], {"silence": True}])
def test_a_list_of_something_else_is_refused(value: object) -> None:
    with pytest.raises(RangeError) as refusal:
        TABLE["trigger"].admit(value)

    assert refusal.value.code == "wrong_type"


def test_null_serves_only_where_it_is_allowed() -> None:
    assert TABLE["seed"].admit(None) is None
    assert TABLE["seed"].allowed_text == "a whole number from 0 to 2147483647, or null"


def test_a_near_name_is_suggested_and_all_names_when_none_is_near() -> None:
    assert suggestion("temprature", TABLE) == "did you mean 'temperature'?"
    assert suggestion("zzz", ("a", "b")) == "known: a, b"
