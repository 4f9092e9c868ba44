"""What the player says with a switch under the foot: taps, second taps, and long ones.

Pure, like the turns: times are seconds of the session, and come in.
"""

import math
from enum import Enum, auto

BOUNCE_S = 0.04  # a contact that closes again so soon has only bounced
DOUBLE_WITHIN_S = 0.35
LONG_S = 0.8


class Tap(Enum):
    """What a press says, at the moment at which the switch goes down."""

    SINGLE = auto()
    DOUBLE = auto()


class Footswitch:
    """A switch that is up or down."""

    def __init__(self) -> None:
        self._is_down = False
        self._pressed_s = -math.inf
        self._is_double = False  # the last press was the second one
        self._was_long = False

    def moves(self, down: bool, at_s: float) -> Tap | None:
        """Take note of a move; return what it says."""
        was_down, self._is_down = self._is_down, down
        since_s = at_s - self._pressed_s
        if not down or was_down or since_s < BOUNCE_S:
            return None
        self._pressed_s, self._was_long = at_s, False
        self._is_double = since_s < DOUBLE_WITHIN_S and not self._is_double
        return Tap.DOUBLE if self._is_double else Tap.SINGLE

    @property
    def long_s(self) -> float | None:
        """When it will have been down for long, if it stays down; None if it is not, or was."""
        return None if self._was_long or not self._is_down else self._pressed_s + LONG_S

    def is_long(self, now_s: float) -> bool:
        """Tell whether it has been down for long now; each press says so once."""
        long_s = self.long_s
        self._was_long = self._was_long or (long_s is not None and now_s >= long_s)
        return long_s is not None and now_s >= long_s

    def let_go(self) -> None:
        """Take the foot off it, without a word."""
        self._is_down = False
