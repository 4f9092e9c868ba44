"""Which piece a crop is drawn from: each by its length and the weight of its data set."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from perceivers.errors import PerformerError
from training.data.token_store import Tokens, TokenStore

Weights = npt.NDArray[np.float64]


class Mixture:
    """The pieces of one or more stores, each with its weight."""

    def __init__(self, parts: Sequence[tuple[TokenStore, Weights]]) -> None:
        self._pieces = [(store, index) for store, _ in parts for index in range(len(store))]
        self._cumulative = np.cumsum(np.concatenate([weights for _, weights in parts]))

    def draw(self, rng: np.random.Generator) -> Tokens:
        """Return the tokens (T,) of a random piece."""
        position = rng.uniform(0.0, self._cumulative[-1])
        found = int(np.searchsorted(self._cumulative, position, side="right"))
        store, index = self._pieces[min(found, len(self._pieces) - 1)]
        return store.tokens(index)


def weighted_lengths(store: TokenStore, factors: Mapping[str, float]) -> Weights:
    """Return how often each piece is drawn: its length times the factor of its data set.

    Raises PerformerError for a data set that the store does not have, and if nothing is left.
    """
    known = sorted({piece.dataset for piece in store.pieces})
    unknown = sorted(set(factors) - set(known))
    if unknown:
        raise PerformerError(
            f"--weight {unknown[0]}={factors[unknown[0]]:g}: no data set of this name; "
            f"there are {', '.join(known)}"
        )
    weights: Weights = store.lengths * np.array([factors.get(p.dataset, 1.0) for p in store.pieces])
    if not weights.any():
        raise PerformerError(
            f"no piece is left to draw from: --weight is 0 for each of {', '.join(known)}; "
            "give one of them more"
        )
    return weights


def rehearsed(
    store: TokenStore, weights: Weights, rehearsal: TokenStore, share: float
) -> list[tuple[TokenStore, Weights]]:
    """Return the parts of a mixture that draws `share` of its crops from `rehearsal`."""
    lengths = rehearsal.lengths.astype(np.float64)
    return [
        (store, weights * ((1.0 - share) / weights.sum())),
        (rehearsal, lengths * (share / lengths.sum())),
    ]
