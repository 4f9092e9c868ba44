"""Learning rate as a pure function of where training stands: warm-up, stable, decay.

A run that is stable most of the time can be cut at any budget: the decay starts when the budget's
last part begins, and a later run goes on from the state before the decay.
"""

from dataclasses import dataclass

WARMUP_STEPS = 50


def rate_factor(step: int, decay_progress: float) -> float:
    """Return the share of the peak learning rate at a step.

    `decay_progress` runs from 0 (stable) to 1 (finished).
    """
    warmup = min(1.0, (step + 1) / WARMUP_STEPS)
    return warmup * max(0.0, 1.0 - decay_progress)


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to train: a number of steps in all, or of seconds in this run."""

    steps: int | None
    seconds: float | None
    decay_share: float

    def progress(self, step: int, elapsed_s: float) -> float:
        """Return the share of the budget that is used up, 0…1."""
        shares = [0.0]
        if self.steps is not None:
            shares.append(step / max(1, self.steps))
        if self.seconds is not None:
            shares.append(elapsed_s / self.seconds)
        return min(1.0, max(shares))

    def decay_progress(self, progress: float, already: float) -> float:
        """Return how far the decay is; it goes on from `already` when a run resumes inside it."""
        stable_share = 1.0 - self.decay_share
        if already > 0.0:
            return min(1.0, already + (1.0 - already) * progress)
        return max(0.0, (progress - stable_share) / self.decay_share)
