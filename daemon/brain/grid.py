"""The bars of a MIDI clock, and its grid, towards which onsets are drawn."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grid:
    """Moments that are so far apart, one of them at `from_s`. A step of 0: there is no grid."""

    from_s: float = 0.0
    step_s: float = 0.0
    bar_s: float = 2.0

    def shift_s(self, at_s: float, strength: float) -> float:
        """Return by how much a moment is drawn towards the nearest of the grid: 0 to 1 of it."""
        if not self.step_s or not strength:
            return 0.0
        steps = round((at_s - self.from_s) / self.step_s)
        return strength * (self.from_s + steps * self.step_s - at_s)


NO_GRID = Grid()
