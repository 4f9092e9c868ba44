"""How near an answer stays to its player, with `follow` and without.

    python -m daemon.bench.following FOLDER --json following.json

FOLDER is as in `right_moments`. Performances are cut at an instant; the model continues each of
them with every strength of `follow`, from the same seed. What is measured is how far the manner of
the answer lies from that of the player's last notes before the cut (`daemon/brain/following.py`),
and what leaning costs: by how much less likely, in nats a token, the tokens of the answer are to
the model itself. How far the pianist goes from there in the same time is beside it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from daemon.bench.measures.splits import performances
from daemon.bench.results import tell, write_json
from daemon.brain.following import PLAYER_NOTES, Lately, Manner
from daemon.brain.performer import Performer, Turn
from daemon.engine import Engine
from daemon.offline.continuing import heard_until
from daemon.parameters import Parameters
from daemon.settings import EngineSettings
from perceivers.events import TimedEvent

MODEL = Path(EngineSettings().model)
CUT_S = 40.0
LENGTH_S = 20.0
STRENGTHS = (0.0, 0.25, 0.5, 1.0)
PIANIST = "the pianist"
UNBOUNDED = 100_000  # notes: of an answer, all


@dataclass(frozen=True, slots=True)
class Distance:
    """How far one manner lies from another."""

    density: float  # |ln| of the notes in a second
    register: float  # semitones that a note would have to be moved, on average
    loudness: float  # difference of mean velocities
    length: float  # |ln| of the median time that a key is down


@dataclass(frozen=True, slots=True)
class Row:
    """What was found for one strength, the mean over all answers."""

    who: str
    answers: int
    distance: Distance
    nats_per_token: float | None  # of the answer, to the model that does not lean


def distance(one: Manner, other: Manner) -> Distance:
    """Compare two manners."""
    shares = [manner.keys / manner.keys.sum() for manner in (one, other)]
    return Distance(
        density=abs(np.log(one.notes_per_s / other.notes_per_s)),
        register=float(np.abs(np.cumsum(shares[0] - shares[1])).sum()),
        loudness=abs(one.velocity - other.velocity),
        length=abs(np.log(one.length_s / other.length_s)),
    )


def manner_of(events: Sequence[TimedEvent], most_notes: int = UNBOUNDED) -> Manner | None:
    """Return how events are played, or their last notes."""
    hand = Lately(most_notes)
    for event in events:
        hand.take(event)
    return hand.manner()


class Surprised(Performer):
    """A performer that keeps how unlikely its tokens were to the model itself."""

    def begin_turn(self, *arguments: Any) -> None:
        """Begin a turn, and to keep account."""
        super().begin_turn(*arguments)
        self.nats: list[float] = []

    def _choose(self, turn: Turn, now_s: float) -> int:
        logits = self._memory.logits().astype(np.float64)
        token = super()._choose(turn, now_s)
        self.nats.append(float(np.logaddexp.reduce(logits) - logits[token]))
        return token


def answer(performer: Surprised, follow: float, seed: int) -> list[TimedEvent]:
    """Let the performer answer at the cut, and take it back."""
    parameters = Parameters(length=LENGTH_S, follow=follow)
    performer.begin_turn(CUT_S, frozenset(), parameters, np.random.default_rng(seed))
    planned: list[TimedEvent] = []
    while performer.planned_until_s is not None:
        planned += performer.plan(float("inf"), 16)
    performer.end_turn([])
    return planned


def measure(engine: Engine, music: Sequence[Sequence[TimedEvent]], limit: int) -> list[Row]:
    """Let the model answer each of some performances with every strength."""
    performer = Surprised(engine, engine.manifest.architecture.context)
    found: dict[float, list[tuple[Distance, float]]] = {strength: [] for strength in STRENGTHS}
    pianists: list[Distance] = []
    for seed, events in enumerate(music):
        heard = heard_until([*events], CUT_S)
        gone_on = manner_of([e for e in events if CUT_S <= e.time_s < CUT_S + LENGTH_S])
        player = manner_of(heard, PLAYER_NOTES)
        if player is None or gone_on is None or len(pianists) == limit:
            continue
        performer.forget()
        performer.hear(heard)
        performer.digest(performer.lag_tokens)
        manners = {}
        for strength in STRENGTHS:
            own = manner_of(answer(performer, strength, seed))
            manners[strength] = (own, float(np.mean(performer.nats)))
        if any(own is None for own, _ in manners.values()):
            continue
        pianists.append(distance(player, gone_on))
        for strength, (own, nats) in manners.items():
            assert own is not None
            found[strength].append((distance(player, own), nats))
    rows = [
        Row(
            f"follow {strength:g}",
            len(each),
            _mean([d for d, _ in each]),
            _of([n for _, n in each]),
        )
        for strength, each in found.items()
    ]
    return [*rows, Row(PIANIST, len(pianists), _mean(pianists), None)]


def _mean(distances: Sequence[Distance]) -> Distance:
    names = [item.name for item in fields(Distance)]
    return Distance(**{name: _of([getattr(each, name) for each in distances]) for name in names})


def _of(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--every", type=int, default=4, help="take each n-th performance (4)")
    parser.add_argument("--limit", type=int, default=28, help="so many answers (28)")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found")
    options = parser.parse_args(arguments)
    engine = Engine.open(options.model, precision="int8")
    music = performances(options.folder, options.split, every=options.every)
    rows = measure(engine, music, options.limit)
    tell(f"{'':<14} answers  density  register  loudness  length  nats a token")
    for row in rows:
        d = row.distance
        nats = "" if row.nats_per_token is None else f"{row.nats_per_token:14.3f}"
        told = f"{d.density:9.3f} {d.register:9.2f} {d.loudness:9.2f} {d.length:7.3f}"
        tell(f"{row.who:<14} {row.answers:7d} {told}{nats}")
    if options.json:
        write_json(options.json, {"rows": [asdict(row) for row in rows]})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
