"""The experiments as data: a question, and the arms whose losses answer it.

Every arm is a change of one reference model or of how it is trained. Parameters agree to within
MAX_PARAMETER_DIFFERENCE, tokens and data exactly. Sizes are fractions of the reference's N and M,
so that the same questions are put to a model of any size.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from perceivers.architecture import Architecture
from training.models.presets import (
    parameters_of,
    perceiver_ar,
    plain_decoder,
    with_bands,
    with_combination,
    with_scales,
)

MAX_PARAMETER_DIFFERENCE = 0.03


@dataclass(frozen=True, slots=True)
class Arm:
    """One thing to try."""

    name: str
    architecture: Architecture
    training: dict[str, str] = field(default_factory=dict)
    """Options of training/train.py that differ from the recipe of all arms, without dashes."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A question; the first arm is the one that the others are compared with."""

    key: str
    title: str
    question: str
    arms: tuple[Arm, ...]

    def limited_to(self, names: Collection[str]) -> "Experiment":
        """Return this with the first arm and those others that are named."""
        others = tuple(arm for arm in self.arms[1:] if arm.name in names)
        return replace(self, arms=(self.arms[0], *others))

    def check(self, reference: Architecture) -> None:
        """Assert that no arm is larger or smaller than it may be."""
        size = parameters_of(reference)
        for arm in self.arms:
            difference = parameters_of(arm.architecture) / size - 1
            assert abs(difference) <= MAX_PARAMETER_DIFFERENCE, (self.key, arm.name, difference)


def experiments(
    reference: Architecture, arms: Collection[str] | None = None
) -> tuple[Experiment, ...]:
    """Return all experiments around a reference model, the most important first.

    arms: the names of those that are tried beside the first of each experiment; None is all. An
    experiment without any is left out.
    """
    found = (
        _baselines(reference),
        _segmentation(reference),
        _scales(reference),
        _combination(reference),
        _bands(reference),
        _lengths(reference),
        _recipe(reference),
    )
    for experiment in found:
        experiment.check(reference)
    if arms is None:
        return found
    limited = (experiment.limited_to(arms) for experiment in found)
    return tuple(experiment for experiment in limited if len(experiment.arms) > 1)


