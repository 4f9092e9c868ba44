"""Say which of the ratios that must hold do not, of what the benchmarks wrote.

    python daemon/bench/check.py --engine engine.json --contest contest.json

Ratios of what was measured in one run hardly depend on the machine; the margins are generous.
Exits with 1 and names what failed.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEAST_INT8_GAIN = 1.5  # times as fast as float32, before the context fills
MOST_OF_FLOOR = 2.0  # float32 at a full context, where a step is mostly reading; the goal is 1.2
LEAST_TORCH_GAIN = 1.5  # times as fast as torch's fused attention, at a full context
MOST_MEMORY_GROWTH_MB = 8.0  # over the last nine tenths of the long run
MOST_SLOWING = 1.3  # second half of the long run against its first


@dataclass(frozen=True, slots=True)
class Check:
    """One ratio: what was found and where it must lie."""

    name: str
    value: float
    least: float = float("-inf")
    most: float = float("inf")

    @property
    def holds(self) -> bool:
        """Whether it lies where it must; not-a-number does not."""
        return self.least <= self.value <= self.most

    def __str__(self) -> str:
        limit = (
            f"at least {self.least:g}" if self.least > float("-inf") else f"at most {self.most:g}"
        )
        return f"{'holds' if self.holds else 'FAILS'}: {self.name}: {self.value:.2f}, {limit}"


def engine_checks(report: dict[str, Any]) -> Iterator[Check]:
    """Yield the checks of what `daemon/bench/engine.py` wrote with fp32 and int8."""
    rows = {(row["precision"], row["context"]): row for row in report["rows"]}
    fullest = max(context for _, context in rows)
    gain = rows["fp32", 0]["p50_ms"] / rows["int8", 0]["p50_ms"]
    yield Check("int8 against fp32 without context, times", gain, least=LEAST_INT8_GAIN)
    ratio = rows["fp32", fullest]["ratio"]
    yield Check(f"fp32 with {fullest} tokens over its floor", ratio, most=MOST_OF_FLOOR)
    for taken in report["footprints"]:
        precision, ms, memory = taken["precision"], taken["run_ms"], taken["run_memory_mb"]
        grown = memory[-1] - memory[0]
        yield Check(f"{precision}, memory grown, MB", grown, most=MOST_MEMORY_GROWTH_MB)
        half = len(ms) // 2
        slowing = min(ms[half:]) / min(ms[:half])  # the least: others on the machine only add
        yield Check(f"{precision}, second half over first", slowing, most=MOST_SLOWING)


def contest_checks(report: dict[str, Any]) -> Iterator[Check]:
    """Yield the checks of what `daemon/bench/contest.py` wrote with torch."""
    fullest = max(row["context"] for row in report["rows"])
    times = {
        row["contestant"]: row["p50_ms"] for row in report["rows"] if row["context"] == fullest
    }
    for form in ("torch-eager", "torch-compiled"):
        gain = times[form] / times["engine-fp32"]
        name = f"engine-fp32 against {form} with {fullest} tokens, times"
        yield Check(name, gain, least=LEAST_TORCH_GAIN)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--engine", type=Path, help="JSON that daemon/bench/engine.py wrote")
    parser.add_argument("--contest", type=Path, help="JSON that daemon/bench/contest.py wrote")
    options = parser.parse_args(arguments)
    checks: list[Check] = []
    if options.engine:
        checks += engine_checks(json.loads(options.engine.read_text()))
    if options.contest:
        checks += contest_checks(json.loads(options.contest.read_text()))
    for check in checks:
        sys.stdout.write(f"{check}\n")
    return 0 if all(check.holds for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
