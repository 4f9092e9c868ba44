"""A whole daemon for measurements, whose memory begins with a given past and plays given music.

    python -m daemon.bench.live.prepared_daemon CONFIG PREPARATION

It is the daemon but for its performer. That remembers, from its start and after every `reset`,
real music of a given length. And where a turn has a piece to play, it plays that: the engine
computes every token's logits and the sampler draws from them, but the logits of what comes next in
the piece have been raised above all others. So density can be chosen and all work is done.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[3])

import numpy as np

from daemon.bench.live.music import past_of, performances_in
from daemon.brain.choosing_performer import ChoosingPerformer
from daemon.brain.grid import NO_GRID, Grid
from daemon.brain.memory import Logits, TokenEngine
from daemon.log import set_up_logging
from daemon.messages.pipe_end import end_with_parent
from daemon.parameters import Parameters
from daemon.settings import Settings, load_settings
from daemon.supervisor import Supervisor
from perceivers.errors import PerformerError
from perceivers.events import TimedEvent

LOOK_AHEAD = 4  # tokens of the piece that are preferred, the nearest most
RAISED_BY = 1e4  # for each; more than any logit


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a daemon is prepared with."""

    context: int  # tokens that it remembers at first
    pieces: tuple[tuple[int, ...], ...] = ()  # of tokens, one for each turn
    leads: str | None = None  # file to which each turn adds a line of JSON


class Dictation:
    """An engine that computes everything and prefers the next tokens of a piece.

    Where the grammar of the moment forbids the next one, the one behind it is taken, and so on.
    """

    def __init__(self, engine: TokenEngine) -> None:
        self._engine = engine
        self._piece: Sequence[int] = ()
        self._place = 0
        self._offered = False
        self.mark = engine.mark
        self.rewind = engine.rewind
        self.reset = engine.reset

    def dictate(self, piece: Sequence[int]) -> None:
        """Prefer these tokens from now on; none: the model is free."""
        self._piece, self._place, self._offered = piece, 0, False

    def feed(self, tokens: Sequence[int]) -> Logits:
        """Read tokens; return the logits (V,) of the one that follows, some of them raised."""
        logits = self._engine.feed(tokens)
        if self._offered:
            self._follow(tokens[0])
        ahead = self._ahead()
        self._offered = bool(ahead)
        for distance in reversed(range(len(ahead))):
            logits[ahead[distance]] = RAISED_BY * (LOOK_AHEAD - distance)
        return logits

    def _ahead(self) -> Sequence[int]:
        return self._piece[self._place : self._place + LOOK_AHEAD]

    def _follow(self, token: int) -> None:
        """Go on behind the token, or past one that could not be had."""
        ahead = list(self._ahead())
        self._place += ahead.index(token) + 1 if token in ahead else 1


class PreparedPerformer(ChoosingPerformer):
    """Remembers a past from the start, plays pieces, and notes how early each event is planned."""

    def __init__(
        self,
        engine: TokenEngine,
        context: int,
        past: Sequence[TimedEvent],
        preparation: Preparation,
        origin_ns: int,
    ) -> None:
        self._dictation = Dictation(engine)
        end_s = past[-1].time_s if past else 0.0
        self._past = [TimedEvent(time_s - end_s, event) for time_s, event in past]
        self._pieces = list(preparation.pieces)
        self._log = None if preparation.leads is None else Path(preparation.leads)
        self._origin_ns = origin_ns
        self._start_s = 0.0
        self._leads: list[tuple[float, float]] = []
        super().__init__(self._dictation, context)
        self.forget()

    def forget(self) -> None:
        """Go back to the past."""
        super().forget()
        self.hear(self._past)
        self.digest(self.lag_tokens)

    def begin_turn(
        self,
        start_s: float,
        held: frozenset[int],
        parameters: Parameters,
        rng: np.random.Generator,
        phrase_s: float = 0.0,
        grid: Grid = NO_GRID,
    ) -> None:
        """Continue at `start_s` with the next piece."""
        self._start_s = start_s
        super().begin_turn(start_s, held, parameters, rng, phrase_s, grid)
        self._dictation.dictate(self._pieces.pop(0) if self._pieces else ())

    def plan(self, until_s: float, most_tokens: int) -> list[TimedEvent]:
        """Plan on, and note for each event how far ahead of its moment it is there."""
        planned = super().plan(until_s, most_tokens)
        now_s = (time.monotonic_ns() - self._origin_ns) / 1e9
        self._leads += [(time_s - self._start_s, time_s - now_s) for time_s, _ in planned]
        return planned

    def end_turn(self, performed: Sequence[TimedEvent], heard: Sequence[TimedEvent] = ()) -> None:
        """End the turn and write down how early its events were planned."""
        self._dictation.dictate(())
        super().end_turn(performed, heard)
        if self._log is not None:
            with self._log.open("a") as log:
                log.write(json.dumps(self._leads) + "\n")
        self._leads = []


def run_prepared_brain(
    preparation: Preparation, connection: Connection, settings: Settings, origin_ns: int
) -> None:
    """Be the brain process, prepared."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from daemon.brain import process as brain  # noqa: PLC0415 - the stage shall not load the engine

    past = past_of(performances_in(), preparation.context)

    def make_performer(engine: TokenEngine, context: int) -> ChoosingPerformer:
        return PreparedPerformer(engine, context, past, preparation, origin_ns)

    brain.run(connection, brain.options_of(settings, origin_ns), make_performer)


def command(config: Path, preparation: Preparation) -> list[str]:
    """Return the command that starts a daemon so prepared; a file is written beside `config`."""
    prepared = config.with_name("preparation.json")
    prepared.write_text(json.dumps(asdict(preparation)))
    return [sys.executable, "-m", "daemon.bench.live.prepared_daemon", str(config), str(prepared)]


def _preparation(path: Path) -> Preparation:
    read: dict[str, Any] = json.loads(path.read_text())
    pieces = tuple(tuple(piece) for piece in read["pieces"])
    return Preparation(read["context"], pieces, read["leads"])


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("config", type=Path, help="settings file of the daemon")
    parser.add_argument("preparation", type=Path, help="JSON file of a Preparation")
    options = parser.parse_args(arguments)
    set_up_logging(verbose=False)
    try:
        target = partial(run_prepared_brain, _preparation(options.preparation))
        supervisor = Supervisor(load_settings(options.config), _say, brain_target=target)
        return supervisor.run()
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
