"""Draws the batches of the next step while the present one is computed."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from training.data.batches import Batch

Draw = Callable[[int], list[Batch]]


class Ahead:
    """Gives what `draw` returns for a step, and begins with the step after it.

    Batches are functions of the step, so that it does not matter who draws them when.
    """

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._next: tuple[int, Future[list[Batch]]] | None = None

    def batches(self, step: int) -> list[Batch]:
        """Return the batches of a step."""
        begun, self._next = self._next, None
        found = begun[1].result() if begun is not None and begun[0] == step else self._draw(step)
        self._next = (step + 1, self._pool.submit(self._draw, step + 1))
        return found

    def close(self) -> None:
        """Stop drawing."""
        self._pool.shutdown(cancel_futures=True)
