"""The engine gives the logits of everything it was fed and has not forgotten, and no others."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.engine import Engine, RewindError
from daemon.engine.caches import keys
from export.verify import random_tokens
from perceivers.errors import ModelMismatch, PerformerError
from perceivers.graphs import blocks_of
from perceivers.manifest import MANIFEST_FILE, describe_file
from perceivers.model import PerceiverS
from tests.support.engine_schedule import Schedule, bytes_left_behind, distance, play, schedules
from tests.support.make_model import TINY, make_model

TOLERANCE = 1e-4  # measured: 5e-6
REWIND = 100
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    """Small matrices gain nothing from threads, and lose much on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> PerceiverS:
    return make_model()


@pytest.fixture(scope="module")
def shared_engine(tiny_model_folder: Path) -> Engine:
    return Engine.open(tiny_model_folder, precision="fp32", rewind_tokens=REWIND)


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    shared_engine.reset()
    return shared_engine


@pytest.fixture
def folder(tiny_model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))


def refusal(folder: Path, **choices: object) -> str:
    with pytest.raises(PerformerError) as caught:
        Engine.open(folder, **choices)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message


@settings(max_examples=60, deadline=None)
@given(schedules, st.integers(0, 1000))
def test_any_schedule_of_feeding_and_rewinding_gives_the_logits_of_what_is_left(
    tiny_engine_and_model: tuple[Engine, PerceiverS], schedule: Schedule, seed: int
) -> None:
    play(*tiny_engine_and_model, schedule, seed, REWIND, TOLERANCE)


@pytest.fixture(scope="module")
def tiny_engine_and_model(shared_engine: Engine, model: PerceiverS) -> tuple[Engine, PerceiverS]:
    return shared_engine, model


def test_a_turn_taken_back_token_by_token_leaves_no_trace(
    engine: Engine, model: PerceiverS
) -> None:
    heard, planned = random_tokens(TINY, 400).tolist(), random_tokens(TINY, 90, seed=1).tolist()
    for token in heard:
        engine.feed([token])
    marks = []
    for token in planned:
        marks.append(engine.mark())
        engine.feed([token])

    engine.rewind(marks[30])
    logits = engine.feed([7])
    engine.rewind(marks[0])
    again = engine.feed(planned[:31])

    assert distance(logits, model, [*heard, *planned[:30], 7]) <= TOLERANCE
    assert distance(again, model, [*heard, *planned[:31]]) <= TOLERANCE


def test_what_is_read_run_by_run_is_what_is_read_at_once(engine: Engine) -> None:
    tokens = random_tokens(TINY, 110).tolist()
    at_once = engine.feed(tokens)
    engine.reset()

    read = [(engine.position, logits[-1].copy()) for logits in engine.feeding(tokens)]

    assert len(read) > 1
    position, last = read[-1]
    assert position == len(tokens)
    np.testing.assert_array_equal(last, at_once)


def test_the_same_mark_can_be_returned_to_again(engine: Engine) -> None:
    engine.feed(random_tokens(TINY, 150).tolist())
    mark = engine.mark()

    first = engine.feed([1, 2, 3, 4, 5])
    engine.rewind(mark)
    engine.feed([9] * 90)
    engine.rewind(mark)

    assert np.abs(engine.feed([1, 2, 3, 4, 5]) - first).max() <= 1e-5


def test_what_lies_too_far_back_is_refused_and_nothing_changes(
    engine: Engine, model: PerceiverS
) -> None:
    mark = engine.mark()
    tokens = random_tokens(TINY, 700).tolist()
    for start in range(0, 700, 50):
        engine.feed(tokens[start : start + 50])

    with pytest.raises(RewindError, match="cannot rewind from token 700 to 0: kept is from") as e:
        engine.rewind(mark)

    assert "\n" not in str(e.value)
    assert isinstance(e.value, LookupError)
    assert distance(engine.feed([5]), model, [*tokens, 5]) <= TOLERANCE


def test_a_mark_of_an_undone_past_is_refused(engine: Engine) -> None:
    engine.feed([1, 2, 3])
    early = engine.mark()
    engine.feed([4, 5])
    undone = engine.mark()
    engine.rewind(early)
    engine.feed([6, 7, 8])

    with pytest.raises(RewindError, match="an earlier rewind or a reset ended it"):
        engine.rewind(undone)

    assert engine.position == 6


