"""How often pieces are drawn again for an interval."""

import numpy as np
import numpy.typing as npt

RESAMPLES = 1000


def drawn_again(count: int) -> npt.NDArray[np.int64]:
    """Return numbers of pieces, drawn with replacement: shape (RESAMPLES, count)."""
    return np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
