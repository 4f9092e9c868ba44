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
    """How long to train: a number of steps in all, or of seconds in this run, or both."""

    steps: int | None
    seconds: float | None
    decay_share: float

    def share_used(self, step: int, elapsed_s: float) -> float:
        """Return the share of the budget that is used up, 0…1; the scarcer one counts."""
        return min(1.0, max(self._share_of_steps(step), self._share_of_time(elapsed_s)))

    def decay_progress(self, step: int, elapsed_s: float, already: float) -> float:
        """Return how far the decay is, 0…1.

        Under a budget of steps it depends on the step alone, so that a resumed run repeats exactly
        what an uninterrupted one does. Time cannot be repeated: under a budget of seconds a run
        that resumes inside its decay goes on from `already`.
        """
        by_time = self._ramp(self._share_of_time(elapsed_s))
        if already > 0.0 and self.seconds is not None:
            by_time = already + (1.0 - already) * self._share_of_time(elapsed_s)
        return min(1.0, max(self._ramp(self._share_of_steps(step)), by_time))

    def _share_of_steps(self, step: int) -> float:
        return 0.0 if self.steps is None else step / self.steps

    def _share_of_time(self, elapsed_s: float) -> float:
        return 0.0 if self.seconds is None else elapsed_s / self.seconds

    def _ramp(self, share: float) -> float:
        return max(0.0, (share - (1.0 - self.decay_share)) / self.decay_share)
