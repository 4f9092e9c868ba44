"""What attentions look back on: the context's tokens, keys and values, and what of them is hidden.

B batch, S positions; the queries of an attention stand at the last of them.
"""

from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import pad

from perceivers.cache import KeyValue

Angles = tuple[Tensor, Tensor]
"""Cosines and sines of the rotary angles, one row for each position."""


class Memory(NamedTuple):
    """What the queries of one attention look back on; they stand at the last of its S keys."""

    keys_values: KeyValue
    window: int
    padding: Tensor | None = None  # (B,): masked keys at the left; None where there are none
    kept: Tensor | None = None  # (S,): keys that prefix dropout leaves; None where it leaves all

    def without_last(self, count: int) -> "Memory":
        """Return what queries that stand `count` positions earlier look back on."""
        keys, values = (part[..., :-count, :] for part in self.keys_values)
        kept = None if self.kept is None else self.kept[:-count]
        return self._replace(keys_values=KeyValue(keys, values), kept=kept)

    def behind(self, older: KeyValue) -> "Memory":
        """Return this with older keys and values before it."""
        return self._replace(keys_values=older.extended(*self.keys_values))


class Context(NamedTuple):
    """The tokens that the cross-attentions look back on."""

    tokens: Tensor  # (B, S)
    angles: Angles  # of every position
    padding: Tensor | None  # (B,): masked tokens at the left; None where there are none
    kept: Tensor | None  # (S,): tokens that prefix dropout leaves; None where it leaves all

    def seen_by(self, queries: int, window: int) -> "Context":
        """Return the part that the last `queries` positions reach with a window."""
        if self.tokens.shape[1] <= window and self.kept is not None:
            return self._without_dropped(self.kept)
        skipped = max(0, self.tokens.shape[1] - (queries + window - 1))
        padding = None if self.padding is None else (self.padding - skipped).clamp(min=0)
        if padding is not None and not bool(padding.any()):
            padding = None
        angles = (self.angles[0][skipped:], self.angles[1][skipped:])
        kept = None if self.kept is None else self.kept[skipped:]
        return Context(self.tokens[:, skipped:], angles, padding, kept)

    def _without_dropped(self, kept: Tensor) -> "Context":
        """Return what prefix dropout leaves, closed up: less work, and no mask."""
        padding = None if self.padding is None else pad(kept.cumsum(0), (1, 0))[self.padding]
        angles = (self.angles[0][kept], self.angles[1][kept])
        return Context(self.tokens[:, kept], angles, padding, None)

    def last_angles(self, count: int) -> Angles:
        """Return the angles of the last positions."""
        return self.angles[0][-count:], self.angles[1][-count:]
