"""Controllers and keys that are learnt while the stage plays, and do what they have learnt."""

from pathlib import Path

import pytest

from daemon.messages import turns as t
from perceivers.errors import PerformerError
from tests.support.stage_by_hand import READY, StageByHand

KNOB, PEDAL = 74, 67


def control(number: int, place: int) -> tuple[int, int, int]:
    return 0xB0, number, place


def ready(stage: StageByHand) -> StageByHand:
    stage.inbox.put(READY)
    stage.settle()
    return stage


def test_the_next_controller_that_moves_turns_the_parameter_and_is_no_music() -> None:
    stage = ready(StageByHand())

    assert stage.ask("learn", target="temperature")["learning"] == "temperature"
    stage.play(control(KNOB, 5))
    told = stage.ask("mappings")
    stage.play(control(KNOB, 127))

    assert told["learning"] is None
    assert told["mappings"][0]["number"] == KNOB
    assert ("mappings", told) in stage.world.events
    assert stage.core.turns.parameters.temperature == 2.0
    assert any(topic == "parameters" for topic, _ in stage.world.events)


def test_a_key_gives_a_command_and_is_not_heard() -> None:
    stage = ready(StageByHand())
    stage.ask("learn", target="perform")
    stage.play((0x90, 21, 64), (0x80, 21, 0))

    heard = len(stage.brain.told)
    stage.play((0x90, 21, 64), (0x80, 21, 0))

    assert stage.state == t.State.PERFORMING
    assert not any(type(said).__name__ == "Hear" for said in stage.brain.told[heard:])


def test_the_sustain_pedal_sustains_until_it_learns_something_else() -> None:
    stage = ready(StageByHand())
    stage.play(control(64, 127), control(64, 0))
    heard = len(stage.brain.told)
    assert heard == 2

    stage.ask("learn", target="stop")
    stage.play(control(64, 127), control(64, 0))
    stage.play(control(64, 127), control(64, 0))
    assert len(stage.brain.told) == heard

    stage.ask("unlearn", target="stop")
    stage.play(control(64, 127))
    assert len(stage.brain.told) == heard + 1


def test_what_was_learnt_is_known_to_the_next_stage_and_when_the_port_is_back(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mappings.json"
    first = ready(StageByHand(mappings=path))
    first.ask("learn", target="top_p", lowest=0.5, highest=1.0)
    first.play(control(KNOB, 1))

    stage = ready(StageByHand(mappings=path))
    stage.input_is_there(False)
    stage.input_is_there(True)
    stage.play(control(KNOB, 0))

    assert stage.core.turns.parameters.top_p == 0.5


def test_a_target_that_is_none_is_refused_and_nothing_is_learnt() -> None:
    stage = ready(StageByHand())

    with pytest.raises(PerformerError, match="did you mean 'temperature'"):
        stage.ask("learn", target="temprature")

    assert stage.ask("mappings") == {"mappings": [], "learning": None}


def test_what_a_controller_would_contradict_stays_as_it_is() -> None:
    stage = ready(StageByHand())
    stage.ask("set", lowest_key=60, highest_key=70)
    stage.ask("learn", target="lowest_key")
    stage.play(control(KNOB, 0))

    stage.play(control(KNOB, 127))

    assert stage.core.turns.parameters.lowest_key == 60
