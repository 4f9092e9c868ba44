"""An engine that reads an opening once: the same tokens after a reset are put back, not read."""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.engine.engine import Array, Engine, Snapshot


@dataclass(frozen=True, slots=True)
class Opening:
    """What was fed first after a reset, and the engine after it."""

    tokens: tuple[int, ...]
    logits: Array
    snapshot: Snapshot


class PrimedEngine:
    """Engine whose last opening, what it was fed first after a reset, comes back from a copy."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._opening: Opening | None = None
        self.mark = engine.mark
        self.rewind = engine.rewind
        self.reset = engine.reset

    def feed(self, tokens: Sequence[int]) -> Array:
        """Read tokens; return the logits (V,) of the one that follows."""
        if self._engine.position:
            return self._engine.feed(tokens)
        opening = self._opening
        if opening is None or opening.tokens != tuple(tokens):
            logits = self._engine.feed(tokens)
            opening = self._opening = Opening(tuple(tokens), logits, self._engine.snapshot())
        else:
            self._engine.restore(opening.snapshot)
        return opening.logits.copy()
