"""What is known of keys and pedal after each token: which are down, for how long, how loud.

All of it follows from the tokens so far, but a model that has to find it again in its memory for
every token forgets keys. So each state is said as a few rows of one table, whose sum is an input of
the model. `KeysDown` reads one token at a time; `perceivers.key_counts` does the same for whole
sequences in torch, and the tests hold the two together.
"""

from bisect import bisect_right

from perceivers import vocabulary as v

AGE_EDGES_STEPS = (3, 6, 12, 25, 50, 100, 200, 400)
"""Where a class of age begins, in steps of 10 ms; the first one begins at 0."""
AGES = len(AGE_EDGES_STEPS) + 1

KEY = 0
"""Row of the first key in its first age; the ages of a key lie side by side."""
STRUCK = KEY + v.PITCHES * AGES
"""Row of the first velocity bin that a key was struck with."""
VELOCITY = STRUCK + v.VELOCITY_BINS
"""Row of the first velocity bin that the next key will have."""
PEDAL = VELOCITY + v.VELOCITY_BINS
"""Row of the first age of a pedal that is down."""
KEY_ROWS = PEDAL + AGES


class KeysDown:
    """Reads tokens, and says what is down as rows of the table.

    Unlike `ScoreState` it takes any tokens: a key that is struck while it is down is struck anew,
    and one struck before any velocity has none.
    """

    def __init__(self) -> None:
        self._step = 0
        self._struck: dict[int, tuple[int, int | None]] = {}  # when, and in which velocity bin
        self._pedal: int | None = None  # since when it is down
        self._velocity: int | None = None

    def copy(self) -> "KeysDown":
        """Return an independent copy."""
        twin = KeysDown()
        twin._step, twin._pedal, twin._velocity = self._step, self._pedal, self._velocity
        twin._struck = dict(self._struck)
        return twin

    def read(self, token: int) -> None:
        """Take the next token."""
        kind = v.kind_of(token)
        if kind is v.Kind.TIME_SHIFT:
            self._step += token - v.TIME_SHIFT + 1
        elif kind is v.Kind.VELOCITY:
            self._velocity = token - v.VELOCITY
        elif kind is v.Kind.NOTE_ON:
            self._struck[token - v.NOTE_ON] = self._step, self._velocity
        elif kind is v.Kind.NOTE_OFF:
            self._struck.pop(token - v.NOTE_OFF, None)
        elif kind is v.Kind.PEDAL_DOWN:
            self._pedal = self._step
        elif kind is v.Kind.PEDAL_UP:
            self._pedal = None

    def rows(self) -> list[int]:
        """Return the rows of the table that say it, a row as often as it counts."""
        found = []
        for pitch, (step, velocity_bin) in self._struck.items():
            found.append(KEY + pitch * AGES + self._age(step))
            if velocity_bin is not None:
                found.append(STRUCK + velocity_bin)
        if self._velocity is not None:
            found.append(VELOCITY + self._velocity)
        if self._pedal is not None:
            found.append(PEDAL + self._age(self._pedal))
        return found

    def _age(self, step: int) -> int:
        return bisect_right(AGE_EDGES_STEPS, self._step - step)
