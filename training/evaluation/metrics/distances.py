"""How far what a model plays lies from what people play, feature by feature.

What is measured: for each feature, three sets of Euclidean distances: between excerpts of the
model, between excerpts of pianists, and from the one to the other. If model and pianists played
alike, all three would be distributed alike. So the distances within either set are compared with
those across, and of the two comparisons the worse one counts: distances within the model's set
cannot see that it plays in another register, those within the pianists' cannot see all of a model
that repeats itself.

Conventions: distances between excerpts of the same piece are left out, as they are small whoever
plays. Densities are Gaussian kernel estimates, reflected at 0, on one grid for all three sets, from
0 to the largest distance plus three bandwidths. One bandwidth serves all: the mean over the sets of
Scott's, the standard deviation times count^(-1/5).

Metrics:

    overlap_area      integral of the smaller of two densities, 0 to 1; 1 is best
    jensen_shannon    divergence of two densities in bits, 0 to 1; 0 is best
    wasserstein_1     mean shift between the distances themselves, no kernel; in units of the
                      feature; 0 is best
    energy_distance   2 mean(across) - mean(within one) - mean(within the other), as a share of
                      2 mean(across), at most 1; 0 is best, and a little below 0 by chance

The first three compare how the distances are spread, as the literature does, and see little of a
difference that is the same in every excerpt but small beside how pieces differ. The energy distance
(Szekely and Rizzo) sees it: it is 0 in the limit only where the features themselves are
distributed alike.

Each comes with an interval and a floor, see `compare`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluation.metrics.features import FEATURES
from training.evaluation.metrics.notes import Floats, Ints, Notes, TooFewNotes, on_grid, sustained
from training.evaluation.metrics.resampling import Bools, Draw, Draws, make_draws

GRID_POINTS = 512
BANDWIDTHS_BEYOND = 3.0
FEWEST_PIECES = 4  # two halves in which there is a distance between two pieces

Comparison = dict[str, dict[str, dict[str, float]]]
METRICS = ("overlap_area", "jensen_shannon", "wasserstein_1", "energy_distance")
WORSE = np.array([-1.0, 1.0, 1.0, 1.0])  # the sign of a change for the worse
ROUNDING = 1e-9  # figures that differ by less are equal
LOWEST = np.array([0.0, 0.0, 0.0, -np.inf])
HIGHEST = np.array([1.0, 1.0, np.inf, 1.0])


def distances(a: Floats, b: Floats) -> Floats:
    """Return the Euclidean distances from the rows of a (N, D) to those of b (M, D): (N, M)."""
    return np.stack([np.sqrt(((b - row) ** 2).sum(axis=1)) for row in a])


def scott_bandwidth(values: Floats) -> float:
    """Return Scott's bandwidth for one dimension; 0 for fewer than two values."""
    if len(values) < 2:
        return 0.0
    return float(np.std(values, ddof=1) * len(values) ** -0.2)


def common_grid(largest: float, bandwidth: float) -> Floats:
    """Return the points at which densities of distances are estimated: (512,), from 0."""
    return np.linspace(0.0, largest + BANDWIDTHS_BEYOND * bandwidth, GRID_POINTS)


def reflected_kernel(grid: Floats, bandwidth: float) -> Floats:
    """Return the Gaussian kernel between grid points (G, G), its part below 0 folded back."""
    if bandwidth <= 0:
        return np.eye(len(grid))
    apart = (grid[:, None] - grid[None, :]) / bandwidth
    mirrored = (grid[:, None] + grid[None, :]) / bandwidth
    return np.asarray(np.exp(-0.5 * apart**2) + np.exp(-0.5 * mirrored**2))


def overlap_area(p: Floats, q: Floats) -> Floats:
    """Return the areas under both of two densities (..., G) that sum to 1."""
    return np.asarray(np.minimum(np.minimum(p, q).sum(axis=-1), 1.0))


def jensen_shannon(p: Floats, q: Floats) -> Floats:
    """Return the Jensen-Shannon divergences in bits of two densities (..., G) that sum to 1."""
    both = p + q
    divergence = 0.5 * (_relative_entropy(p, both) + _relative_entropy(q, both))
    return np.asarray(np.clip(divergence, 0.0, 1.0))


