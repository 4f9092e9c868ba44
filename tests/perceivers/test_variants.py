"""The model's variants: each one that can stream does so exactly; dropout and carried latents."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from daemon.engine import Engine
from daemon.engine.replay import replay
from export.export_onnx import export
from export.verify import full_logits, last_logits, random_tokens, stepped_logits
from perceivers.architecture import COMBINATIONS, Architecture
from perceivers.attention import blockwise_attention, prefix_attention
from perceivers.cache import empty_cache
from perceivers.errors import ModelMismatch
from perceivers.model import PerceiverS
from tests.support.make_model import TINY, make_checkpoint, make_model, make_model_folder

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4  # measured: 4e-6
LENGTHS = {"below N": 20, "N to M": 80, "beyond M": 150}
SCALES = {"one scale": (None,), "two scales": (None, 24), "three scales": (None, 24, 7)}
GOLDEN = [-2.197, 1.8715, -0.5668, -0.1073, 1.1464, -0.2943, 0.9809, 0.5779]
DECODER = Architecture(64, 2, 128, 32, 32, (), (6, 8, 10, 5))
CARRIED = Architecture(
    64, 2, 128, 96, 32, (None, 24), (12, 12, 12, 12), carried=20, knows_keys=True
)


def variant(combine: str, scales: tuple[int | None, ...]) -> Architecture:
    return Architecture(64, 2, 128, 96, 32, scales, (6, 8, 10, 5), combine=combine)


STREAMING = {
    **{
        f"{combine}, {name}": variant(combine, scales)
        for combine in COMBINATIONS
        for name, scales in SCALES.items()
    },
    "no scales": DECODER,
    "no scales, long context": variant("cascade", ()),
    "no layers": Architecture(64, 2, 128, 96, 32, (None, 24), ()),
    "one layer over all latents": Architecture(64, 2, 128, 96, 32, (None, 24), (None,)),
    "carried latents": CARRIED,
}


def with_numpy_weights(model: PerceiverS) -> PerceiverS:
    """Give a model weights that are the same on every machine and with every version of torch."""
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for _, weight in sorted(model.named_parameters()):
            drawn = rng.standard_normal(tuple(weight.shape)) * weight.shape[-1] ** -0.5
            weight.copy_(torch.from_numpy(drawn + (weight.dim() == 1)))
    return model.eval()


def tokens_of(architecture: Architecture, rows: int, length: int) -> Tensor:
    return torch.from_numpy(random_tokens(architecture, rows * length)).view(rows, length)


@pytest.mark.parametrize("architecture", STREAMING.values(), ids=STREAMING.keys())
@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS.keys())
def test_a_variant_in_steps_is_its_full_forward_pass(
    architecture: Architecture, length: int
) -> None:
    model, tokens = make_model(architecture), random_tokens(architecture, length)
    reference = full_logits(model, tokens)

    for chunk in (4, 7):
        difference = np.abs(stepped_logits(model, tokens, chunk) - reference)
        assert difference.max() <= TOLERANCE


@pytest.mark.parametrize("architecture", STREAMING.values(), ids=STREAMING.keys())
def test_a_training_crop_of_a_variant_predicts_what_streaming_predicts(
    architecture: Architecture,
) -> None:
    model, tokens = make_model(architecture), random_tokens(architecture, 90)
    cropped = last_logits(model, tokens)

    streamed = stepped_logits(model, tokens, 1)

    assert np.abs(streamed[-len(cropped) :] - cropped).max() <= TOLERANCE


def test_the_default_model_gives_the_logits_it_always_gave() -> None:
    model = with_numpy_weights(PerceiverS(replace(TINY, knows_keys=False)))
    tokens = tokens_of(TINY, 2, 80)

    with torch.inference_mode():
        logits = model(tokens[:, 48:], tokens[:, :48], torch.tensor([0, 30]))

    found = [*logits[0, 31, :4].tolist(), *logits[1, 0, :4].tolist()]
    assert found == pytest.approx(GOLDEN, abs=1e-4)


def test_scales_side_by_side_do_not_see_each_other() -> None:
    """A sum does not depend on the order of its scales, a cascade does."""
    tokens = random_tokens(TINY, 60)
    differences = {}
    for combine in ("cascade", "sum"):
        model = make_model(variant(combine, (24, 24)))
        before = full_logits(model, tokens)
        first, second = model.crosses
        model.crosses[0], model.crosses[1] = second, first
        differences[combine] = float(np.abs(full_logits(model, tokens) - before).max())

    assert differences["sum"] <= TOLERANCE
    assert differences["cascade"] > 0.1


@pytest.mark.parametrize("combine", COMBINATIONS)
def test_every_weight_of_a_new_model_can_learn(combine: str) -> None:
    """Whatever starts as zero must not leave other weights without a gradient for ever."""
    torch.manual_seed(0)
    model = PerceiverS(variant(combine, (None, 24)))
    torch.nn.init.normal_(model.head.weight)  # it starts as zero, and nothing learns before it
    tokens = tokens_of(TINY, 2, 80)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(tokens[:, 48:], tokens[:, :48]).logsumexp(-1).mean().backward()
        optimizer.step()

    still = [name for name, weight in model.named_parameters() if not _gradient(weight).any()]
    assert still == []


def _gradient(weight: Tensor) -> Tensor:
    assert weight.grad is not None
    return weight.grad


# --- carried latents ---


@torch.no_grad()
@pytest.mark.parametrize("padding", [0, 10, 50, 60, 64])
def test_carried_latents_are_latents_to_those_behind_them(padding: int) -> None:
    """Also in a batch in which they are padded, partly or all of them."""
    model = make_model(CARRIED)
    tokens = tokens_of(CARRIED, 2, 96)
    alone = tokens[:1, padding:]
    carried = min(CARRIED.carried, 64 - padding)
    prefix, latents = alone[:, : -32 - carried], alone[:, -32 - carried :]
    expected = model(latents, prefix, carried=0)[:, carried:]

    found = model(tokens[:, 64:], tokens[:, :64], torch.tensor([padding, 0]))[:1]

    torch.testing.assert_close(found, expected, atol=5e-5, rtol=1e-4)


@torch.no_grad()
def test_what_stands_in_the_padding_of_carried_latents_changes_nothing() -> None:
    model = make_model(CARRIED)
    tokens = tokens_of(CARRIED, 2, 96)
    other = tokens.clone()
    other[0, :55] = 7

    padding = torch.tensor([55, 0])
    before, after = (model(x[:, 64:], x[:, :64], padding) for x in (tokens, other))

    assert torch.equal(before, after)


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
def test_no_gradient_passes_through_carried_latents(autocast: bool) -> None:
    model = make_model(Architecture(64, 2, 128, 96, 32, (), (30, 30), carried=30))
    tokens = torch.arange(96)[None]

    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = model(tokens[:, 64:], tokens[:, :64]).float().logsumexp(-1).sum()
    loss.backward()

    learned = _gradient(model.embedding.weight).any(dim=1).nonzero().flatten()
    assert learned.tolist() == list(range(64, 96))
    assert all(_gradient(weight).any() for weight in model.parameters())


# --- prefix dropout ---


def test_dropped_keys_are_as_if_they_were_not_there() -> None:
    q, k, v = torch.randn(3, 2, 2, 300, 16, generator=torch.Generator().manual_seed(0))
    q = q[..., 200:, :]
    kept = torch.rand(300, generator=torch.Generator().manual_seed(1)) < 0.5
    kept[200:] = True

    masked = blockwise_attention(q, k, v, 300, kept=kept)

    closed_up = prefix_attention(q, k[..., kept, :], v[..., kept, :], None)
    torch.testing.assert_close(masked, closed_up, atol=1e-5, rtol=0)


@pytest.mark.parametrize("scales", [(None,), (40,), (None, 40)], ids=str)
def test_a_share_of_the_prefix_is_out_of_every_scales_sight(scales: tuple[int | None, ...]) -> None:
    architecture = Architecture(64, 2, 128, 96, 32, scales, (6, 8))
    model = PerceiverS(architecture, prefix_dropout=0.25)
    model.load_state_dict(make_model(architecture).state_dict())
    tokens = torch.arange(96)[None]

    model(tokens[:, 64:], tokens[:, :64]).logsumexp(-1).sum().backward()

    seen = _gradient(model.embedding.weight).any(dim=1)
    reached = 39 if scales == (40,) else 64  # the first latent's band, and all behind it
    assert seen[64:96].all()
    dropped = 64 - int(seen[:64].sum())
    assert dropped == 16 if reached == 64 else 25 <= dropped <= 41


def test_dropping_the_whole_prefix_leaves_the_latents_alone() -> None:
    """But for the keys that it left down, which a model that is told of keys still knows."""
    architecture = replace(TINY, knows_keys=False)
    model = PerceiverS(architecture, prefix_dropout=1.0)
    model.load_state_dict(make_model(architecture).state_dict())
    tokens = tokens_of(TINY, 2, 80)

    dropped = model(tokens[:, 48:], tokens[:, :48])

    torch.testing.assert_close(dropped, model(tokens[:, 48:]), atol=5e-5, rtol=1e-4)


def test_prefix_dropout_is_over_when_training_is() -> None:
    tokens = random_tokens(TINY, 80)
    model = PerceiverS(TINY, prefix_dropout=0.9)
    model.load_state_dict(make_model().state_dict())

    assert np.array_equal(last_logits(model.eval(), tokens), last_logits(make_model(), tokens))


def test_padding_stays_hidden_under_prefix_dropout() -> None:
    model = PerceiverS(TINY, prefix_dropout=0.5)
    model.load_state_dict(make_model().state_dict())
    tokens = tokens_of(TINY, 2, 90)
    other = tokens.clone()
    other[0, :40] = 7

    logits = []
    for x in (tokens, other):
        torch.manual_seed(3)
        logits.append(model(x[:, 58:], x[:, :58], torch.tensor([40, 5])))

    assert torch.equal(*logits)


# --- what cannot be played ---


@pytest.mark.processes
def test_carried_latents_are_played_as_they_were_trained(tmp_path: Path) -> None:
    tokens = random_tokens(CARRIED, 180)
    reference = full_logits(make_model(CARRIED), tokens)

    engine = Engine.open(make_model_folder(tmp_path / "m", CARRIED), precision="fp32")

    assert np.abs(replay(engine, tokens, 5) - reference).max() <= TOLERANCE


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        (variant("sum", (None, 24)), "combine 'sum' cannot be exported or played"),
        (DECODER, "without scales"),
        (Architecture(64, 2, 128, 96, 32, (None,), (None, None)), "cannot stream"),
    ],
)
def test_what_cannot_be_played_is_not_exported(
    architecture: Architecture, said: str, tmp_path: Path
) -> None:
    checkpoint = make_checkpoint(tmp_path / "model.pt", architecture)

    with pytest.raises(ModelMismatch, match=said):
        export(checkpoint, tmp_path / "folder", quiet=True)

    assert not (tmp_path / "folder").exists()


def test_what_cannot_stream_exactly_is_not_streamed() -> None:
    architecture = Architecture(64, 2, 128, 96, 32, (None,), (None, None))

    with pytest.raises(ModelMismatch, match=r"windows \[None, None\] reach 62 latents back"):
        empty_cache(architecture)
