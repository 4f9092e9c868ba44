"""Measure how long it takes to choose a token, once the engine has predicted.

    python daemon/bench/sampling.py MODEL_FOLDER

The model plays by itself, and every token is chosen under the next of some settings in turn, so
that all meet the same music and the same machine. Times are processor time of the one thread, right
after a step of the engine, which has emptied the processor's caches of everything else; reading the
clock, some 2 µs, is in each.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from daemon.bench.pictures import machine
from daemon.bench.results import write_json
from daemon.brain.answer import Answer
from daemon.brain.memory import Memory
from daemon.engine import Engine
from daemon.parameters import Parameters
from perceivers.errors import PerformerError
from perceivers.events import NoteOn
from perceivers.repetition_penalty import StruckChords, discouraged
from perceivers.sampling import sample

SETTINGS = {
    "defaults": Parameters(),
    "the model itself": Parameters(pitch_temperature=1.0),
    "three temperatures": Parameters(temperature=0.9, time_temperature=0.8, pitch_temperature=1.1),
    "repetition penalty": Parameters(repetition_penalty=1.0),
}
PARTS = ("penalty", "mask", "draw", "all")
COMPARING = "a struck note"  # compared with what was struck before it; whatever the settings
TOKENS = 1000  # for each setting
PERCENTILES = (50, 95)

Times = Mapping[str, list[int]]  # ns, by part


@dataclass(slots=True)
class Player:
    """A model that plays by itself, and the time that its choices take."""

    memory: Memory
    answer: Answer
    struck: StruckChords

    def choose(self, times: Times) -> int:
        """Choose a token as the performer does, with the clock read between the parts."""
        parameters = self.answer.parameters
        logits, now_s = self.memory.logits(), self.memory.now_s
        begun = time.thread_time_ns()
        if parameters.repetition_penalty:
            self.struck = self.struck.at(now_s)
            logits = discouraged(
                logits, self.struck, parameters.repetition_penalty, parameters.repetition_notes
            )
        penalised = time.thread_time_ns()
        allowed = self.answer.allowed(self.memory.state, now_s)
        masked = time.thread_time_ns()
        token = sample(logits, allowed, self.answer.sampling, self.answer.rng)
        drawn = time.thread_time_ns()
        spans = (penalised - begun, masked - penalised, drawn - masked, drawn - begun)
        for part, span in zip(PARTS, spans, strict=True):
            times[part].append(span)
        return token

    def play(self, token: int) -> int | None:
        """Play a token; return the ns that comparing took if it struck a note."""
        event = self.memory.take(token)
        if event is None:
            return None
        self.answer.note(event)
        if not isinstance(event.event, NoteOn):
            return None
        begun = time.thread_time_ns()
        self.struck = self.struck.then(event.time_s, event.event.pitch)
        return time.thread_time_ns() - begun


def measure(engine: Engine, tokens: int) -> dict[str, dict[str, list[int]]]:
    """Return the times (ns) of choosing so many tokens, by setting and part."""
    memory = Memory(engine, engine.manifest.architecture.context)
    answer = Answer(0.0, Parameters(), set(), np.random.default_rng(0))
    player = Player(memory, answer, StruckChords())
    times: dict[str, dict[str, list[int]]] = {
        setting: {part: [] for part in PARTS} for setting in SETTINGS
    }
    compared: list[int] = []
    for _ in range(tokens):
        for setting, parameters in SETTINGS.items():
            answer.steer(parameters)
            span = player.play(player.choose(times[setting]))
            compared += [] if span is None else [span]
    return {**times, COMPARING: {"all": compared}}


def percentiles_us(times: Mapping[str, Times]) -> dict[str, dict[str, dict[str, float]]]:
    """Return the percentiles in microseconds, by setting and part."""
    return {
        setting: {
            part: {
                f"p{percent}": round(float(np.percentile(spans, percent)) / 1000, 1)
                for percent in PERCENTILES
            }
            for part, spans in parts.items()
        }
        for setting, parts in times.items()
    }


def report(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Return a table: p50 and p95 of every part."""
    lines = [f"{'µs, p50 / p95':>20} " + " ".join(f"{part:>14}" for part in PARTS)]
    for setting, parts in found.items():
        cells = (
            f"{parts[part]['p50']:.1f} / {parts[part]['p95']:.1f}" if part in parts else ""
            for part in PARTS
        )
        lines.append(f"{setting:>20} " + " ".join(f"{cell:>14}" for cell in cells))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="model folder")
    parser.add_argument("--precision", default="int8", help="graph that predicts")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="under each setting")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    try:
        engine = Engine.open(options.folder, precision=options.precision, provider="cpu")
        found = percentiles_us(measure(engine, options.tokens))
    except PerformerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(report(found) + "\n")
    if options.json:
        content = {"machine": machine(), "precision": engine.precision, "percentiles_us": found}
        write_json(options.json, content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
