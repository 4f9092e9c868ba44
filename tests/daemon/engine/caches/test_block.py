"""What a mask shows of a ring of blocks is the true past, whatever was overwritten and rewound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.engine.caches.block import BlockCache, most_at_once
from perceivers.graphs import CacheTensor

HEADS, WIDTH, VOCABULARY = 2, 6, 11
TABLE = np.random.default_rng(0).standard_normal((VOCABULARY, HEADS, WIDTH)).astype(np.float32)
REWIND = 40

Past = list[tuple[int, int]]  # position and token of every key


def make_cache(window: int, blocks: int, length: int) -> BlockCache:
    tensor = CacheTensor(
        "cross_0_keys", "cross", "blocks", window, "float32", (blocks, HEADS, WIDTH, length)
    )
    return BlockCache(tensor, TABLE, REWIND, most_at_once(tensor))


@st.composite
def caches(draw: st.DrawFn) -> BlockCache:
    window, length = draw(st.integers(1, 30)), draw(st.integers(1, 9))
    fewest = -(-window // length)
    return make_cache(window, draw(st.integers(fewest, fewest + 4)), length)


def turns_at(positions: np.ndarray) -> np.ndarray:
    angles = np.multiply.outer(positions.astype(np.float64), [1.0, 0.1, 0.01])
    return np.exp(1j * angles).astype(np.complex64)


def append(cache: BlockCache, past: Past, tokens: np.ndarray) -> None:
    start = past[-1][0] + 1 if past else 0
    positions = np.arange(start, start + len(tokens))
    cache.append(tokens, turns_at(positions))
    past += zip(positions.tolist(), tokens.tolist(), strict=True)


def key_of(position: int, token: int) -> np.ndarray:
    """Return the rotated key (H, D)."""
    first, second = TABLE[token, :, : WIDTH // 2], TABLE[token, :, WIDTH // 2 :]
    turn = turns_at(np.array([position]))[0]
    return np.concatenate(
        (first * turn.real - second * turn.imag, second * turn.real + first * turn.imag), axis=-1
    )


def check(cache: BlockCache, past: Past, count: int) -> None:
    """Check what each of the last `count` tokens sees against the true past."""
    memory = cache.mask_memory(count)
    cache.mask(count)
    assert set(np.unique(memory)) <= {0, -np.inf}
    for back in range(count):
        seen = past[: len(past) - back][-cache.window :]
        mask = memory[:, 0, count - 1 - back].reshape(-1)
        cells = np.flatnonzero(mask == 0)
        keys = cache.keys.transpose(0, 3, 1, 2).reshape(-1, HEADS, WIDTH)
        assert len(cells) == len(seen)
        for position, token in seen:
            distances = np.abs(keys[cells] - key_of(position, token)).max(axis=(1, 2))
            nearest = int(distances.argmin())
            assert distances[nearest] <= 1e-4
            assert cache.tokens[cells[nearest], 0] == token


actions = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "append", "rewind", "save", "restore"]),
        st.integers(1, 60),
    ),
    max_size=30,
)


@given(caches(), actions, st.integers(0, 1000))
def test_every_token_sees_its_own_past_and_nothing_else(
    cache: BlockCache, schedule: list[tuple[str, int]], seed: int
) -> None:
    random = np.random.default_rng(seed)
    past: Past = []
    saved = None

    for action, amount in schedule:
        count = 1
        if action == "append":
            append(cache, past, random.integers(0, VOCABULARY, amount))
            count = min(amount, most_at_once(cache.tensor))
        elif action == "rewind":
            target = max(cache.oldest, len(past) - amount)
            cache.rewind(target)
            del past[target:]
        elif action == "save":
            saved = cache.save(), list(past)
        elif saved is not None:
            cache.restore(saved[0])
            past = list(saved[1])
        if past and len(past) > cache.oldest:
            check(cache, past, min(count, len(past) - cache.oldest))


@given(caches(), st.integers(0, 300))
def test_as_many_tokens_as_promised_can_be_taken_back(cache: BlockCache, length: int) -> None:
    past: Past = []
    for _ in range(length):
        append(cache, past, np.array([3]))

        assert cache.oldest <= max(0, len(past) - REWIND)


def test_only_as_many_blocks_are_read_as_hold_anything() -> None:
    cache = make_cache(window=8, blocks=4, length=3)
    past: Past = []

    used = []
    for _ in range(14):
        append(cache, past, np.array([1]))
        used.append((cache.blocks_used, cache.keys.shape[0], len(cache.tokens)))

    assert used[:4] == [(1, 1, 3)] * 3 + [(2, 2, 6)]
    assert used[-1] == (4, 4, 12)
    assert cache.keys.flags.c_contiguous
    assert cache.mask_memory(2).flags.c_contiguous


def test_a_restart_elsewhere_knows_nothing_of_before() -> None:
    cache = make_cache(window=8, blocks=4, length=3)
    append(cache, [], np.full(20, 2))

    cache.restart(500)

    assert cache.oldest == 500
    assert cache.blocks_used == 0
    cache.append(np.array([4]), turns_at(np.array([500])))
    check(cache, [(500, 4)], 1)


def test_a_run_is_never_longer_than_the_ring_allows() -> None:
    tensor = CacheTensor("cross_0_keys", "cross", "blocks", 8, "float32", (4, HEADS, WIDTH, 3))

    assert most_at_once(tensor) == 5
    with pytest.raises(AssertionError):
        BlockCache(tensor, TABLE, REWIND, 6)
