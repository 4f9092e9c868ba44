"""What choosing is worth is measured on the same primers, and said with what it costs."""

import json
from pathlib import Path

import numpy as np
import pytest

from perceivers.events import NoteOff, NoteOn, TimedEvent
from training.evaluation.candidates import STATISTICS, main
from training.evaluation.metrics.notes import notes_of

STARTER = Path(__file__).resolve().parents[3] / "training" / "starter"


@pytest.mark.processes
def test_each_number_of_candidates_continues_the_same_primers(
    tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(tiny_model_folder), "--midi", str(STARTER), "--out", str(tmp_path)]
    words += ["--split", "train", "--datasets", "asap", "--counts", "1", "2"]
    words += ["--count", "6", "--notes", "16", "--json", str(tmp_path / "figures.json")]

    assert main(words) == 0

    figures = json.loads((tmp_path / "figures.json").read_text())["candidates"]
    assert list(figures) == ["1", "2"]
    for found in figures.values():
        assert found["continuations"] == 6
        assert found["processor_s"] > 0
        assert set(found["statistics"]) == set(STATISTICS)
        for told in found["statistics"].values():
            assert told["low"] <= told["apart"] <= told["high"]
        assert 0 <= found["auc"]["value"] <= 1
    one, two = (figures[count]["statistics"]["pitch"] for count in ("1", "2"))
    assert one["human"] == two["human"]
    assert one["model"] != two["model"]
    assert "octaves_of_density" in capsys.readouterr().out


def test_the_test_split_is_not_for_choosing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["--model", "m", "--midi", "m", "--out", str(tmp_path), "--split", "test"])


def test_statistics_are_what_their_names_say() -> None:
    events = [
        event
        for at in range(8)
        for event in (
            TimedEvent(at / 4, NoteOn(60 + at % 2 * 12, 64)),
            TimedEvent(at / 4 + 0.125, NoteOff(60 + at % 2 * 12)),
        )
    ]

    told = {name: of(notes_of(events)) for name, of in STATISTICS.items()}

    assert told["octaves_of_density"] == pytest.approx(2.0)
    assert told["octaves_of_length"] == pytest.approx(-3.0)
    assert (told["pitch"], told["spread_of_pitch"]) == (66.0, 6.0)
    assert (told["velocity"], told["spread_of_velocity"]) == (64.0, 0.0)
    assert told["onset_interval_s"] == pytest.approx(0.25)
    assert (told["shorter_than_80_ms"], told["held_3_s"], told["pedal"]) == (0.0, 0.0, 0.0)
    assert np.isfinite(list(told.values())).all()
