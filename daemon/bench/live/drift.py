"""Whether a quantity grew while something ran: a robust slope with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist, median

CONFIDENCE = 0.95
FEWEST = 10  # points that a tenth can be taken of


@dataclass(frozen=True, slots=True)
class Drift:
    """How a quantity changed. Slopes are in its unit per unit of time."""

    first: float  # median of the first tenth
    last: float  # median of the last tenth
    slope: float
    slope_low: float  # ends of its interval
    slope_high: float

    @property
    def is_rising(self) -> bool:
        """Whether the interval lies above zero."""
        return self.slope_low > 0


def drift_of(times: Sequence[float], values: Sequence[float]) -> Drift:
    """Return first and last tenth and the Theil-Sen slope with its 95 % interval.

    The slope is the median of those of all pairs of points; the interval comes from the variance
    of Kendall's rank correlation (Sen 1968). A few outliers move neither. Raises ValueError for
    fewer than ten points.
    """
    count = len(values)
    if count < FEWEST:
        raise ValueError(f"{count} points tell no drift; {FEWEST} are needed, so run it longer")
    tenth = count // 10
    slopes = sorted(
        (values[later] - values[earlier]) / (times[later] - times[earlier])
        for earlier, later in combinations(range(count), 2)
    )
    deviation = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * deviation
    low = max(0, math.floor((len(slopes) - reach) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + reach) / 2))
    return Drift(
        first=median(values[:tenth]),
        last=median(values[-tenth:]),
        slope=median(slopes),
        slope_low=slopes[low],
        slope_high=slopes[high],
    )