def test_a_mark_does_not_survive_a_reset(engine: Engine) -> None:
    mark = engine.mark()
    engine.reset()

    with pytest.raises(RewindError):
        engine.rewind(mark)


@pytest.mark.parametrize("precision", ["fp32", "int8", "fp16"])
@pytest.mark.parametrize("length", [0, 3, 70, 330, 700])
def test_after_a_restore_every_bit_is_as_it_was(
    tiny_model_folder: Path, precision: str, length: int
) -> None:
    engine = Engine.open(
        tiny_model_folder, precision=precision, provider="cpu", rewind_tokens=REWIND
    )
    later = random_tokens(TINY, 200, seed=1).tolist()
    if length:
        engine.feed(random_tokens(TINY, length).tolist())
    snapshot = engine.snapshot()
    first = [engine.feed([token]) for token in later]

    for _ in range(2):
        engine.feed([9] * 500)
        engine.reset()
        engine.feed([3] * 40)
        engine.restore(snapshot)

        assert engine.position == length
        np.testing.assert_array_equal([engine.feed([token]) for token in later], first)


def test_a_restore_ends_marks_and_is_itself_as_far_back_as_one_can_go(
    engine: Engine, model: PerceiverS
) -> None:
    tokens = random_tokens(TINY, 300).tolist()
    for token in tokens:
        engine.feed([token])
    early = engine.mark()
    engine.feed([5, 6])
    snapshot = engine.snapshot()
    tokens += [5, 6]

    engine.restore(snapshot)
    here = engine.mark()
    engine.feed([7] * 90)

    with pytest.raises(RewindError):
        engine.rewind(early)
    engine.rewind(here)
    assert distance(engine.feed([8]), model, [*tokens, 8]) <= TOLERANCE


def test_a_snapshot_holds_what_is_seen_and_hardly_more(engine: Engine) -> None:
    rows = sum(2 * 4 * TINY.dim * (window - 1) for window in TINY.self_windows)
    tokens_in_blocks = sum(blocks * length for blocks, length in map(blocks_of, (96, 24)))

    assert engine.snapshot().bytes == 0
    for token in random_tokens(TINY, 400).tolist():
        engine.feed([token])

    assert engine.snapshot().bytes == rows + tokens_in_blocks * (4 * TINY.dim + 8)


def test_the_snapshot_of_another_engine_is_refused(engine: Engine, tiny_model_folder: Path) -> None:
    other = Engine.open(tiny_model_folder, precision="fp32").snapshot()

    with pytest.raises(ValueError, match="by the engine that made it"):
        engine.restore(other)


@pytest.mark.slow
def test_a_step_leaves_nothing_behind(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "SPARE", 0)  # so that soon as much is let go of as is kept
    engine = Engine.open(tiny_model_folder, precision="fp32", rewind_tokens=100)

    assert bytes_left_behind(engine) < 500


@pytest.mark.parametrize("before", [0, 3, 200])
def test_a_long_primer_by_table_is_the_plain_path(
    engine: Engine, model: PerceiverS, before: int
) -> None:
    tokens = random_tokens(TINY, before + 500).tolist()
    for token in tokens[:before]:
        engine.feed([token])

    logits = engine.feed(tokens[before:])

    assert engine._deep_from == len(tokens)  # the older part came by table
    assert distance(logits, model, tokens) <= TOLERANCE
    for token in random_tokens(TINY, 150, seed=2).tolist():
        tokens.append(token)
        logits = engine.feed([token])
    assert distance(logits, model, tokens) <= TOLERANCE


def test_after_a_long_primer_one_can_rewind_to_its_end_and_not_into_it(
    engine: Engine, model: PerceiverS
) -> None:
    start = engine.mark()
    tokens = random_tokens(TINY, 500).tolist()
    engine.feed(tokens)
    mark = engine.mark()
    engine.feed([1] * 90)

    engine.rewind(mark)

    assert distance(engine.feed([2]), model, [*tokens, 2]) <= TOLERANCE
    with pytest.raises(RewindError):
        engine.rewind(start)


