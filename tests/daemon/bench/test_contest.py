"""Contestants are the same model, the protocol carries, and the benchmarks write what they say."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.bench import contest
from daemon.bench import engine as benchmark
from daemon.bench.check import Check, contest_checks, engine_checks
from daemon.bench.contest import Row, best_torch, row_of
from daemon.bench.contestants.in_place import InPlaceModel
from daemon.bench.contestants.process import ContestProcess
from daemon.bench.contestants.protocol import random_tokens
from daemon.bench.measures.bandwidth import Reader
from daemon.bench.measures.footprint import PARTS
from daemon.bench.measures.footprint import measure as measure_footprint
from daemon.engine import Engine
from daemon.engine.step_bytes import step_bytes
from export.verify import stepped_logits
from perceivers.errors import PerformerError
from perceivers.model import PerceiverS
from tests.support.make_model import TINY, make_checkpoint, make_model

ROOT = Path(__file__).resolve().parents[3]
SMALL = ROOT / "models" / "small"
LENGTH = 2 * TINY.context + 20

Streamed = tuple[PerceiverS, NDArray[np.int64], NDArray[np.float32]]


@pytest.fixture(scope="module")
def streamed() -> Streamed:
    """Return a model, tokens, and the logits after each of them."""
    model = make_model()
    tokens = np.random.default_rng(0).integers(0, TINY.vocabulary_size, LENGTH)
    return model, tokens, stepped_logits(model, tokens, 1)


@pytest.mark.parametrize("is_turned", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize("filled", [0, 1, 20, TINY.context - 1, TINY.context + 40])
def test_torch_in_place_gives_the_streaming_logits(
    streamed: Streamed, filled: int, is_turned: bool
) -> None:
    model, tokens, expected = streamed
    stream = InPlaceModel(model, is_turned=is_turned)

    stream.fill(tokens[:filled].tolist())
    found = np.stack([stream.step(int(token)).numpy() for token in tokens[filled:]])

    assert np.abs(found - expected[filled:]).max() < 1e-4


def test_filling_again_forgets_what_was_before() -> None:
    stream = InPlaceModel(make_model(), is_turned=False)
    tokens = random_tokens(TINY.vocabulary_size, 60)
    stream.fill(tokens)
    first = stream.step(3)
    stream.fill(random_tokens(TINY.vocabulary_size, 130, seed=1))
    stream.fill(tokens)

    assert float((stream.step(3) - first).abs().max()) < 1e-6


@pytest.mark.processes
def test_contest_of_real_processes(
    tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = make_checkpoint(tmp_path / "random.pt")
    figures, picture = tmp_path / "contest.json", tmp_path / "contest.png"
    torch = ["--checkpoint", str(checkpoint), "--torch-python", sys.executable]
    forms = ["--torch-forms", "torch-eager", "torch-eager-turned"]
    written_to = ["--json", str(figures), "--picture", str(picture)]

    code = contest.main(
        [str(tiny_model_folder), *torch, *forms, *written_to, "--rounds", "2", "--steps", "3"]
    )

    assert code == 0
    written = json.loads(figures.read_text())
    names = {"engine-fp32", "engine-int8", "torch-eager", "torch-eager-turned"}
    assert {row["contestant"] for row in written["rows"]} == names
    assert {row["context"] for row in written["rows"]} == {TINY.context}
    assert all(0 < row["least_ms"] <= row["greatest_ms"] for row in written["rows"])
    assert written["largest_logit_difference"]["torch-eager"] < contest.TOLERANCE
    assert written["largest_logit_difference"]["engine-int8"] > contest.TOLERANCE
    assert picture.stat().st_size > 10_000
    assert "x faster than torch" in capsys.readouterr().out


@pytest.mark.processes
def test_another_model_is_refused_before_anything_is_timed(
    tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_checkpoint(tmp_path / "other.pt", seed=1)
    torch = ["--checkpoint", str(other), "--torch-python", sys.executable]
    forms = ["--torch-forms", "torch-eager"]

    code = contest.main(
        [str(tiny_model_folder), *torch, *forms, "--json", str(tmp_path / "none.json")]
    )

    assert code == 2
    assert "export the folder anew" in capsys.readouterr().err
    assert not (tmp_path / "none.json").exists()


@pytest.mark.processes
@pytest.mark.parametrize("script", [contest.NOTOCHORD, contest.PERCEIVER_IO], ids=lambda p: p.stem)
def test_python_without_the_peer_is_named(script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PerformerError, match="peer: ended with exit code 2"):
        ContestProcess("peer", [sys.executable, str(script)])

    assert "has no module" in capfd.readouterr().err


def test_missing_python_is_named() -> None:
    with pytest.raises(PerformerError, match="peer: cannot start /no/python"):
        ContestProcess("peer", ["/no/python"])


def test_row_sums_up_rounds() -> None:
    row = row_of("anyone", 8, [[1.0, 2.0, 9.0], [4.0, 4.0, 4.0]], 2.0)

    assert row == Row("anyone", 8, 4.0, 2.0, 4.0, 2.0)
    assert row.note_ms == 8.0


def test_best_torch_is_the_fastest_form_at_that_context() -> None:
    rows = [
        Row("torch-eager", 8, 3.0, 3.0, 3.0, 4.7),
        Row("torch-eager-turned", 8, 2.0, 2.0, 2.0, 4.7),
        Row("torch-eager", 9, 1.0, 1.0, 1.0, 4.7),
        Row("engine-fp32", 8, 1.0, 1.0, 1.0, 4.7),
    ]

    best = best_torch(rows, 8)

    assert best is not None
    assert best.contestant == "torch-eager-turned"
    assert best_torch(rows, 10) is None


def test_bytes_of_a_step_are_those_of_matrices_and_visible_rows() -> None:
    engine = Engine.open(SMALL, precision="fp32")
    architecture = engine.manifest.architecture
    attentions = 10 + 10 + 12 * len(architecture.windows)
    attentions -= not architecture.knows_keys  # then the first query is looked up
    tables = len(architecture.scales) * architecture.dim * 397  # what an attention finds of tokens
    matrices = 4 * (attentions * architecture.dim**2 + architecture.dim * 397 + tables)
    row = 4 * architecture.dim

    assert step_bytes(engine.manifest, "fp32", 0) == pytest.approx(matrices, rel=0.01)
    assert step_bytes(engine.manifest, "fp32", 10) - step_bytes(
        engine.manifest, "fp32", 0
    ) == 10 * row * (2 + 2 * 6)
    assert (
        step_bytes(engine.manifest, "fp32", 20_001) - step_bytes(engine.manifest, "fp32", 20_000)
        == row
    )


@pytest.mark.parametrize("size", [4096, 100_001, 2**20])
def test_reading_takes_time(size: int) -> None:
    assert Reader(2**20).read_ms(size) > 0


def test_footprint_of_a_tiny_model(tiny_model_folder: Path) -> None:
    found = measure_footprint(tiny_model_folder, "fp32", 200)

    assert list(found.memory_mb) == [0, TINY.context]
    assert min(found.memory_mb.values()) > 1
    assert len(found.run_ms) == len(found.run_memory_mb) == PARTS
    assert found.open_s > 0


@pytest.mark.processes
def test_benchmark_writes_every_cell(
    tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures, picture = tmp_path / "engine.json", tmp_path / "engine.png"
    few = ["--rounds", "2", "--steps", "5", "--run", "100"]
    written_to = ["--json", str(figures), "--picture", str(picture)]

    code = benchmark.main([str(tiny_model_folder), *few, *written_to])

    assert code == 0
    written = json.loads(figures.read_text())
    cells = {(row["precision"], row["context"]) for row in written["rows"]}
    assert cells == {(name, context) for name in ("int8", "fp32") for context in (0, TINY.context)}
    assert all(row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"] for row in written["rows"])
    assert all(row["floor_ms"] > 0 for row in written["rows"])
    assert picture.stat().st_size > 10_000
    assert "opened in" in capsys.readouterr().out
    assert len(list(engine_checks(written))) == 6


def test_wrong_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_checks_name_what_fails() -> None:
    times = {"engine-fp32": 4.0, "torch-eager": 8.0, "torch-compiled": 5.0}
    rows = [{"contestant": name, "context": 9, "p50_ms": ms} for name, ms in times.items()]

    eager, compiled = contest_checks({"rows": rows})

    assert eager.holds
    assert str(compiled) == (
        "FAILS: engine-fp32 against torch-compiled with 9 tokens, times: 1.25, at least 1.5"
    )
    assert not Check("nothing", float("nan"), most=1.0).holds