def _baselines(reference: Architecture) -> Experiment:
    ported = perceiver_ar(reference)
    latents = reference.latents
    windows = sorted({decoder_window(reference), latents, latents // 2})[-2:]
    # A decoder with a shorter window learns from more crops in a step, and so does a model with
    # fewer latents: only beside that one does the window alone make the difference.
    with_as_many_crops = [
        _with_latents(reference, window) for window in windows if window < latents
    ]
    return Experiment(
        "baselines",
        "PerceiverS, Perceiver AR and a plain decoder",
        "Is the model better than those it grew out of, and than a plain decoder with rotary "
        "positions of the same size, or of the same size and compute?",
        (
            Arm("PerceiverS", reference),
            *(Arm(_lengths_name(few), few) for few in with_as_many_crops),
            Arm("Perceiver AR, crops of its ports", ported, {"segmentation": "random-start"}),
            Arm("Perceiver AR, its own crops", ported, {"segmentation": "effective-unclipped"}),
            *(
                Arm(f"plain decoder, window {window:,}", plain_decoder(reference, window))
                for window in windows
            ),
        ),
    )


def decoder_window(reference: Architecture) -> int:
    """Return the window, N times a power of two, whose decoder costs about what the model costs.

    A query of a decoder sees half of its window in each of its L layers. One of the reference sees
    its scales (of the whole context three quarters: pieces end) and its bands.
    """
    seen_in_scales = sum(
        reference.context * 3 // 4 if scale is None else scale for scale in reference.scales
    )
    seen = seen_in_scales + sum(reference.self_windows)
    layers = len(reference.windows) + len(reference.scales)
    window = reference.latents
    while window * 2 <= reference.context and layers * window <= seen:
        window *= 2
    return window


def _segmentation(reference: Architecture) -> Experiment:
    return Experiment(
        "segmentation",
        "Segmentation",
        "Does choosing a crop by its end mend short contexts and openings?",
        (
            Arm("Effective Segmentation, end clipped", reference),
            Arm("end not clipped", reference, {"segmentation": "effective-unclipped"}),
            Arm("start at random", reference, {"segmentation": "random-start"}),
            Arm("curriculum of contexts", reference, {"segmentation": "curriculum"}),
        ),
    )


def _scales(reference: Architecture) -> Experiment:
    latents = reference.latents
    middle = reference.context // 4
    return Experiment(
        "scales",
        "Number and length of the scales",
        "What does a second scale give, and a third, and how long should the short one be?",
        (
            Arm(f"whole context, {latents:,}", reference),
            Arm("whole context alone", with_scales(reference, None)),
            Arm(
                f"whole context, {middle:,}, {latents:,}",
                with_scales(reference, None, middle, latents),
            ),
            Arm(f"whole context, {latents // 2:,}", with_scales(reference, None, latents // 2)),
            Arm(f"whole context, {latents * 2:,}", with_scales(reference, None, latents * 2)),
        ),
    )


def _combination(reference: Architecture) -> Experiment:
    return Experiment(
        "combine",
        "How the scales are combined",
        "Is the cascade better than scales side by side?",
        (
            Arm("cascade", reference),
            Arm("sum", with_combination(reference, "sum")),
            Arm("concatenation and a projection", with_combination(reference, "concat")),
            Arm("MLP on both", with_combination(reference, "mlp")),
        ),
    )


def _lengths(reference: Architecture) -> Experiment:
    latents, context = reference.latents, reference.context
    return Experiment(
        "lengths",
        "Latents N and context M",
        "How many latents, and how long a context, are worth their cost?",
        (
            Arm(_lengths_name(reference), reference),
            *(
                Arm(_lengths_name(arm), arm)
                for arm in (
                    _with_latents(reference, latents // 2),
                    _with_latents(reference, latents * 2),
                    replace(reference, context=context // 4),
                    replace(reference, context=context // 2),
                    replace(reference, context=context * 2),
                )
            ),
        ),
    )


def _lengths_name(architecture: Architecture) -> str:
    return f"N = {architecture.latents:,}, M = {architecture.context:,}"


def _with_latents(reference: Architecture, latents: int) -> Architecture:
    """Change N, and the self-attention windows in proportion, so that streaming stays exact."""
    windows = tuple(window * latents // reference.latents for window in reference.self_windows)
    return replace(reference, latents=latents, windows=windows)


def _recipe(reference: Architecture) -> Experiment:
    changes = {
        "AdamW for all": {"optimizer": "adamw"},
        "half the rates": {"rate": "0.5"},
        "twice the rates": {"rate": "2"},
        "dropout 0.1": {"dropout": "0.1"},
        "prefix dropout 0.3": {"prefix-dropout": "0.3"},
        "time stretched by up to 5 %": {"stretch": "0.05"},
        "velocities shifted by up to 2 bins": {"velocity-shift": "2"},
        "weights averaged": {"average": "0.99"},
    }
    return Experiment(
        "recipe",
        "Recipe",
        "Which optimiser, rate, regularisation and augmentation help a run that sees no token "
        "twice?",
        (
            Arm("Muon and AdamW, no dropout, transposition", reference),
            *(Arm(name, reference, options) for name, options in changes.items()),
        ),
    )


def _bands(reference: Architecture) -> Experiment:
    widest = widest_exact_band(reference)
    return Experiment(
        "bands",
        "Self-attention bands",
        "What does streaming exactly cost, which needs bands, and what do keys carried over from "
        "before the crop give back?",
        (
            Arm("graded, " + ", ".join(map(str, reference.windows)), reference),
            Arm(f"{widest // 2:,} in every layer", with_bands(reference, widest // 2)),
            Arm(f"{widest:,} in every layer", with_bands(reference, widest)),
            Arm(f"{widest * 2:,}, with carried keys", with_bands(reference, widest * 2)),
            Arm("full (no exact streaming)", with_bands(reference, "full")),
        ),
    )


def widest_exact_band(reference: Architecture) -> int:
    """Return the widest power of two that all layers may have while streaming stays exact."""
    widest = (reference.latents - 1) // len(reference.windows) + 1
    return 1 << (widest.bit_length() - 1)
