"""The measurements of the whole daemon, in short, on a daemon under JACK."""

from pathlib import Path

import pytest

from daemon.bench.live.measurements import densities, hand_overs, listening
from daemon.bench.live.music import passage, performances_in

pytestmark = [pytest.mark.jack, pytest.mark.usefixtures("jack_server")]


def test_each_kind_of_measurement_brings_what_it_promises(tiny_model_folder: Path) -> None:
    music = [next(performances_in())]
    played = passage(music, 9.0, 2.0)

    heard = listening(tiny_model_folder, 20.0, 200, played, 2.0)
    taken = hand_overs(tiny_model_folder, None, 200, music, 30, 2)
    (performed,) = densities(tiny_model_folder, 200, [("nine", played)])

    assert heard.tokens_per_s > 9.0
    assert 0 < heard.percent["brain"] < heard.percent["all"]
    assert len(taken.outside_ms) == len(taken.inside_ms) == len(taken.stop_ms) == 2
    for outside_ms, inside_ms in zip(taken.outside_ms, taken.inside_ms, strict=True):
        assert 0 < inside_ms < outside_ms
    assert performed.events > 9
    assert performed.lead_ms_min <= performed.lead_ms_median
