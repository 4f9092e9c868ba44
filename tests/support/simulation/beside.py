"""Who watches what leaves beside an answer: what passes on of the player's own, and the clock.

Law 8: what passes on is what was played, when it may; a clock runs while an answer does, and no
longer.
"""

import math
from collections.abc import Callable

from daemon.messages.turns import State
from daemon.parameters import Passes, WhenPlayedOver
from daemon.stage.turns import Turns
from tests.support.simulation.musician import PLAYER_CHANNEL

PASSES_WITHIN_S = 0.01
GRACE_S = 0.5  # for what is under way between threads, hiccups included
REPEATS_S = 4.0  # a stage that takes over repeats its note-offs


def is_passed(message: bytes) -> bool:
    """Tell whether a message on the wire is one of the player's own."""
    return message[0] < 0xF0 and message[0] & 0x0F == PLAYER_CHANNEL


class WitnessBeside:
    """Keeps account of it; calls `broken` with what must not be."""

    def __init__(self, broken: Callable[[str], None]) -> None:
        self._break = broken
        self._took_over_s = 0.0
        self._did_s: dict[bytes, float] = {}
        self._down: dict[int, float] = {}  # keys that passed on, and since when
        self._unsure: set[int] = set()  # of these it is not known whether they sound
        self._pedal = 0
        self._clock_runs = False

    def watch(self, turns: Turns, now_s: float) -> None:
        """A stage has begun."""
        self._turns, self._took_over_s = turns, now_s

    def player_does(self, message: bytes, now_s: float) -> None:
        self._did_s[message] = now_s

    def refused(self, pitch: int) -> None:
        """The port did not take a strike, which may yet have left."""
        self._unsure.add(pitch)

    def passed_on(self, message: bytes, now_s: float) -> None:
        """One of the player's own has left."""
        kind, number, value = message[0] & 0xF0, message[1], message[-1]
        if kind == 0x90 and value:
            if now_s - self._did_s.get(message, -math.inf) > PASSES_WITHIN_S:
                self._break(f"{number} passes on, and nobody played it")
            self._check_asked(number)
            self._down[number] = now_s
        elif kind in (0x80, 0x90):
            is_unsure = number in self._unsure or now_s - self._took_over_s < REPEATS_S
            if number not in self._down and not is_unsure:
                self._break(f"{number} was not passed on, and is released")
            self._unsure.discard(number)
            self._down.pop(number, None)
        elif kind == 0xB0 and number == 64:
            self._pedal = value
        elif kind == 0xB0 and number in (120, 123):
            self._unsure |= self._down.keys()  # silent; the player may yet let go
            self._down.clear()

    def _check_asked(self, number: int) -> None:
        parameters = self._turns.parameters
        if parameters.thru == Passes.NEVER:
            self._break(f"{number} passes on, and nobody asked for it")
        is_answering = self._turns.state is State.PERFORMING
        goes_on = is_answering and parameters.when_played_over != WhenPlayedOver.YIELD
        if parameters.thru == Passes.BETWEEN and goes_on:
            self._break(f"{number} passes on during an answer")

    def ticked(self, status: int) -> None:
        """A message of a clock has left."""
        if status == 0xF8 and not self._clock_runs:
            self._break("a clock ticks that was not started")
        if status == 0xFA and self._turns.turn is None:
            self._break("a clock starts outside an answer")
        if status in (0xFA, 0xFC):
            self._clock_runs = status == 0xFA

    def check_rest(self, held: set[int], freed_s: dict[int, float], now_s: float) -> None:
        """Between turns no clock runs, and nothing is down but what the player holds."""
        if self._clock_runs:
            self._break("the clock runs on after the answer")
        for pitch in self._down.keys() - held:
            if now_s - max(self._down[pitch], freed_s.get(pitch, 0.0)) > GRACE_S:
                self._break(f"{pitch} was passed on, and hangs")

    def check_end(self) -> None:
        """The daemon has ended."""
        if self._down or self._pedal or self._clock_runs:
            self._break("what passed on, or the clock, goes on after the end")
