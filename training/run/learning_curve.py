"""The learning curve of a run: a CSV with a line per step, and a picture drawn from it."""

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

from perceivers.atomic import atomic_path

CURVE_FILE = "learning_curve.csv"
DRAWN_POINTS = 400  # training losses are averaged to about so many points in the picture


class Point(NamedTuple):
    """One line of the curve; an unknown value is an empty cell."""

    step: int
    tokens: int  # loss tokens seen so far
    train_nll: float | None  # nats per token
    validation_nll: float | None
    rate_factor: float  # share of the peak learning rate


class LearningCurve:
    """`learning_curve.csv` and `learning_curve.png` in the folder of a run."""

    def __init__(self, folder: Path) -> None:
        self._csv = folder / CURVE_FILE
        self._png = folder / "learning_curve.png"

    def rewind(self, step: int) -> None:
        """Forget what lies after a step: a run that resumes there will say it again."""
        self._write(point for point in self.read() if point.step <= step)

    def append(self, point: Point) -> None:
        """Add a line."""
        with self._csv.open("a", newline="") as file:
            csv.writer(file).writerow("" if value is None else value for value in point)

    def read(self) -> list[Point]:
        """Return the whole lines in order of steps; a line torn by a kill is left out."""
        if not self._csv.exists():
            return []
        with self._csv.open(newline="") as file:
            rows = list(csv.reader(file))
        points = [point for row in rows if (point := _point_of(row)) is not None]
        by_step = {point.step: point for point in points}
        return [by_step[step] for step in sorted(by_step)]

    def draw(self) -> None:
        """Draw the picture, atomically."""
        points = self.read()
        figure, axes = pyplot.subplots(figsize=(8, 4.5))
        axes.plot(*_averaged(points), lw=1.0, label="training")
        known = [(p.tokens / 1e6, p.validation_nll) for p in points if p.validation_nll is not None]
        axes.plot([x for x, _ in known], [y for _, y in known], "o-", ms=3, label="validation")
        axes.set(xlabel="tokens seen (millions)", ylabel="nats per token")
        axes.grid(alpha=0.3)
        axes.legend()
        with atomic_path(self._png) as partial:
            figure.savefig(partial, dpi=120, bbox_inches="tight")
        pyplot.close(figure)

    def _write(self, points: Iterable[Point]) -> None:
        kept = list(points)
        with atomic_path(self._csv) as partial, partial.open("w", newline="") as file:
            csv.writer(file).writerow(Point._fields)
            for point in kept:
                csv.writer(file).writerow("" if value is None else value for value in point)


def _point_of(row: list[str]) -> Point | None:
    try:
        step, tokens, train, validation, factor = row
        return Point(
            int(step),
            int(tokens),
            float(train) if train else None,
            float(validation) if validation else None,
            float(factor),
        )
    except ValueError:  # the header, or a torn line
        return None


def _averaged(points: list[Point]) -> tuple[list[float], list[float]]:
    """Return millions of tokens and mean training loss of consecutive groups of points."""
    trained = [(point.tokens / 1e6, point.train_nll) for point in points if point.train_nll]
    width = max(1, math.ceil(len(trained) / DRAWN_POINTS))
    groups = [trained[i : i + width] for i in range(0, len(trained), width)]
    means = [sum(nll for _, nll in group) / len(group) for group in groups]
    return [group[-1][0] for group in groups], means