def _relative_entropy(p: Floats, both: Floats) -> Floats:
    """Return the divergence of p from the middle, half of `both`."""
    ratio = np.divide(2 * p, both, out=np.ones_like(p), where=p > 0)
    return np.asarray((p * np.log2(ratio)).sum(axis=-1))


def wasserstein_1(values: Floats, p: Floats, q: Floats) -> float:
    """Return the distance between two distributions over the same ascending values (K,).

    p and q (K,) are their weights and sum to 1.
    """
    return float(np.abs(np.cumsum(p - q)[:-1]) @ np.diff(values))


def energy_distance(within_a: float, within_b: float, across: float) -> float:
    """Return the normalised energy distance of two sets from three mean distances."""
    return 1.0 - (within_a + within_b) / (2 * across) if across > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Pairs:
    """The distances of one feature between excerpts of different pieces, in ascending order."""

    first: Ints  # (K,), which excerpt
    second: Ints  # (K,)
    distance: Floats  # (K,)
    bandwidth: float
    grid: Floats  # (G,)

    def figures(self, draws: Sequence[Draw]) -> Floats:
        """Compare the two sets of excerpts of each draw by the METRICS: (draws, 4)."""
        step = self.grid[1] - self.grid[0]
        place = self.distance / step if step > 0 else np.zeros(len(self.distance))
        left = np.minimum(place.astype(np.int64), GRID_POINTS - 2)
        share = place - left
        on_points = np.empty((len(draws), 3, GRID_POINTS))
        shifts, energies = np.empty(len(draws)), np.empty(len(draws))
        for i, (a, b) in enumerate(draws):
            sets = self._weights(a, b)
            for row, weights in enumerate(sets):
                upper = weights * share
                on_points[i, row] = np.bincount(left, weights - upper, GRID_POINTS)
                on_points[i, row] += np.bincount(left + 1, upper, GRID_POINTS)
            shifts[i] = max(wasserstein_1(self.distance, within, sets[2]) for within in sets[:2])
            energies[i] = energy_distance(*(float(w @ self.distance) for w in sets))
        p_a, p_b, p_across = self._smooth(on_points)
        overlap = np.minimum(overlap_area(p_a, p_across), overlap_area(p_b, p_across))
        divergence = np.maximum(jensen_shannon(p_a, p_across), jensen_shannon(p_b, p_across))
        return np.stack([overlap, divergence, shifts, energies], axis=1)

    def _weights(self, a: Floats, b: Floats) -> list[Floats]:
        """Return the weights (K,) of the distances within a, within b and across; sums are 1."""
        a1, a2, b1, b2 = a[self.first], a[self.second], b[self.first], b[self.second]
        return [weights / weights.sum() for weights in (a1 * a2, b1 * b2, a1 * b2 + b1 * a2)]

    def _smooth(self, on_points: Floats) -> Floats:
        """Return densities (3, draws, G), rows sum to 1, of masses on the grid (draws, 3, G)."""
        kernel = reflected_kernel(self.grid, self.bandwidth)
        smooth = on_points.reshape(-1, GRID_POINTS) @ kernel
        smooth /= smooth.sum(axis=1, keepdims=True)
        return np.moveaxis(smooth.reshape(on_points.shape), 1, 0)


def make_pairs(values: Floats, pieces: Ints, is_model: Bools) -> Pairs:
    """Return the distances between the rows of values (n, D), same pieces left out."""
    first, second = np.triu_indices(len(values), 1)
    apart = pieces[first] != pieces[second]
    first, second = first[apart], second[apart]
    distance = distances(values, values)[first, second]
    order = np.argsort(distance, kind="stable")
    first, second, distance = first[order], second[order], distance[order]
    models = is_model[first].astype(np.int64) + is_model[second]
    bandwidth = float(np.mean([scott_bandwidth(distance[models == n]) for n in range(3)]))
    grid = common_grid(float(distance[-1]), bandwidth)
    return Pairs(first, second, distance, bandwidth, grid)


