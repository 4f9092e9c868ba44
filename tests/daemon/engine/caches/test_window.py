"""The rows of a window are the newest ones, whatever was compacted and rewound in between."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from daemon.engine.caches.window import WindowCache
from perceivers.graphs import CacheTensor

HISTORY = 40


def make_cache(window: int, slack: int) -> WindowCache:
    shape = (1, 2, window + slack, 3)
    tensors = [
        CacheTensor(f"self_0_{part}", "self", "rows", window, "float32", shape) for part in "kv"
    ]
    return WindowCache(tensors, HISTORY)


def rows_at(positions: np.ndarray, branch: int) -> np.ndarray:
    """Return rows (tensors, H, T, D) that tell position, branch and place apart."""
    place = np.arange(12, dtype=np.float32).reshape(2, 2, 1, 3) / 16
    return (positions[None, None, :, None] + 1000 * branch + place).astype(np.float32)


def visible(cache: WindowCache) -> np.ndarray:
    """Return what the next token can see besides itself."""
    fill = int(cache.rows[0])
    return np.concatenate(cache.buffers)[:, :, max(0, fill - cache.window) : fill - 1]


actions = st.lists(
    st.tuples(st.sampled_from(["append", "append", "append", "rewind"]), st.integers(0, 60)),
    max_size=40,
)


@given(st.integers(1, 30), st.integers(1, 20), actions)
def test_the_visible_rows_are_those_of_the_true_past(
    window: int, slack: int, schedule: list[tuple[str, int]]
) -> None:
    cache = make_cache(window, slack)
    past = np.zeros((2, 2, 0, 3), np.float32)

    for branch, (action, amount) in enumerate(schedule):
        length = past.shape[2]
        if action == "append":
            rows = rows_at(np.arange(length, length + amount), branch)
            cache.append(rows)
            past = np.concatenate((past, rows), axis=2)
        else:
            target = max(cache.oldest, length - amount)
            cache.rewind(target)
            past = past[:, :, :target]
        cache.make_room(1)
        np.testing.assert_array_equal(
            visible(cache), past[:, :, max(0, past.shape[2] - window + 1) :]
        )


@given(st.integers(1, 30), st.integers(1, 20), st.integers(0, 300))
def test_as_many_rows_as_promised_can_be_taken_back(window: int, slack: int, length: int) -> None:
    cache = make_cache(window, slack)

    for position in range(length):
        cache.append(rows_at(np.array([position]), 0))

        assert cache.oldest <= max(0, position + 1 - HISTORY)


def test_a_buffer_stays_where_it_is() -> None:
    cache = make_cache(8, 4)
    before = [buffer.ctypes.data for buffer in cache.buffers]

    cache.append(rows_at(np.arange(100), 0))
    cache.rewind(70)

    assert [buffer.ctypes.data for buffer in cache.buffers] == before
    assert all(buffer.flags.c_contiguous for buffer in cache.buffers)


def test_a_restart_elsewhere_knows_nothing_of_before() -> None:
    cache = make_cache(8, 4)
    cache.append(rows_at(np.arange(20), 0))

    cache.restart(500)

    cache.make_room(1)
    assert (cache.rows[0], cache.last_row[0]) == (1, 0)
    assert cache.oldest == 500
