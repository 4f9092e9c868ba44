"""How many notes a machine can play is told from one step, and what to choose if they are few."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.brain.pace import ENOUGH_NOTES_PER_S, TOKENS_PER_NOTE, advice, full_step_ms, notes_per_s
from perceivers.manifest import read_manifest, write_manifest

SMALL = Path(__file__).resolve().parents[3] / "models" / "small"
SLOW_MS = 1000.0


@pytest.fixture
def folder(tiny_model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "mine"))


def neighbour(folder: Path, name: str, parameters: int) -> Path:
    """Copy a folder beside it, and let its manifest count other parameters."""
    other = Path(shutil.copytree(folder, folder.parent / name))
    write_manifest(other, replace(read_manifest(other), parameters=parameters))
    return other


def test_notes_are_steps_by_the_tokens_of_a_note() -> None:
    assert notes_per_s(10.0) == pytest.approx(100 / TOKENS_PER_NOTE)
    assert notes_per_s(0.0) == float("inf")


def test_a_full_memory_takes_longer_by_what_there_is_to_read() -> None:
    manifest = read_manifest(SMALL)

    assert full_step_ms(manifest, "int8", 0.25) > 0.25 + 0.2  # 35 MB, at 350 GB a second
    assert full_step_ms(manifest, "int8", 5.0) > 5.0


def test_nothing_is_advised_where_a_full_memory_is_quick_enough(folder: Path) -> None:
    enough_ms = 1000 / (TOKENS_PER_NOTE * ENOUGH_NOTES_PER_S)

    assert advice(folder, read_manifest(folder), "int8", 0.99 * enough_ms) is None
    assert advice(folder, read_manifest(folder), "int8", 1.01 * enough_ms) is not None


def test_the_eight_bit_graph_is_advised_before_another_model(folder: Path) -> None:
    enough_ms = 1000 / (TOKENS_PER_NOTE * ENOUGH_NOTES_PER_S)
    neighbour(folder, "smaller", 1)

    told = advice(folder, read_manifest(folder), "fp32", 1.05 * enough_ms)

    assert told is not None
    assert "choose precision: int8 (engine, in the settings file)" in told


def test_a_smaller_model_that_stands_beside_is_named(folder: Path) -> None:
    neighbour(folder, "smaller", 1)
    neighbour(folder, "larger", 10**9)
    (neighbour(folder, "broken", 2) / "model.onnx").write_bytes(b"")

    told = advice(folder, read_manifest(folder), "int8", SLOW_MS)

    assert told is not None
    assert f"choose --model {folder.parent / 'smaller'}, about 0 notes a second" in told
    assert "\n" not in told


def test_without_a_smaller_one_beside_it_any_smaller_model_is_advised(folder: Path) -> None:
    told = advice(folder, read_manifest(folder), "int8", SLOW_MS)

    assert told is not None
    assert told.startswith("too slow for real time: about 0.2 notes a second")
    assert told.endswith("choose a smaller model: --model FOLDER")
