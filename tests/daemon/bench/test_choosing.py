"""What choosing costs a turn is measured on a real brain in a process of its own."""

import json
from pathlib import Path

import pytest

from daemon.bench.choosing import main


@pytest.mark.processes
def test_a_turn_is_timed_for_each_number_of_candidates(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "choosing.json"
    words = [str(tiny_model_folder), "--counts", "1", "3", "--seconds", "3", "--json", str(path)]

    assert main(words) == 0

    rows = json.loads(path.read_text())["rows"]
    assert [row["candidates"] for row in rows] == [1, 3]
    for row in rows:
        assert row["notes"] > 0
        assert row["first_note_ms"] > 0
        assert row["least_lead_ms"] <= row["median_lead_ms"]


@pytest.mark.processes
def test_a_folder_that_is_no_model_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--counts", "1"]) == 2

    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "manifest.json" in error
