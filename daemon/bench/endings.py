"""How answers end: their last seconds, with `ending_s` and without.

    python -m daemon.bench.endings FOLDER --json endings.json

FOLDER is as in `right_moments`. Performances are cut at an instant, and the model continues each of
them once with the ending and once without, from the same seed. The last seconds of each answer are
compared with what it had played before.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from daemon.bench.following import Surprised
from daemon.bench.measures.splits import performances
from daemon.bench.results import tell, write_json
from daemon.engine import Engine
from daemon.offline.continuing import heard_until
from daemon.parameters import Parameters
from daemon.settings import EngineSettings
from perceivers.events import CHORD_S, NoteOff, NoteOn, TimedEvent

MODEL = Path(EngineSettings().model)
CUT_S = 30.0
LENGTH_S = 15.0
LAST_S = 3.0
ENDINGS_S = (0.0, Parameters().ending_s)
FEWEST_TO_COMPARE = 8


@dataclass(frozen=True, slots=True)
class Ending:
    """How one answer ends; the mean, of several."""

    slower: float  # notes a second at the end, as a share of those before
    softer: float  # the same of the mean velocity
    last_gap: float  # the last time between two strikes, in medians of those before
    last_held_s: float  # from the last strike to its last key
    nats_per_token: float  # of the last seconds, to the model that does not lean


def ending_of(planned: Sequence[TimedEvent], nats: float) -> Ending | None:
    """Measure the end of one answer; None where there is too little to compare."""
    notes = [timed for timed in planned if isinstance(timed.event, NoteOn)]
    if len(notes) < FEWEST_TO_COMPARE:
        return None
    end_s = notes[0].time_s + LENGTH_S
    before = [note for note in notes if note.time_s < end_s - LAST_S]
    after = [note for note in notes if note.time_s >= end_s - LAST_S]
    if len(before) < FEWEST_TO_COMPARE or not after:
        return None
    onsets_s = [notes[0].time_s]
    onsets_s += [n.time_s for n in notes if n.time_s - onsets_s[0] > CHORD_S]
    gaps_s = [gap_s for gap_s in np.diff(onsets_s) if gap_s > CHORD_S]
    last_s = notes[-1].time_s
    last_up_s = max(timed.time_s for timed in planned if isinstance(timed.event, NoteOff))
    return Ending(
        slower=(len(after) / LAST_S) / (len(before) / (LENGTH_S - LAST_S)),
        softer=_velocity(after) / _velocity(before),
        last_gap=float(gaps_s[-1] / np.median(gaps_s[:-1])),
        last_held_s=last_up_s - last_s,
        nats_per_token=nats,
    )


def _velocity(notes: Sequence[TimedEvent]) -> float:
    return float(np.mean([note.event.velocity for note in notes if isinstance(note.event, NoteOn)]))


class Answering(Surprised):
    """Keeps when each token was chosen, too."""

    def answer(self, ending_s: float, seed: int) -> tuple[list[TimedEvent], float]:
        """Answer at the cut, and take it back; return it, and the nats of its last seconds."""
        parameters = Parameters(length=LENGTH_S, ending_s=ending_s)
        self.begin_turn(CUT_S, frozenset(), parameters, np.random.default_rng(seed))
        planned: list[TimedEvent] = []
        first = 0
        while (front_s := self.planned_until_s) is not None:
            if front_s < CUT_S + LENGTH_S - LAST_S:
                first = len(self.nats)
            planned += self.plan(float("inf"), 1)
        self.end_turn([])
        return planned, float(np.mean(self.nats[first:]))


def measure(engine: Engine, music: Sequence[Sequence[TimedEvent]], limit: int) -> dict[str, Ending]:
    """Let the model answer each of some performances with every ending; return the medians."""
    performer = Answering(engine, engine.manifest.architecture.context)
    found: dict[float, list[Ending]] = {ending_s: [] for ending_s in ENDINGS_S}
    for seed, events in enumerate(music):
        if len(found[ENDINGS_S[0]]) == limit:
            break
        performer.forget()
        performer.hear(heard_until([*events], CUT_S))
        performer.digest(performer.lag_tokens)
        endings = [ending_of(*performer.answer(ending_s, seed)) for ending_s in ENDINGS_S]
        for ending_s, ending in zip(ENDINGS_S, endings, strict=True):
            if all(endings) and ending is not None:
                found[ending_s].append(ending)
    return {
        f"ending_s {ending_s:g}, {len(each)} answers": _median(each)
        for ending_s, each in found.items()
    }


def _median(endings: Sequence[Ending]) -> Ending:
    names = [item.name for item in fields(Ending)]
    return Ending(
        **{
            name: round(float(np.median([getattr(each, name) for each in endings])), 3)
            for name in names
        }
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--every", type=int, default=2, help="take each n-th performance (2)")
    parser.add_argument("--limit", type=int, default=50, help="so many answers (50)")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found")
    options = parser.parse_args(arguments)
    engine = Engine.open(options.model, precision="int8")
    rows = measure(
        engine, performances(options.folder, options.split, every=options.every), options.limit
    )
    for who, ending in rows.items():
        told = ", ".join(f"{name} {value:g}" for name, value in asdict(ending).items())
        tell(f"{who}: {told}")
    if options.json:
        write_json(options.json, {"rows": {who: asdict(row) for who, row in rows.items()}})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
