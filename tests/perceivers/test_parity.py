"""Streaming equals training: at the attention, in the model, and in the engine that plays."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from daemon.engine import Engine
from daemon.engine.replay import replay
from export.verify import full_logits, last_logits, random_tokens, stepped_logits
from perceivers.architecture import Architecture
from perceivers.attention import blockwise_attention, dense_attention, prefix_attention
from perceivers.cache import KeyValue
from perceivers.model import PerceiverS
from tests.support.make_model import TINY, make_model, make_model_folder

TOLERANCE = 1e-4  # measured: 4e-6
CHUNKS = (1, 3, 8, 64)
LENGTHS = {"below N": 20, "N to M": 80, "beyond M": 300}
SHAPES = {
    "two scales": TINY,
    "one scale": Architecture(64, 2, 128, 40, 16, (None,), (4, 6)),
    "three scales": Architecture(32, 4, 64, 50, 20, (None, 16, 7), (20,)),
    "equal scales": Architecture(64, 1, 96, 48, 20, (12, 12), (6, 6)),
}


@pytest.fixture(scope="module")
def model() -> PerceiverS:
    return make_model()


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small matrices gain nothing from threads, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def engine(tiny_model_folder: Path) -> Engine:
    return Engine.open(tiny_model_folder, precision="fp32")


@pytest.mark.parametrize("window", [1, 2, 7, 24, 200])
@pytest.mark.parametrize("chunk", CHUNKS)
def test_attention_over_a_trimmed_cache_is_banded_attention(window: int, chunk: int) -> None:
    q, k, v = torch.randn(3, 1, 2, 100, 16, generator=torch.Generator().manual_seed(0))

    memory = KeyValue(k[..., :0, :], v[..., :0, :])
    parts = []
    for start in range(0, 100, chunk):
        step = slice(start, start + chunk)
        memory = memory.extended(k[..., step, :], v[..., step, :])
        parts.append(dense_attention(q[..., step, :], *memory, window))
        memory = memory.trimmed(window)

    expected = blockwise_attention(q, k, v, window)
    torch.testing.assert_close(torch.cat(parts, -2), expected, atol=1e-5, rtol=0)


def test_attention_to_a_prefix_is_dense_attention() -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 2, 30, 16, generator=generator)
    k, v = torch.randn(2, 2, 2, 90, 16, generator=generator)

    torch.testing.assert_close(
        prefix_attention(q, k, v, None), dense_attention(q, k, v, 90), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS.keys())
@pytest.mark.parametrize("chunk", CHUNKS)
def test_the_model_in_steps_is_the_full_forward_pass(
    model: PerceiverS, length: int, chunk: int
) -> None:
    tokens = random_tokens(TINY, length)

    difference = np.abs(stepped_logits(model, tokens, chunk) - full_logits(model, tokens))

    assert difference.max() <= TOLERANCE


@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS.keys())
@pytest.mark.parametrize("chunk", CHUNKS)
def test_the_engine_in_chunks_is_the_full_forward_pass(
    model: PerceiverS, engine: Engine, length: int, chunk: int
) -> None:
    tokens = random_tokens(TINY, length)
    reference = full_logits(model, tokens)

    logits = replay(engine, tokens, chunk)

    assert logits.shape == reference.shape
    assert np.abs(logits - reference).max() <= TOLERANCE


@pytest.mark.processes
@pytest.mark.parametrize("architecture", SHAPES.values(), ids=SHAPES.keys())
def test_every_shape_of_model_plays_as_it_was_trained(
    architecture: Architecture, tmp_path: Path
) -> None:
    tokens = random_tokens(architecture, 180)
    reference = full_logits(make_model(architecture, seed=1), tokens)

    engine = Engine.open(make_model_folder(tmp_path / "m", architecture, 1), precision="fp32")

    assert np.abs(replay(engine, tokens, 5) - reference).max() <= TOLERANCE


@pytest.mark.parametrize("length", [40, 128, 300])
def test_a_training_crop_predicts_what_streaming_predicts(
    model: PerceiverS, engine: Engine, length: int
) -> None:
    tokens = random_tokens(TINY, length)
    cropped = last_logits(model, tokens)

    logits = replay(engine, tokens, 8)[-len(cropped) :]

    assert np.abs(logits - cropped).max() <= TOLERANCE


def test_eight_bit_weights_predict_nearly_the_same(
    model: PerceiverS, tiny_model_folder: Path
) -> None:
    tokens = random_tokens(TINY, 200)
    reference = full_logits(model, tokens)
    engine = Engine.open(tiny_model_folder, precision="int8")

    difference = np.abs(replay(engine, tokens, 8) - reference)

    assert 1e-4 < difference.mean() < 0.05  # measured: 0.016, on logits of deviation 1


def test_half_precision_predicts_nearly_the_same(
    model: PerceiverS, tiny_model_folder: Path
) -> None:
    tokens = random_tokens(TINY, 200)
    reference = full_logits(model, tokens)
    engine = Engine.open(tiny_model_folder, precision="fp16")

    difference = np.abs(replay(engine, tokens, 8) - reference)

    assert 1e-5 < difference.mean() < 0.005


def test_logits_do_not_drift_after_many_hours(engine: Engine) -> None:
    """A rotation depends on the distance of two tokens; a far position must not blur it."""
    tokens = random_tokens(TINY, 120)
    near = replay(engine, tokens, 8)

    engine._restart_at(100_000_000)
    far = np.concatenate([engine.read(tokens[i : i + 8]).copy() for i in range(0, 120, 8)])

    assert np.abs(far - near).max() <= TOLERANCE  # measured: 4e-6