def compare(
    model: Sequence[Notes],
    human: Sequence[Notes],
    groups: Sequence[str],
    rng: np.random.Generator,
    human_groups: Sequence[str] | None = None,
    on_feature: Callable[[str], None] = lambda _name: None,
) -> Comparison:
    """Compare excerpts of a model with excerpts of pianists; return JSON values.

    `groups` names the piece of each excerpt of the model, and also of the pianists' unless
    `human_groups` does. Excerpts should be of equal length. They are put on the 10 ms grid and the
    pedal is applied, the same for both.

    Returns {feature: {metric: {value, low, high, floor, floor_low, floor_high, at_half,
    worse_than_floor}}}:

    - value: all excerpts;
    - low, high: value ± 1.96 standard deviations over 200 resamples of pieces (not of distances,
      which depend on each other), cut at what the metric can be. Their quantiles would not do: a
      resample holds fewer distinct pieces and therefore looks worse than the whole;
    - floor, floor_low, floor_high: half of the pianists' pieces against the other half, mean and
      95 % of 100 random splits;
    - at_half: the mean over the same splits of the model in the one half against the pianists in
      the other. Fewer excerpts look worse, whoever plays: this is what to set beside the floor;
    - worse_than_floor: the share of those splits in which the model does worse than the pianists of
      the same half, 0.5 when they do alike. It asks for model and pianists in the same pieces: then
      what pieces owe to chance is the same for both.

    Raises TooFewNotes for an excerpt without notes, or with fewer than four pieces on a side.
    """
    pieces, is_model = _piece_numbers(model, human, groups, human_groups or groups)
    excerpts = [_prepared(notes, i, "model") for i, notes in enumerate(model)]
    excerpts += [_prepared(notes, i, "human") for i, notes in enumerate(human)]
    draws = make_draws(pieces, is_model, rng)
    result: Comparison = {}
    for name, feature in FEATURES.items():
        values = np.stack([feature(notes) for notes in excerpts])
        result[name] = _figures(make_pairs(values, pieces, is_model), draws)
        on_feature(name)
    return result


def _piece_numbers(
    model: Sequence[Notes],
    human: Sequence[Notes],
    groups: Sequence[str],
    human_groups: Sequence[str],
) -> tuple[Ints, Bools]:
    """Return the number of the piece of each excerpt, the model's first, and which are its."""
    for name, notes, names in (("model", model, groups), ("human", human, human_groups)):
        if len(notes) != len(names):
            raise ValueError(f"{len(notes)} {name} excerpts, but {len(names)} names of pieces")
        if len(set(names)) < FEWEST_PIECES:
            raise TooFewNotes(
                f"{name} excerpts of {len(set(names))} pieces; at least {FEWEST_PIECES} pieces are "
                "needed to compare halves"
            )
    numbers = {name: i for i, name in enumerate(sorted({*groups, *human_groups}))}
    pieces = np.array([numbers[name] for name in (*groups, *human_groups)], dtype=np.int64)
    return pieces, np.arange(len(pieces)) < len(model)


def _prepared(notes: Notes, index: int, side: str) -> Notes:
    if not len(notes):
        raise TooFewNotes(f"{side} excerpt {index} holds no notes: leave it out, and count it")
    return sustained(on_grid(notes))


def _figures(pairs: Pairs, draws: Draws) -> dict[str, dict[str, float]]:
    found = pairs.figures([draws.whole, *draws.resampled, *draws.floor, *draws.halves])
    ends = np.cumsum([1, len(draws.resampled), len(draws.floor)])
    values, resampled, floor, halves = np.split(found, ends)
    values = values[0]
    margin = 1.96 * resampled.std(axis=0, ddof=1)
    low = np.maximum(values - margin, LOWEST)
    high = np.minimum(values + margin, HIGHEST)
    floor_low, floor_high = np.quantile(floor, [0.025, 0.975], axis=0)
    change = (halves - floor) * WORSE
    is_worse, is_equal = change > ROUNDING, np.abs(change) <= ROUNDING
    columns = {
        "value": values,
        "low": low,
        "high": high,
        "floor": floor.mean(axis=0),
        "floor_low": floor_low,
        "floor_high": floor_high,
        "at_half": halves.mean(axis=0),
        "worse_than_floor": (is_worse + 0.5 * is_equal).mean(axis=0),
    }
    return {
        metric: {name: float(column[i]) for name, column in columns.items()}
        for i, metric in enumerate(METRICS)
    }
