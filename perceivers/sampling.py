"""Logits to a token: temperature, top-p, min-p under a mask, with a seedable generator."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How a token is chosen."""

    temperature: float = 1.0
    top_p: float = 1.0
    min_p: float = 0.0


def probabilities(
    logits: npt.NDArray[np.float32],
    allowed: npt.NDArray[np.bool_],
    settings: SamplingSettings,
) -> npt.NDArray[np.float64]:
    """Return the distribution that is sampled, shape (V,); zero where not allowed.

    min-p (Nguyen et al. 2024) and top-p (Holtzman et al. 2020) act on the tempered distribution,
    and the likeliest allowed token always stays. Raises ValueError when nothing is allowed.
    """
    if not allowed.any():
        raise ValueError("the mask allows no token")
    tempered = np.where(allowed, logits.astype(np.float64) / settings.temperature, -np.inf)
    weights: npt.NDArray[np.float64] = np.exp(tempered - tempered.max())
    weights[weights < settings.min_p] = 0.0
    weights /= weights.sum()
    if settings.top_p < 1.0:
        order = np.argsort(-weights, kind="stable")
        before = np.cumsum(weights[order]) - weights[order]
        weights[order[before >= settings.top_p]] = 0.0
        weights /= weights.sum()
    return weights


def sample(
    logits: npt.NDArray[np.float32],
    allowed: npt.NDArray[np.bool_],
    settings: SamplingSettings,
    rng: np.random.Generator,
) -> int:
    """Draw one token; one uniform number of `rng` is used, whatever the settings."""
    cumulative = np.cumsum(probabilities(logits, allowed, settings))
    drawn = rng.random() * cumulative[-1]
    return int(np.searchsorted(cumulative, drawn, side="right"))
