"""How an answer becomes softer and sparser while the player plays over it."""

from collections.abc import Iterable
from dataclasses import dataclass

from perceivers import vocabulary as v
from perceivers.events import CHORD_S
from perceivers.grammar import Mask
from perceivers.sampling import NOTE_ONS, TIME_SHIFTS
from perceivers.score import ScoreState

LASTS_S = 2.0  # after the player's last strike
QUIETER = 0.6  # of the player's loudness
SOFTEST_BIN = 4
MOST_KEYS = 2  # in a chord
LEAST_INTERVAL_S = 0.25  # from one strike to the next, but for a chord


@dataclass(slots=True)
class Ducking:
    """Until when it lasts, and how loud it may be at most."""

    until_s: float = 0.0
    loudest_bin: int = v.VELOCITY_BINS - 1

    def duck(self, now_s: float, velocity: int) -> None:
        """Give way to a strike of the player, so loud as it was."""
        self.until_s = now_s + LASTS_S
        self.loudest_bin = max(SOFTEST_BIN, int(velocity * QUIETER) // v.VELOCITIES_PER_BIN)

    def may_strike(self, struck_s: Iterable[float], now_s: float) -> bool:
        """Tell whether there is room for another strike after those before."""
        if now_s >= self.until_s:
            return True
        recent = [time_s for time_s in struck_s if now_s - time_s < LEAST_INTERVAL_S]
        chord = [time_s for time_s in recent if now_s - time_s <= CHORD_S]
        return not recent or (len(chord) == len(recent) and len(chord) < MOST_KEYS)

    def soften(self, mask: Mask, state: ScoreState, now_s: float) -> None:
        """Take from a mask what is too loud: a softer velocity must be announced first."""
        if now_s >= self.until_s:
            return
        mask[v.VELOCITY + self.loudest_bin + 1 : v.RANGES[v.Kind.VELOCITY].stop] = False
        if state.velocity_bin is None or state.velocity_bin > self.loudest_bin:
            mask[NOTE_ONS] = False
            if state.last_kind is v.Kind.VELOCITY:  # what was announced is too loud: wait
                mask[TIME_SHIFTS] = True
