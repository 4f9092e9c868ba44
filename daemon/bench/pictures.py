"""Pictures of measurements, and the name of the machine that they were made on."""

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

from perceivers.atomic import atomic_path

PYTHON = platform.python_version()

Curve = tuple[Sequence[float], Sequence[float]]  # x and y


@dataclass(frozen=True, slots=True)
class Panel:
    """One diagram: named curves over common axes."""

    title: str
    x_label: str
    y_label: str
    curves: Mapping[str, Curve]
    is_x_logarithmic: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, with the least and greatest value that it sums up."""

    name: str
    value: float
    least: float
    greatest: float
    is_ours: bool = False


def machine() -> str:
    """Return the processor and the system that figures were measured on."""
    cpu_info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpu_info.read_text()) if cpu_info.exists() else []
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, Python {PYTHON}"


def draw_panels(path: Path, panels: Sequence[Panel]) -> None:
    """Draw panels side by side to a PNG."""
    figure, axes = pyplot.subplots(1, len(panels), figsize=(6 * len(panels), 4), squeeze=False)
    for panel, axis in zip(panels, axes[0], strict=True):
        for name, (x, y) in panel.curves.items():
            axis.plot(x, y, marker="o", ms=3, lw=1.2, label=name)
        if panel.is_x_logarithmic:
            axis.set_xscale("symlog", base=2, linthresh=64)
        axis.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label, ylim=(0, None))
        axis.grid(alpha=0.3)
        axis.legend()
    with atomic_path(path) as partial:
        figure.savefig(partial, dpi=110, bbox_inches="tight")
    pyplot.close(figure)


def draw_bars(path: Path, title: str, label: str, bars: Sequence[Bar]) -> None:
    """Draw bars with their values on a logarithmic scale to a PNG, the first at the bottom."""
    figure, axis = pyplot.subplots(figsize=(9, 1 + 0.3 * len(bars)))
    values = [bar.value for bar in bars]
    spread = [
        [max(0.0, bar.value - bar.least) for bar in bars],
        [max(0.0, bar.greatest - bar.value) for bar in bars],
    ]
    colours = ["#4a7ab8" if bar.is_ours else "#b0b0b8" for bar in bars]
    axis.barh([bar.name for bar in bars], values, xerr=spread, color=colours, ecolor="#444")
    for index, bar in enumerate(bars):
        axis.text(bar.greatest * 1.05, index, f"{bar.value:.3g}", va="center", fontsize=8)
    axis.set_xscale("log")
    axis.set(title=title, xlabel=label, xlim=(min(values) / 2, max(values) * 3))
    axis.grid(alpha=0.3, axis="x")
    with atomic_path(path) as partial:
        figure.savefig(partial, dpi=110, bbox_inches="tight")
    pyplot.close(figure)
