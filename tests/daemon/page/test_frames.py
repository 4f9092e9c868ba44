"""Frames of browsers: what is understood, and how all else is refused."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.page import frames
from perceivers.events import NoteOff, NoteOn, Pedal


def test_what_is_played_comes_with_how_long_ago_it_was() -> None:
    events = [
        {"event": "note_on", "pitch": 60, "velocity": 80, "ago_ms": 20},
        {"event": "note_off", "pitch": 60},
        {"event": "pedal", "down": True, "ago_ms": 250},
    ]

    said = frames.read(json.dumps({"type": "play", "events": events}))

    assert said == frames.Playing(
        ((NoteOn(60, 80), 0.02), (NoteOff(60), 0.0), (Pedal(down=True), 0.25))
    )


def test_commands_and_clocks_are_read() -> None:
    command = {"type": "command", "id": 7, "cmd": "set", "args": {"seed": 1}}

    assert frames.read(json.dumps(command)) == frames.Asking(7, "set", {"seed": 1})
    assert frames.read('{"type":"clock","t":12.5}') == frames.ReadingClock(12.5)


STRIKE = {"event": "note_on", "pitch": 60, "velocity": 80}


@pytest.mark.parametrize(
    ("told", "about"),
    [
        (b"\x00\x01", "binary"),
        ("", "JSON"),
        ("{", "JSON"),
        ("[" * 5000, "JSON"),
        ('{"type":"clock","t":NaN}', "JSON"),
        ([], "object"),
        ({}, "type"),
        ({"type": "shout"}, "type"),
        ({"type": "clock"}, "t = "),
        ({"type": "clock", "t": True}, "t = "),
        ({"type": "clock", "t": 1e300}, "t = "),
        ({"type": "play"}, "events"),
        ({"type": "play", "events": {}}, "events"),
        ({"type": "play", "events": ["loud"]}, "no event"),
        ({"type": "play", "events": [{**STRIKE, "at_s": 1.0}]}, "at_s"),
        ({"type": "play", "events": [{**STRIKE, "ago_ms": -1}]}, "ago_ms"),
        ({"type": "play", "events": [{**STRIKE, "ago_ms": 251}]}, "ago_ms"),
        ({"type": "play", "events": [{**STRIKE, "ago_ms": 1e12}]}, "ago_ms"),
        ({"type": "play", "events": [{**STRIKE, "ago_ms": None}]}, "ago_ms"),
        ({"type": "play", "events": [{**STRIKE, "pitch": 200}]}, "pitch"),
        ({"type": "play", "events": [STRIKE] * 257}, "too many"),
        ({"type": "command", "id": 1, "cmd": "shutdown"}, "not for the page"),
        ({"type": "command", "id": 1, "cmd": "play"}, "not for the page"),
        ({"type": "command", "id": 1, "cmd": "sett"}, "set"),
        ({"type": "command", "id": 1, "cmd": ["set"]}, "cmd"),
        ({"type": "command", "id": 1, "cmd": {"set": 1}}, "cmd"),
        ({"type": "command", "id": None, "cmd": "stop"}, "id"),
        ({"type": "command", "id": True, "cmd": "stop"}, "id"),
        ({"type": "command", "id": "x" * 65, "cmd": "stop"}, "id"),
        ({"type": "command", "id": 1, "cmd": "stop", "args": []}, "args"),
    ],
)
def test_what_means_nothing_is_refused_in_words(told: Any, about: str) -> None:
    frame = told if isinstance(told, str | bytes) else json.dumps(told)

    with pytest.raises(frames.FrameError, match=about):
        frames.read(frame)


@given(st.one_of(st.text(), st.binary()))
def test_no_frame_does_more_than_be_refused(frame: str | bytes) -> None:
    with pytest.raises(frames.FrameError):
        frames.read(frame)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["play", "command", "clock"])},
        optional=dict.fromkeys(("events", "id", "cmd", "args", "t"), JSON),
    )
)
def test_whatever_the_members_are_it_is_read_or_refused(told: Any) -> None:
    with contextlib.suppress(frames.FrameError):
        frames.read(json.dumps(told))
