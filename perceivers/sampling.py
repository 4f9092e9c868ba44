"""Logits to a token: temperatures, min-p and top-p under a mask, with a seedable generator."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from perceivers import vocabulary as v

Floats = npt.NDArray[np.float64]

NEVER = np.float64(-np.inf)  # the logit of what is not allowed; makes float64 of float32 beside it
TIME_SHIFTS = slice(v.TIME_SHIFT, v.TIME_SHIFT + v.MAX_SHIFT_STEPS)
NOTE_ONS = slice(v.NOTE_ON, v.NOTE_ON + v.PITCHES)


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How a token is chosen. None: as `temperature`."""

    temperature: float = 1.0
    top_p: float = 1.0
    min_p: float = 0.0
    time_temperature: float | None = None
    pitch_temperature: float | None = None


def probabilities(
    logits: npt.NDArray[np.float32],
    allowed: npt.NDArray[np.bool_],
    settings: SamplingSettings,
) -> Floats:
    """Return the distribution that is sampled, shape (V,); zero where not allowed.

    `temperature` tempers which kind of token comes; which time-shift and which note-on it then is,
    have temperatures of their own. With equal ones this is the tempered softmax. min-p (Nguyen et
    al. 2024) and top-p (Holtzman et al. 2020) act on what results, and its likeliest token always
    stays. Raises ValueError when nothing is allowed.
    """
    shares = _weights(logits, allowed, settings)
    shares /= shares.sum()
    return shares


def sample(
    logits: npt.NDArray[np.float32],
    allowed: npt.NDArray[np.bool_],
    settings: SamplingSettings,
    rng: np.random.Generator,
) -> int:
    """Draw one token id; one uniform number of `rng` is used, whatever the settings.

    logits (V,), float32, in nats, and allowed (V,), bool, are left as they are. Raises ValueError
    when nothing is allowed.
    """
    cumulative = _weights(logits, allowed, settings).cumsum()
    return int(cumulative.searchsorted(rng.random() * cumulative[-1], side="right"))


def _weights(
    logits: npt.NDArray[np.float32],
    allowed: npt.NDArray[np.bool_],
    settings: SamplingSettings,
) -> Floats:
    """Return the probabilities (V,), not yet divided by their sum; the highest is 1."""
    tempered: Floats = np.where(allowed, logits, NEVER)
    if settings.temperature != 1.0:
        tempered /= settings.temperature
    for kind, own in (
        (TIME_SHIFTS, settings.time_temperature),
        (NOTE_ONS, settings.pitch_temperature),
    ):
        if own is not None and own != settings.temperature:
            _temper_within(tempered[kind], own / settings.temperature)
    highest = tempered[tempered.argmax()]  # cheaper than max(), which goes through Python
    if highest == NEVER:
        raise ValueError("the mask allows no token")
    tempered -= highest
    weights: Floats = np.exp(tempered, out=tempered)
    least = settings.min_p
    if settings.top_p < 1.0:
        least = _least_of_nucleus(weights, least, settings.top_p)
    if least > 0.0:
        weights *= weights >= least
    return weights


def _temper_within(logits: Floats, temperature: float) -> None:
    """Divide the logits of one kind by a temperature, in place; its share of all stays."""
    highest = logits.max()
    if highest == NEVER:
        return
    logits -= highest
    share = np.exp(logits).sum()
    logits /= temperature
    logits += highest + np.log(share / np.exp(logits).sum())


def _least_of_nucleus(weights: Floats, least: float, top_p: float) -> float:
    """Return the smallest weight that top-p keeps of those that are at least `least`."""
    ascending = weights[weights >= least]
    ascending.sort()
    summed = ascending.cumsum()
    return float(ascending[summed.searchsorted((1.0 - top_p) * summed[-1], side="right")])
