"""What an architecture allows, what it says of itself, and what older files of one still mean."""

from typing import Any

import pytest

from perceivers.architecture import Architecture
from perceivers.errors import ModelMismatch


def small(**changes: Any) -> Architecture:
    """Return an architecture of 32 latents whose layers reach as far as exact streaming allows."""
    fields: dict[str, Any] = {
        "dim": 64,
        "heads": 2,
        "context": 96,
        "latents": 32,
        "scales": (None, 24),
    }
    return Architecture(**(fields | {"windows": (12, 12, 10)} | changes))


def test_json_values_come_back_equal() -> None:
    for architecture in (small(), small(scales=(), windows=(None, 4)), small(combine="mlp")):
        assert Architecture.from_json(architecture.to_json()) == architecture


def test_a_file_from_before_the_variants_is_a_cascade_without_carried_latents() -> None:
    fields = small().to_json()
    del fields["combine"], fields["carried"]

    assert Architecture.from_json(fields) == small()


def test_unknown_and_missing_fields_are_named() -> None:
    fields = small().to_json() | {"depth": 3}
    del fields["dim"]

    with pytest.raises(ModelMismatch, match=r"unknown fields \['depth'\], missing \['dim'\]"):
        Architecture.from_json(fields)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dim": 65}, "dim 65 is not heads 2 times an even number"),
        ({"latents": 97}, r"latents 97 must lie in 1\.\.context \(96\)"),
        ({"scales": (None, 97)}, r"scales \[None, 97\] must lie in 1\.\.context"),
        ({"windows": (0, 4)}, r"windows \[0, 4\] must be 1 or more"),
        ({"combine": "product"}, "combine 'product' is none of cascade, sum, concat, mlp"),
        ({"combine": "sum", "scales": ()}, "combine 'sum' needs scales"),
        ({"carried": 65}, r"carried 65 must lie in 0\.\.context - latents \(64\)"),
        ({"carried": -1}, r"carried -1 must lie in 0\.\.context - latents \(64\)"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelMismatch, match=said):
        small(**changes)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ModelMismatch, match=r"dim 65.*; windows \[0\].*; combine 'product'"):
        small(dim=65, windows=(0,), combine="product")


@pytest.mark.parametrize(
    ("changes", "reach", "exact"),
    [
        ({}, 31, True),
        ({"windows": (12, 12, 11)}, 32, False),
        ({"windows": (12, 12, 11), "carried": 1}, 32, True),
        ({"scales": ()}, 31, True),
        ({"windows": (None,)}, 31, True),  # one layer over the whole crop remembers no older one
        ({"windows": (None, None)}, 62, False),
        ({"windows": (None, None), "carried": 20}, 102, False),
        ({"windows": ()}, 0, True),
    ],
)
def test_a_model_streams_exactly_if_a_crop_holds_all_that_its_last_latent_reaches(
    changes: dict[str, Any], reach: int, exact: bool
) -> None:
    architecture = small(**changes)

    assert architecture.reach == reach
    assert architecture.streams_exactly is exact


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"combine": "concat"}, "combine 'concat' cannot be exported or played"),
        ({"scales": ()}, "without scales .* cannot be exported or played"),
        ({"windows": (40, 40)}, r"windows \[40, 40\] reach 78 latents back, and .* 32 \+ 0"),
    ],
)
def test_a_variant_that_cannot_be_played_says_why(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelMismatch, match=said) as caught:
        small(**changes).check_playable()

    assert "\n" not in str(caught.value)


def test_carried_latents_may_be_played() -> None:
    small(windows=(20, 20), carried=7).check_playable()
