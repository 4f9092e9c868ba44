"""How far predictions lie from a reference: one comparison for export, engine and devices."""

import numpy as np
from numpy.typing import NDArray

from perceivers.likelihood import log_probabilities
from perceivers.manifest import Parity

TOLERANCE = 1e-4
"""Largest |difference| of a float32 logit; measured: 1e-5 and less."""


def compare(reference: NDArray[np.floating], logits: NDArray[np.floating]) -> Parity:
    """Return how far logits (T, V) lie from the reference."""
    difference = np.abs(logits.astype(np.float64) - reference)
    expected, found = log_probabilities(reference), log_probabilities(logits)
    divergence = (np.exp(expected) * (expected - found)).sum(axis=-1).mean()
    return Parity(
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        kl_nats=float(np.maximum(0.0, divergence)),  # max() would hide NaN
        tokens=len(reference),
    )
