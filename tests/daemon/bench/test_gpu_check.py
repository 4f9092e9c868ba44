"""The check of a GPU runs on the CPU as well, where it finds that all is well."""

import json
from pathlib import Path

import numpy as np
import pytest

from daemon.bench import gpu_check
from daemon.bench.measures import agreement
from daemon.bench.measures.graph_replay import try_replay
from daemon.engine import Engine
from daemon.engine.runtime import CPU, require_cuda
from export.verify import random_tokens
from perceivers.errors import PerformerError
from tests.support.make_model import TINY


@pytest.mark.slow
def test_it_tells_where_nodes_run_what_they_give_and_how_fast(
    tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"

    code = gpu_check.main(
        [str(tiny_model_folder), "--provider", "cpu", "--graph", "--json", str(out)]
    )

    told, found = capsys.readouterr().out, json.loads(out.read_text())
    assert code == 0
    assert found["problems"] == []
    assert found["provider"] == "CPUExecutionProvider"
    assert found["nodes"]["CPUExecutionProvider"]["GroupQueryAttention"] == len(
        TINY.scales + TINY.windows
    )
    assert [part["tokens"] for part in found["agreements"]] == [64, 256, 256]
    assert all(0 < part["kl_nats"] < 1e-5 for part in found["agreements"])
    assert [row["context"] for row in found["rows"]] == [0, TINY.context]
    assert all(row["floor_ms"] > 0 for row in found["rows"])
    assert found["replay"]["is_exact"]
    assert f"{TINY.context}..{TINY.context + 255}, one by one" in told
    assert "PROBLEM" not in told


def test_without_a_gpu_it_ends_with_one_line(
    tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        require_cuda()
    except PerformerError:
        pass
    else:
        pytest.skip("CUDA can be used on this machine")

    code = gpu_check.main([str(tiny_model_folder)])

    told = capsys.readouterr()
    assert (code, told.out) == (2, "")
    assert told.err.startswith("error: CUDA cannot be used: ")
    assert told.err.count("\n") == 1


def test_a_model_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert gpu_check.main([str(tmp_path / "none"), "--provider", "cpu"]) == 2


def test_too_little_music_is_refused(tiny_model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PerformerError, match="0 MIDI files hold 0 tokens, 1,120 are needed"):
        gpu_check.check(tiny_model_folder, CPU, [], with_replay=False)


def test_a_step_that_is_told_the_whole_capacity_is_the_same_step(tiny_model_folder: Path) -> None:
    engine = Engine.open(tiny_model_folder, precision="fp16", provider="cpu", on_device=True)
    engine.feed(random_tokens(TINY, 300).tolist())

    replay = try_replay(tiny_model_folder, engine, CPU, random_tokens(TINY, 50, seed=1).tolist())

    assert replay.is_exact
    assert engine.position == 350


def test_what_is_no_number_stays_none_when_two_engines_are_compared() -> None:
    numbers, none = np.zeros((2, 3), np.float32), np.full((2, 3), np.nan, np.float32)

    assert np.isnan(agreement.compare("0..1", numbers, none).kl_nats)


def test_nodes_elsewhere_and_a_divergence_are_problems() -> None:
    part = gpu_check.Agreement("0..9", 10, 1.0, 1.0, float("nan"), 0.5)

    problems = gpu_check._problems(CPU, {"OtherProvider": {"Add": 2, "Mul": 1}}, [part])

    assert problems == [
        "3 nodes run on OtherProvider: 2 Add, 1 Mul",
        "divergence of nan nats over 0..9, allowed is 1e-04",
    ]
