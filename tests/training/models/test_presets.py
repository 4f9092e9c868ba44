"""Variants of one size: what an ablation compares differs in kind and not in parameters."""

import pytest
import torch

from perceivers.architecture import COMBINATIONS, Architecture
from perceivers.model import PerceiverS
from training.models.presets import (
    PRESETS,
    parameters_of,
    perceiver_ar,
    plain_decoder,
    with_bands,
    with_combination,
    with_scales,
)


def variants_of(base: Architecture) -> dict[str, Architecture]:
    return {
        "perceiver ar": perceiver_ar(base),
        "plain decoder": plain_decoder(base),
        "one scale": with_scales(base, None),
        "three scales": with_scales(base, None, 256, 64),
        **{combine: with_combination(base, combine) for combine in COMBINATIONS},
        **{f"bands {bands}": with_bands(base, bands) for bands in (32, 64, 128, "graded", "full")},
    }


VARIANTS = [
    pytest.param(base, variant, id=f"{preset}, {name}")
    for preset, base in PRESETS.items()
    for name, variant in variants_of(base).items()
]


@pytest.mark.parametrize(("base", "variant"), VARIANTS)
def test_a_variant_has_the_parameters_of_its_base(
    base: Architecture, variant: Architecture
) -> None:
    # measured: 1.2 % in the tiny preset, 0.2 % in the others
    assert parameters_of(variant) == pytest.approx(parameters_of(base), rel=0.03)


@pytest.mark.parametrize(("base", "variant"), VARIANTS)
def test_parameters_are_counted_as_the_model_has_them(
    base: Architecture, variant: Architecture
) -> None:
    with torch.device("meta"):
        models = PerceiverS(base), PerceiverS(variant)

    counted = [sum(weight.numel() for weight in model.parameters()) for model in models]

    assert counted == [parameters_of(base), parameters_of(variant)]


def test_perceiver_ar_looks_back_once_and_sees_all_latents() -> None:
    model = perceiver_ar(PRESETS["small"])

    assert model.scales == (None,)
    assert model.windows == (None,) * 7
    assert not model.streams_exactly


def test_a_plain_decoder_has_no_context_beyond_its_latents() -> None:
    model = plain_decoder(PRESETS["small"], latents=2048)

    assert (model.scales, model.context, model.latents) == ((), 2048, 2048)
    assert model.windows == (None,) * 8


def test_graded_bands_stay_inside_the_crop_whatever_the_depth() -> None:
    base = PRESETS["base"]

    assert with_bands(base, "graded") == base
    assert with_bands(PRESETS["small"], "graded").windows == (64, 64, 128, 128, 256, 256)
    for layers in range(1, 40):
        deep = Architecture(windows=(1,) * layers)
        assert with_bands(deep, "graded").streams_exactly


def test_wide_bands_carry_the_latents_that_exact_streaming_needs() -> None:
    wide = with_bands(PRESETS["small"], 256)

    assert wide.carried == 6 * 255 - 1023
    assert wide.streams_exactly
    assert with_bands(PRESETS["small"], 128).carried == 0
    assert not with_bands(PRESETS["small"], "full").streams_exactly


def test_other_bands_are_refused() -> None:
    with pytest.raises(ValueError, match="'wide' is neither a width nor 'graded' nor 'full'"):
        with_bands(PRESETS["small"], "wide")