def test_the_graph_writes_into_the_engines_own_memory(engine: Engine) -> None:
    for cache in engine._store.rows:
        cache._memory[:] = 0

    engine.feed([1, 2, 3, 4, 5])

    for cache in engine._store.rows:
        for buffer in cache.buffers:
            assert np.abs(buffer[0, :, :5]).min(axis=-1).max() > 0
            assert not buffer[0, :, 5:].any()


def test_logits_that_were_returned_stay_as_they_were(engine: Engine) -> None:
    logits = engine.feed([1])
    kept = logits.copy()

    engine.feed([2])

    np.testing.assert_array_equal(logits, kept)
    assert logits.shape == (TINY.vocabulary_size,)
    assert logits.dtype == np.float32


@pytest.mark.parametrize("tokens", [[], [-1], [TINY.vocabulary_size], [[1, 2]]])
def test_what_are_no_tokens_is_refused_before_it_is_remembered(
    engine: Engine, tokens: list[int]
) -> None:
    with pytest.raises(ValueError, match="token"):
        engine.feed(tokens)

    assert engine.position == 0


def test_the_provider_is_the_one_that_runs(engine: Engine) -> None:
    assert engine.provider == "CPUExecutionProvider"


@pytest.mark.parametrize(
    ("precision", "chosen"),
    [("auto", "int8"), ("int8", "int8"), ("fp32", "fp32"), ("fp16", "fp16")],
)
def test_the_precision_is_the_chosen_one(
    tiny_model_folder: Path, precision: str, chosen: str
) -> None:
    engine = Engine.open(tiny_model_folder, precision=precision, provider="cpu")

    assert engine.precision == chosen


def test_without_an_int8_graph_auto_is_fp32(folder: Path) -> None:
    fields = json.loads((folder / MANIFEST_FILE).read_text())
    del fields["graphs"]["int8"]
    (folder / MANIFEST_FILE).write_text(json.dumps(fields))

    assert Engine.open(folder, provider="cpu").precision == "fp32"
    assert "holds no int8 graph; choose fp32, fp16 or auto" in refusal(folder, precision="int8")


def test_a_choice_that_does_not_exist_is_refused_with_those_that_do(folder: Path) -> None:
    assert "auto, int8, fp32, fp16, not 'int4'" in refusal(folder, precision="int4")
    assert "auto, cpu, cuda, not 'tpu'" in refusal(folder, provider="tpu")


def test_a_truncated_graph_is_refused(folder: Path) -> None:
    graph = folder / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:1000])

    assert "an incomplete copy" in refusal(folder)


def test_a_graph_without_a_cache_is_refused(folder: Path) -> None:
    graph = onnx.load(folder / "model.onnx")
    for tensor in (*graph.graph.input, *graph.graph.node):
        if tensor.name == "self_0_keys":
            tensor.name = "renamed"
    for node in graph.graph.node:
        node.input[:] = ["renamed" if name == "self_0_keys" else name for name in node.input]
    replace_graph(folder, graph.SerializeToString())

    assert "cache self_0_keys is missing" in refusal(folder, precision="fp32")


def test_a_graph_that_the_runtime_cannot_read_is_refused(folder: Path) -> None:
    replace_graph(folder, b"no graph")

    message = refusal(folder, precision="fp32")

    assert "ONNX Runtime cannot load it" in message


def replace_graph(folder: Path, content: bytes) -> None:
    """Change the graph, and the manifest's promise with it."""
    path = folder / "model.onnx"
    path.write_bytes(content)
    fields = json.loads((folder / MANIFEST_FILE).read_text())
    file = describe_file(path)
    fields["graphs"]["fp32"] = {"name": file.name, "bytes": file.bytes, "sha256": file.sha256}
    (folder / MANIFEST_FILE).write_text(json.dumps(fields))


def test_a_missing_folder_is_a_model_mismatch(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch):
        Engine.open(tmp_path / "nowhere")


@pytest.mark.processes
def test_the_engine_plays_without_torch_and_keeps_stderr_clean(tiny_model_folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from daemon.engine import Engine; "
        "Engine.open(Path(sys.argv[1])).feed([1, 2, 3]); "
        "print(sorted({'torch', 'onnx', 'mido'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(tiny_model_folder)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )

    assert (done.stdout.strip(), done.stderr) == ("[]", "")
