"""What choosing among candidates costs a turn: first note, lead, lateness and processor time.

    python daemon/bench/choosing.py models/medium [--counts 1 4 16] [--seconds 20] [--json FILE]

A brain in a process of its own hears half a minute of music and plays a turn for each number of
candidates, in real time; what it plans is timed as it arrives. Nobody plays meanwhile.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import TypeVar

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from daemon.bench.live.processor_time import processor_s
from daemon.bench.pictures import machine
from daemon.bench.results import tell, write_json
from daemon.brain.process import BrainOptions, run
from daemon.messages.brain import (
    BeginTurn,
    BrainFailed,
    BrainReady,
    EndTurn,
    FromBrain,
    Hear,
    PlanComplete,
    Planned,
    Pulse,
    Quit,
)
from daemon.parameters import Parameters
from perceivers.errors import PerformerError
from perceivers.events import NoteOn, TimedEvent
from perceivers.midi_files import read_performance

MUSIC = Path("training/starter/asap/Mozart/Piano_Sonatas/8-1/LEE_J03.mid")
HEARD_S = 30.0
LEAD_S = 0.3
SETTLED_S = 1.0  # of a turn, before leads count
PATIENCE_S = 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """What one turn took."""

    candidates: int
    notes: int
    first_note_ms: float
    """From the command to the first note in the plan."""
    least_lead_ms: float
    """Of all events from one second after the start on: how long before its time it was known."""
    median_lead_ms: float
    late: int
    """Events that came after their time."""
    processor_percent: float
    """Of one core, during the turn."""


def measure(folder: Path, counts: Sequence[int], seconds: float) -> list[Row]:
    """Play a turn for each number of candidates. Raises PerformerError where the brain cannot."""
    music = read_performance(Path(__file__).resolve().parents[2] / MUSIC)
    first_s = music[0].time_s
    heard = tuple(
        TimedEvent(time_s - first_s, event) for time_s, event in music if time_s < first_s + HEARD_S
    )
    context = multiprocessing.get_context("spawn")
    ours, its_own = context.Pipe()
    origin_ns = time.monotonic_ns() - round(HEARD_S * 1e9)
    options = BrainOptions(folder, "cpu", "auto", 1, LEAD_S, 0.02, origin_ns)
    brain = context.Process(target=run, args=(its_own, options), daemon=True)
    brain.start()
    try:
        _said(ours, BrainReady)
        ours.send(Hear(heard))
        rows = []
        for turn, candidates in enumerate(counts, start=1):
            while _said(ours, Pulse).lag_tokens:
                pass
            parameters = Parameters(seed=1, length=seconds, candidates=candidates)
            rows.append(_turn(ours, brain.pid or 0, turn, parameters, origin_ns))
            ours.send(EndTurn(turn, ()))
        ours.send(Quit())
        brain.join(PATIENCE_S)
        return rows
    finally:
        brain.kill()


def _turn(
    brain: Connection, process: int, turn: int, parameters: Parameters, origin_ns: int
) -> Row:
    before_s = sum(processor_s(process).values())
    start_s = (time.monotonic_ns() - origin_ns) / 1e9
    brain.send(BeginTurn(turn, start_s, frozenset(), parameters))
    arrived: list[tuple[float, TimedEvent]] = []
    while not isinstance(said := _said(brain, Planned, PlanComplete), PlanComplete):
        assert isinstance(said, Planned)
        now_s = (time.monotonic_ns() - origin_ns) / 1e9
        arrived += [(now_s, event) for event in said.events]
    lasted_s = (time.monotonic_ns() - origin_ns) / 1e9 - start_s
    used_s = sum(processor_s(process).values()) - before_s
    notes = [(now_s, event) for now_s, event in arrived if isinstance(event.event, NoteOn)]
    leads_s = [
        event.time_s - now_s for now_s, event in arrived if event.time_s > start_s + SETTLED_S
    ]
    return Row(
        candidates=parameters.candidates,
        notes=len(notes),
        first_note_ms=1000 * (notes[0][0] - start_s),
        least_lead_ms=1000 * min(leads_s),
        median_lead_ms=1000 * median(leads_s),
        late=sum(lead_s < 0 for lead_s in leads_s),
        processor_percent=100 * used_s / lasted_s,
    )


def _said(brain: Connection, *kinds: type[T]) -> T:
    """Return the next message of some kinds."""
    while brain.poll(PATIENCE_S):
        message: FromBrain = brain.recv()
        if isinstance(message, BrainFailed):
            raise PerformerError(message.reason)
        if isinstance(message, kinds):
            return message
    raise PerformerError(f"the brain said nothing for {PATIENCE_S:.0f} s")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="model folder")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a turn")
    parser.add_argument("--json", type=Path, help="write everything found here")
    options = parser.parse_args(arguments)
    try:
        rows = measure(options.folder, options.counts, options.seconds)
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    tell(f"{machine()}; {options.folder}, {options.seconds:.0f} s each")
    tell("candidates  notes  first note, ms  least lead, ms  median lead, ms  late  processor, %")
    for row in rows:
        tell(
            f"{row.candidates:>10} {row.notes:>6} {row.first_note_ms:15.1f} "
            f"{row.least_lead_ms:15.0f} {row.median_lead_ms:16.0f} {row.late:>5} "
            f"{row.processor_percent:13.0f}"
        )
    if options.json:
        found = {"machine": machine(), "model": str(options.folder), "seconds": options.seconds}
        write_json(options.json, found | {"rows": [asdict(row) for row in rows]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
