"""How far an engine's predictions lie from another's, over the same music."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.engine import Engine
from perceivers import parity

Array = NDArray[np.float32]

AT_ONCE = 64
STEPS = 256


@dataclass(frozen=True, slots=True)
class Agreement:
    """Logits of two engines, compared over some positions."""

    where: str
    tokens: int
    max_difference: float
    mean_difference: float
    kl_nats: float
    """Mean divergence of the second prediction from the first, in nats per token."""
    same_best: float
    """Share of positions at which both hold the same token for the likeliest."""


def agreements(reference: Engine, other: Engine, tokens: Sequence[int]) -> list[Agreement]:
    """Compare two engines over music: from an empty context on, and beyond a full one.

    tokens: what both read, the context and STEPS more at least.
    """
    architecture = reference.manifest.architecture
    read = min(2 * architecture.latents, architecture.context) // AT_ONCE * AT_ONCE
    beyond = architecture.context
    wholes = [_logits(engine, tokens, read, beyond) for engine in (reference, other)]
    names = (
        f"0..{read - 1}, {AT_ONCE} at once",
        f"{read}..{read + STEPS - 1}, one by one",
        f"{beyond}..{beyond + STEPS - 1}, one by one",
    )
    return [compare(*parts) for parts in zip(names, *wholes, strict=True)]


def _logits(engine: Engine, tokens: Sequence[int], read: int, beyond: int) -> list[Array]:
    """Return the logits (T, V) of the three parts that are compared."""
    engine.reset()
    chunks = [tokens[start : start + AT_ONCE] for start in range(0, read, AT_ONCE)]
    parts = [[engine.read(chunk).copy() for chunk in chunks]]
    parts.append([engine.feed([token])[None] for token in tokens[read : read + STEPS]])
    engine.reset()
    engine.feed(tokens[:beyond])
    parts.append([engine.feed([token])[None] for token in tokens[beyond : beyond + STEPS]])
    return [np.concatenate(part) for part in parts]


def compare(where: str, reference: Array, logits: Array) -> Agreement:
    """Compare logits (T, V)."""
    found = parity.compare(reference, logits)
    same = (reference.argmax(axis=-1) == logits.argmax(axis=-1)).mean()
    return Agreement(
        where,
        found.tokens,
        found.max_difference,
        found.mean_difference,
        found.kl_nats,
        float(same),
    )
