"""The learning curve of a run: a CSV that is appended to, and a picture drawn from it."""

import csv
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

from perceivers.atomic import atomic_path


class Point(NamedTuple):
    """One line of the curve."""

    step: int
    tokens: int  # loss tokens seen so far
    train_nll: float  # nats per token, mean since the last line
    validation_nll: float | None
    rate_factor: float  # share of the peak learning rate


def append_point(folder: Path, point: Point) -> None:
    """Add a line to `learning_curve.csv`."""
    path = folder / "learning_curve.csv"
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(Point._fields)
        writer.writerow("" if value is None else value for value in point)


def read_points(folder: Path) -> list[Point]:
    """Read the curve; steps that a resumed run repeated count as it saw them last."""
    with (folder / "learning_curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    by_step = {int(row["step"]): _point_of(row) for row in rows}
    return [by_step[step] for step in sorted(by_step)]


def _point_of(row: dict[str, str]) -> Point:
    validation = row["validation_nll"]
    return Point(
        int(row["step"]),
        int(row["tokens"]),
        float(row["train_nll"]),
        float(validation) if validation else None,
        float(row["rate_factor"]),
    )


def draw(folder: Path) -> None:
    """Draw `learning_curve.png` from the CSV, atomically."""
    points = read_points(folder)
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    millions = [point.tokens / 1e6 for point in points]
    axes.plot(millions, [point.train_nll for point in points], lw=0.8, label="training")
    validated = [(x, p.validation_nll) for x, p in zip(millions, points, strict=True)]
    known = [(x, y) for x, y in validated if y is not None]
    axes.plot([x for x, _ in known], [y for _, y in known], "o-", ms=3, label="validation")
    axes.set(xlabel="tokens seen (millions)", ylabel="nats per token")
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_path(folder / "learning_curve.png") as partial:
        figure.savefig(partial, dpi=120, bbox_inches="tight")
    pyplot.close(figure)
