"""Draws the batches of the next steps while the present one is computed."""

import itertools
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from torch.utils.data import DataLoader, Dataset

from training.data.batches import Batch

Draw = Callable[[int], list[Batch]]
"""What returns the batches of a step: a function of the step, so that it does not matter who
draws them when."""
STEPS_AHEAD = 2  # of each process


class Ahead(Protocol):
    """Gives the batches of one step after the other."""

    def batches(self, step: int) -> list[Batch]:
        """Return the batches of a step."""
        ...

    def close(self) -> None:
        """Stop drawing."""
        ...


def drawing_ahead(draw: Draw, processes: int) -> Ahead:
    """Return what draws ahead: so many processes, or a thread of this one where they are none."""
    return ProcessesAhead(draw, processes) if processes else ThreadAhead(draw)


class ThreadAhead:
    """A thread that draws the step after the present one."""

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


class ProcessesAhead:
    """Processes that draw the steps to come, for a device that is quicker than one thread."""

    def __init__(self, draw: Draw, processes: int) -> None:
        self._steps = _Steps(draw)
        self._processes = processes
        self._drawn: Iterator[list[Batch]] | None = None
        self._next = 0

    def batches(self, step: int) -> list[Batch]:
        """Return the batches of a step."""
        if self._drawn is None or step != self._next:
            self.close()
            self._drawn, self._next = iter(self._from(step)), step
        self._next += 1
        return next(self._drawn)

    def close(self) -> None:
        """Stop drawing, and see the processes end."""
        if self._drawn is not None:
            self._drawn._shutdown_workers()  # type: ignore[attr-defined]  # noqa: SLF001
        self._drawn = None

    def _from(self, step: int) -> "DataLoader[list[Batch]]":
        return DataLoader(
            self._steps,
            batch_size=None,
            sampler=itertools.count(step),
            num_workers=self._processes,
            prefetch_factor=STEPS_AHEAD,
            collate_fn=_as_it_is,
            worker_init_fn=_leave_ctrl_c_to_the_run,
            multiprocessing_context="fork",  # the music is there already
        )


class _Steps(Dataset[list[Batch]]):
    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def __getitem__(self, step: int) -> list[Batch]:
        return self._draw(step)


def _as_it_is(batches: list[Batch]) -> list[Batch]:
    return batches


def _leave_ctrl_c_to_the_run(_: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
