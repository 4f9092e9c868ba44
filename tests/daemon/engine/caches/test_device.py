"""Caches that stay on a device give the same logits as those of the host, by the same promises.

The device is the CPU where there is no other: all but its name is the same.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.engine import Engine, RewindError
from daemon.engine.caches import device as device_cache
from daemon.engine.caches import keys
from daemon.engine.caches.device import DeviceCache
from daemon.engine.caches.row_mover import RowMover
from daemon.engine.runtime import CPU, allocate
from export.verify import random_tokens
from perceivers.graphs import CROSS_LAYOUTS, CacheTensor
from perceivers.model import PerceiverS
from tests.support.engine_schedule import Schedule, bytes_left_behind, distance, play, schedules
from tests.support.make_model import TINY, make_model, make_model_folder

pytestmark = pytest.mark.slow

TOLERANCES = {"fp32": 1e-4, "fp16": 0.05}  # measured: 4e-6, 7e-3
REWIND = 100
SLACK = 40  # rows: so that they move often


@pytest.fixture(scope="module")
def model() -> PerceiverS:
    return make_model()


@pytest.fixture(scope="module")
def rows_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder whose float32 graph, too, is of the form that a device runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CROSS_LAYOUTS, "fp32", "rows")
        return make_model_folder(tmp_path_factory.mktemp("model") / "rows")


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def shared_engine(rows_folder: Path, request: pytest.FixtureRequest) -> Engine:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_cache, "SLACK_ROWS", SLACK)
        return open_engine(rows_folder, request.param)


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    shared_engine.reset()
    return shared_engine


def open_engine(folder: Path, precision: str) -> Engine:
    return Engine.open(
        folder, precision=precision, provider="cpu", rewind_tokens=REWIND, on_device=True
    )


@settings(max_examples=60, deadline=None)
@given(schedules, st.integers(0, 1000))
def test_any_schedule_gives_the_logits_of_what_is_left(
    shared_engine: Engine, model: PerceiverS, schedule: Schedule, seed: int
) -> None:
    play(shared_engine, model, schedule, seed, REWIND, TOLERANCES[shared_engine.precision])


@pytest.mark.parametrize("chunk", [1, 3, 17, 40, 500])
def test_any_chunks_past_every_window_and_past_the_context_give_the_same(
    engine: Engine, model: PerceiverS, chunk: int
) -> None:
    tokens = random_tokens(TINY, 500).tolist()

    for start in range(0, len(tokens), chunk):
        logits = engine.feed(tokens[start : start + chunk])

    assert distance(logits, model, tokens) <= TOLERANCES[engine.precision]


def test_with_the_slack_that_plays_it_agrees_with_the_caches_of_the_host(
    rows_folder: Path,
) -> None:
    tokens = random_tokens(TINY, 6000).tolist()
    host = Engine.open(rows_folder, precision="fp32", rewind_tokens=REWIND)
    device = open_engine(rows_folder, "fp32")

    for start, stop in ((0, 1), (1, 3000), (3000, 3003), (3003, 5990), (5990, 6000)):
        expected = host.feed(tokens[start:stop])
        found = device.feed(tokens[start:stop])

        assert np.abs(found - expected).max() <= TOLERANCES["fp32"]
    assert device.most_at_once == 1024


def test_one_can_rewind_as_far_as_promised_and_no_further(
    engine: Engine, model: PerceiverS
) -> None:
    tokens = random_tokens(TINY, 700).tolist()
    marks = []
    for token in tokens:
        marks.append(engine.mark())
        engine.feed([token])

    with pytest.raises(RewindError, match="cannot rewind from token 700 to 300"):
        engine.rewind(marks[300])
    engine.rewind(marks[600])

    assert distance(engine.feed([5]), model, [*tokens[:600], 5]) <= TOLERANCES[engine.precision]


@pytest.mark.parametrize("length", [0, 3, 70, 330])
def test_after_a_restore_every_bit_is_as_it_was(engine: Engine, length: int) -> None:
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

        np.testing.assert_array_equal([engine.feed([token]) for token in later], first)


def test_a_snapshot_on_a_device_holds_what_one_of_the_host_does(engine: Engine) -> None:
    width = 2 if engine.precision == "fp16" else 4
    rows = sum(2 * width * TINY.dim * (window - 1) for window in (96, 24, *TINY.self_windows))

    engine.feed(random_tokens(TINY, 400).tolist())

    assert engine.snapshot().bytes == rows


def test_a_buffer_stays_where_it_is(engine: Engine) -> None:
    before = [value.data_ptr() for cache in engine._store.rows for value in cache.values]

    engine.feed(random_tokens(TINY, 400).tolist())
    engine.restore(engine.snapshot())

    after = [value.data_ptr() for cache in engine._store.rows for value in cache.values]
    assert after == before


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_step_leaves_nothing_behind(
    rows_folder: Path, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_cache, "SLACK_ROWS", SLACK)
    monkeypatch.setattr(keys, "SPARE", 0)

    assert bytes_left_behind(open_engine(rows_folder, precision)) < 500


@given(st.integers(1, 30), st.integers(0, 40), st.lists(st.integers(1, 7), max_size=60))
def test_as_many_rows_as_promised_can_be_taken_back(
    window: int, rewind_tokens: int, feeds: list[int]
) -> None:
    tensor = CacheTensor("self_0_keys", "self", "rows", window, "float32", (1, 2, window + 1, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_cache, "SLACK_ROWS", 7)
        cache = DeviceCache([tensor], rewind_tokens, RowMover(CPU, np.float32))
    position = 0

    for count in feeds:
        cache.make_room(count)
        cache.advance(count)
        position += count

        assert cache.oldest <= max(0, position - rewind_tokens)
        assert cache.rows[0] <= cache.capacity


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_rows_move_within_a_buffer_and_between_two(dtype: type[np.floating]) -> None:
    mover = RowMover(CPU, dtype)
    content = np.arange(80).reshape(1, 2, 10, 4).astype(dtype)
    buffer = allocate(content.shape, dtype, CPU)
    buffer.update_inplace(content)

    cut = mover.cut(buffer, 3, 8)
    mover.move(buffer, 2, 10, buffer, 0)

    np.testing.assert_array_equal(cut.numpy(), content[:, :, 3:8])
    np.testing.assert_array_equal(buffer.numpy()[:, :, :8], content[:, :, 2:])
    assert not buffer.numpy()[:, :, 8:].any()
    mover.move(cut, 0, 5, buffer, 4)
    np.testing.assert_array_equal(buffer.numpy()[:, :, 4:9], content[:, :, 3:8])
    assert not buffer.numpy()[:, :, :4].any()
