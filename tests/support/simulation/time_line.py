"""The simulated clock: what is to happen and when, and a lane for what happens in one thread."""

import heapq
import itertools
import random
from collections.abc import Callable

Act = Callable[[], None]
NS_PER_S = 1_000_000_000


class TimeLine:
    """Lets one thing happen after the other, each at its moment."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._coming: list[tuple[int, int, Act]] = []
        self._order = itertools.count()

    @property
    def now_s(self) -> float:
        return self.now_ns / NS_PER_S

    def at(self, time_ns: int, act: Act) -> None:
        """Let something happen at a moment, or now if that is past."""
        heapq.heappush(self._coming, (max(time_ns, self.now_ns), next(self._order), act))

    def after(self, delay_s: float, act: Act) -> None:
        self.at(self.now_ns + round(delay_s * NS_PER_S), act)

    def step(self) -> bool:
        """Let the next thing happen; tell whether there was one."""
        if not self._coming:
            return False
        self.now_ns, _, act = heapq.heappop(self._coming)
        act()
        return True


class Lane:
    """A thread that does what it is handed, in this order, each a moment after it was handed."""

    def __init__(self, line: TimeLine, rng: random.Random, longest_s: float) -> None:
        self._line = line
        self._rng = rng
        self._longest_s = longest_s
        self._free_ns = 0
        self.waiting = 0

    def hand(self, act: Act) -> None:
        delay_ns = round(self._rng.random() * self._longest_s * NS_PER_S)
        self._free_ns = max(self._free_ns, self._line.now_ns + delay_ns)
        self.waiting += 1
        self._line.at(self._free_ns, lambda: self._do(act))

    def _do(self, act: Act) -> None:
        self.waiting -= 1
        act()
