"""Parameters, presets and seeds: what a turn takes of them, and what is refused."""

from dataclasses import replace

import pytest

from daemon.messages import turns as t
from daemon.messages.brain import BeginTurn, Steer
from daemon.messages.turns import State
from daemon.stage.turns import Turns
from tests.support.turns_by_hand import PARAMETERS, listening, told


def test_parameters_changed_in_a_turn_steer_it_and_keep_what_is_the_turns_own() -> None:
    turns = listening()
    turns.handle(t.Perform({"seed": 7}), 1.0)

    actions = turns.handle(t.Adjust({"temperature": 0.5}), 1.5)

    assert t.Changed(("temperature",)) in actions
    assert told(actions) == [Steer(replace(PARAMETERS, seed=7, temperature=0.5))]


def test_what_applies_to_the_next_turn_leaves_the_present_one_as_it_is() -> None:
    turns = listening()
    turns.handle(t.Perform(), 1.0)

    actions = turns.handle(t.Adjust({"channel": 5, "seed": 3}), 1.5)

    assert told(actions) == []
    assert turns.parameters.channel == 5


def test_limits_that_contradict_each_other_are_refused_and_nothing_is_changed() -> None:
    turns = listening()
    before = turns.parameters

    (refused,) = turns.handle(t.Adjust({"lowest_key": 80, "highest_key": 40, "seed": 3}), 1.0)
    (refused_too,) = turns.handle(t.Perform({"lowest_key": 100, "highest_key": 40}), 1.1)

    assert isinstance(refused, t.Refuse)
    assert "lowest_key = 80 lies above highest_key = 40" in refused.reason
    assert isinstance(refused_too, t.Refuse)
    assert turns.parameters == before
    assert turns.state is State.LISTENING


def test_limits_that_contradict_those_of_the_turn_are_refused_while_it_lasts() -> None:
    turns = listening()
    turns.handle(t.Perform({"highest_key": 50}), 1.0)

    (refused,) = turns.handle(t.Adjust({"lowest_key": 60}), 1.5)

    assert isinstance(refused, t.Refuse)
    assert turns.parameters.lowest_key == 0
    assert turns.state is State.PERFORMING


def test_a_turn_without_a_seed_gets_one_that_the_first_seed_says() -> None:
    def seeds(first_seed: int) -> list[int | None]:
        turns = Turns(replace(PARAMETERS, seed=None), missing={}, first_seed=first_seed)
        drawn = []
        for number in range(1, 4):
            begun = turns.handle(t.Perform(), float(number))[0]
            assert isinstance(begun, BeginTurn)
            drawn.append(begun.parameters.seed)
            turns.handle(t.Stop(), number + 0.5)
            turns.handle(t.Released(), number + 0.6)
        return drawn

    assert seeds(1) == seeds(1) != seeds(2)
    assert len({*seeds(1), *seeds(2)} - {None}) == 6


def test_a_preset_sets_what_it_has_and_an_unknown_one_nothing() -> None:
    presets = {
        "calm": {"temperature": 0.8, "channel": 4},
        "odd": {"lowest_key": 99, "highest_key": 9},
    }
    turns = Turns(PARAMETERS, missing={}, presets=presets)

    assert t.Changed(("temperature", "channel")) in turns.handle(t.Preset("calm"), 1.0)
    assert turns.parameters == replace(PARAMETERS, temperature=0.8, channel=4)
    assert turns.handle(t.Preset("clam"), 1.1) == [
        t.Refuse("no preset 'clam'; did you mean 'calm'?")
    ]
    assert isinstance(turns.handle(t.Preset("odd"), 1.2)[0], t.Refuse)
    assert Turns(PARAMETERS).handle(t.Preset("calm"), 1.0) == [
        t.Refuse("no preset 'calm'; there are none")
    ]


def test_a_program_sets_the_preset_of_its_place_if_that_is_asked_for() -> None:
    presets = {"calm": {"temperature": 0.8}, "odd": {"lowest_key": 99, "highest_key": 9}}
    turns = Turns(replace(PARAMETERS, preset_programs=True), missing={}, presets=presets)

    assert t.Changed(("temperature",)) in turns.handle(t.ProgramChanged(0), 1.0)
    assert isinstance(turns.handle(t.ProgramChanged(1), 1.1)[0], t.Refuse)  # nobody is told
    assert turns.handle(t.ProgramChanged(2), 1.2) == []
    assert turns.parameters.temperature == 0.8

    turns = Turns(PARAMETERS, missing={}, presets=presets)
    assert turns.handle(t.ProgramChanged(0), 1.0) == []


@pytest.mark.parametrize("name", ["", "../mine", "a/b", "two words", "x" * 65, "ü"])
def test_a_capture_needs_a_plain_name(name: str) -> None:
    turns = listening()

    assert turns.handle(t.Capture("take-1_b", 30.0), 1.0) == [t.Keep("take-1_b", 30.0)]
    assert isinstance(turns.handle(t.Capture(name), 1.0)[0], t.Refuse)
