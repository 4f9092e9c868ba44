"""Measure the whole daemon from outside, through real MIDI ports.

    python -m daemon.bench.live [--quick] [--parts rest reading hand-overs density]

Starts daemons of its own on ports and addresses of their own. Needs a MIDI system: `make bench`
brings a private JACK server. Parts:

rest        start to ready, and processor time while nobody plays
reading     processor time while a dense player plays, and hand-overs, by `timing: feed_after_ms`
hand-overs  from the command to the first note-on, with and without work before the trigger
density     how far ahead of playback a turn is planned, by notes per second
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[3])

from daemon.bench.live import measurements as m
from daemon.bench.live.music import Passage, Performance, densest, passage, performances_in
from daemon.bench.live.report import Report, draw, lines_of, policy_name
from daemon.bench.pictures import machine
from daemon.bench.results import write_json
from daemon.settings import EngineSettings, TimingSettings
from perceivers.errors import PerformerError

ROOT = Path(__file__).resolve().parents[3]
PARTS = ("rest", "reading", "hand-overs", "density")
DENSE_NOTES_PER_S = 9.0  # about 40 tokens a second
DENSEST_OVER_S = 5.0


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    contexts: tuple[int, ...] = (1024, 32_768)
    idle_s: float = 20.0
    feed_after_ms: tuple[float | None, ...] = (0.0, 10.0, 20.0, 50.0, 100.0, None)
    listening_s: float = 6.0
    hand_overs_by_policy: int = 20
    phrase_tokens: int = 300
    rounds: int = 2
    hand_overs_in_round: int = 100
    notes_per_s: tuple[float, ...] = (4.0, 8.0, 12.0, 20.0, 30.0, 45.0)
    turn_s: float = 8.0


QUICK = Extent(
    idle_s=5.0,
    feed_after_ms=(0.0, 100.0),
    listening_s=2.0,
    hand_overs_by_policy=3,
    rounds=1,
    hand_overs_in_round=10,
    notes_per_s=(8.0, 20.0),
    turn_s=4.0,
)


class Measuring:
    """Goes through the parts and gathers what they bring."""

    def __init__(self, model: Path, extent: Extent) -> None:
        self._model = model
        self._extent = extent
        self._music: list[Performance] = list(performances_in())
        self._started_s = time.monotonic()
        self.rest: m.Rest | None = None
        self.listening: list[m.Listening] = []
        self.hand_overs: list[m.HandOvers] = []
        self.densities: list[m.Density] = []
        self.densest_notes_per_s: float | None = None

    def run(self, parts: Sequence[str]) -> Report:
        """Measure these parts. Raises PerformerError without a MIDI system."""
        for part in parts:
            {
                "rest": self._rest,
                "reading": self._reading,
                "hand-overs": self._hand_overs,
                "density": self._densities,
            }[part]()
        return Report(
            machine(),
            os.path.relpath(self._model, ROOT),
            self.rest,
            self.listening,
            self.hand_overs,
            self.densities,
            self.densest_notes_per_s,
            time.monotonic() - self._started_s,
        )

    def _tell(self, what: str) -> None:
        elapsed_s = time.monotonic() - self._started_s
        sys.stderr.write(f"{elapsed_s:6.0f} s  {what}\n")

    def _rest(self) -> None:
        self._tell("a daemon that nobody plays to")
        self.rest = m.at_rest(self._model, self._extent.idle_s)

    def _reading(self) -> None:
        extent = self._extent
        dense = passage(self._music, DENSE_NOTES_PER_S, extent.listening_s)
        for context in extent.contexts:
            for after_ms in extent.feed_after_ms:
                self._tell(f"reading {policy_name(after_ms)}, {context} tokens of context")
                self.listening.append(
                    m.listening(self._model, after_ms, context, dense, extent.listening_s)
                )
                self._hand_over(after_ms, context, m.LAST_TOKENS, extent.hand_overs_by_policy)

    def _hand_overs(self) -> None:
        """Take turns between with and without work before the trigger."""
        extent = self._extent
        for number in range(1, extent.rounds + 1):
            for context in extent.contexts:
                for after_ms in (TimingSettings().feed_after_ms, None):
                    name = policy_name(after_ms)
                    self._tell(f"hand-overs, round {number}: read {name}, {context} tokens")
                    count = extent.hand_overs_in_round
                    self._hand_over(after_ms, context, extent.phrase_tokens, count)

    def _hand_over(
        self, after_ms: float | None, context: int, phrase_tokens: int, count: int
    ) -> None:
        self.hand_overs.append(
            m.hand_overs(self._model, after_ms, context, self._music, phrase_tokens, count)
        )

    def _densities(self) -> None:
        extent = self._extent
        passages: list[tuple[str, Passage]] = [
            (f"{rate:g} notes/s", passage(self._music, rate, extent.turn_s))
            for rate in extent.notes_per_s
        ]
        self.densest_notes_per_s, around = densest(self._music, DENSEST_OVER_S)
        passages.append(("densest of all", around))
        for context in extent.contexts:
            self._tell(f"performing {len(passages)} passages, {context} tokens of context")
            self.densities += m.densities(self._model, context, passages)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m daemon.bench.live",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, default=ROOT / EngineSettings().model)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument(
        "--quick", action="store_true", help="two minutes instead of a quarter hour"
    )
    parser.add_argument("--json", type=Path, help="write everything measured here")
    parser.add_argument("--picture", type=Path, help="draw a PNG here")
    options = parser.parse_args(arguments)
    try:
        report = Measuring(options.model, QUICK if options.quick else Extent()).run(options.parts)
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    sys.stdout.write("\n".join(lines_of(report)) + "\n")
    if options.json:
        write_json(options.json, asdict(report))
    if options.picture:
        draw(report, options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
