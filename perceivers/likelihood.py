"""What a token costs under a model's logits, and what of that a grammar would save."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def plain_nats(logits: NDArray[np.floating], tokens: NDArray[np.integer]) -> Floats:
    """Return the costs -log p (T,) in nats of tokens (T,) under logits (T, V)."""
    nats: Floats = -log_probabilities(logits)[np.arange(len(tokens)), tokens]
    return nats


def token_nats(
    logits: NDArray[np.floating], tokens: NDArray[np.integer], allowed: NDArray[np.bool_]
) -> Floats:
    """Return costs and wasted parts (2, T), in nats.

    logits, allowed: (T, V), of tokens (T,). A cost is -log p. Its wasted part is
    -log(the probability of all allowed tokens): what is left is the cost under the grammar. A
    token that came although it is forbidden wastes nothing, so that it is never dearer for it.
    """
    log_p = log_probabilities(logits)
    came = np.arange(len(tokens)), tokens
    within = np.where(allowed, np.exp(log_p), 0.0).sum(axis=-1)
    wasted = np.where(allowed[came], -np.log(np.maximum(within, 1e-300)), 0.0)
    return np.stack((-log_p[came], np.maximum(wasted, 0.0)))


def log_probabilities(logits: NDArray[np.floating]) -> Floats:
    """Return log p (..., V) in float64."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    return np.asarray(wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True)))
