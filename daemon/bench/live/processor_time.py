"""The processor time of the daemon's processes, from /proc (Linux)."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from perceivers.errors import PerformerError

_PROC = Path("/proc")
_PART_AT_DEPTH = ("supervisor", "stage", "brain")  # each starts the next one

Seconds = dict[str, float]
Shares = dict[str, float]
"""Percent of one core, by process; "all" is their sum."""


def processor_s(root: int) -> Seconds:
    """Return the processor time so far of the daemon whose first process is `root`, by process.

    Raises PerformerError where the system has no /proc.
    """
    if not (_PROC / "self" / "stat").exists():
        raise PerformerError("processor time is read from /proc, which only Linux has")
    total = dict.fromkeys(_PART_AT_DEPTH, 0.0)
    for pid, depth in _tree(root, 0):
        part = _PART_AT_DEPTH[min(depth, len(_PART_AT_DEPTH) - 1)]
        with suppress(FileNotFoundError, ProcessLookupError):
            total[part] += _seconds(pid)
    return total


def shares(before: Seconds, after: Seconds, elapsed_s: float) -> Shares:
    """Return percents of one core between two readings."""
    each = {part: 100 * (after[part] - before[part]) / elapsed_s for part in before}
    return each | {"all": sum(each.values())}


@contextmanager
def measured_shares(root: int) -> Iterator[Shares]:
    """Yield what holds, once the block is over, the shares of the daemon during it."""
    during: Shares = {}
    before, started_s = processor_s(root), time.monotonic()
    yield during
    during |= shares(before, processor_s(root), time.monotonic() - started_s)


def resident_mb(pid: int | None = None) -> float:
    """Return the memory that a process holds, in MB (10^6 bytes); None: this one.

    Raises PerformerError where the system has no /proc.
    """
    path = _PROC / ("self" if pid is None else str(pid)) / "statm"
    if not path.exists():
        raise PerformerError("resident memory is read from /proc, which only Linux has")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def resident_mb_of_all(root: int) -> float:
    """Return the memory that the daemon's processes hold together; shared pages count in each."""
    return sum(resident_mb(pid) for pid, _ in _tree(root, 0))


def _seconds(pid: int) -> float:
    """Return user and system time of a process."""
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / os.sysconf("SC_CLK_TCK")


def _tree(pid: int, depth: int) -> Iterator[tuple[int, int]]:
    """Yield a process and those below it, each with its depth. Python's own helpers count too."""
    yield pid, depth
    for task in (_PROC / str(pid) / "task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            for child in task.read_text().split():
                yield from _tree(int(child), depth + 1)
