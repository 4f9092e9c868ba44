"""Continue a MIDI file without ports and in no real time: the same performer, offline."""

import secrets
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from daemon.engine import Engine
from daemon.parameters import Parameters
from daemon.performer import Performer
from daemon.piano_roll import draw_piano_roll
from perceivers.errors import MidiFileError
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import Track, read_performance, write_performance

FEED_CHUNK = 1024
PLAN_CHUNK = 16
SHOWN_BEFORE_S = 45.0  # of the player's part, in the picture
PERFORMER_CHANNEL = 1  # the second one, so that the two parts stay apart in any player


@dataclass(frozen=True, slots=True)
class OfflineOptions:
    """What to continue, with what, to where."""

    source: Path
    out: Path
    model: Path
    provider: str
    precision: str
    threads: int
    parameters: Parameters


def continue_file(options: OfflineOptions) -> int:
    """Continue a MIDI file; write both parts as MIDI and as a piano roll (PNG). Returns 0.

    Raises PerformerError when the file or the model cannot be used.
    """
    heard = closed(read_performance(options.source))
    if not any(isinstance(event.event, NoteOn) for event in heard):
        raise MidiFileError(f"{options.source}: holds no notes to continue")
    engine = Engine.open(
        options.model,
        precision=options.precision,
        provider=options.provider,
        threads=options.threads,
    )
    seed = options.parameters.seed
    seed = secrets.randbits(31) if seed is None else seed
    performer = Performer(engine, engine.manifest.architecture.context)
    performer.hear(heard)
    _digest(performer)
    started_s = time.monotonic()
    planned = _perform(performer, heard[-1].time_s, replace(options.parameters, seed=seed))
    elapsed_s = time.monotonic() - started_s
    _write(options, heard, planned)
    notes = sum(isinstance(event.event, NoteOn) for event in planned)
    sys.stdout.write(
        f"{options.out}: {notes} notes, {planned[-1].time_s - heard[-1].time_s:.1f} s of music "
        f"in {elapsed_s:.1f} s (seed {seed}, {engine.precision} on {engine.provider})\n"
        f"{options.out.with_suffix('.png')}: the piano roll\n"
    )
    return 0


def closed(events: list[TimedEvent]) -> list[TimedEvent]:
    """Return a performance whose keys are all up at its end."""
    sounding: set[int] = set()
    for _, event in events:
        if isinstance(event, NoteOn):
            sounding.add(event.pitch)
        elif isinstance(event, NoteOff):
            sounding.discard(event.pitch)
    return events + [TimedEvent(events[-1].time_s, NoteOff(pitch)) for pitch in sorted(sounding)]


def _digest(performer: Performer) -> None:
    with _progress(performer.lag_tokens, "reading", "token") as bar:
        while performer.lag_tokens:
            bar.update(performer.digest(FEED_CHUNK))


def _perform(performer: Performer, start_s: float, parameters: Parameters) -> list[TimedEvent]:
    performer.begin_turn(start_s, frozenset(), parameters, np.random.default_rng(parameters.seed))
    planned: list[TimedEvent] = []
    with _progress(None, "performing", "event") as bar:
        while performer.planned_until_s is not None:
            events = performer.plan(float("inf"), PLAN_CHUNK)
            planned += events
            bar.update(len(events))
    return planned


def _progress(total: int | None, what: str, unit: str) -> "tqdm[None]":
    return tqdm(total=total, desc=what, unit=unit, disable=not sys.stderr.isatty(), leave=False)


def _write(options: OfflineOptions, heard: list[TimedEvent], planned: list[TimedEvent]) -> None:
    """Write both parts; the performer's part begins with the pedal as the player left it."""
    if any(isinstance(event.event, Pedal) for event in heard):
        heard = [*heard, TimedEvent(heard[-1].time_s, Pedal(False))]
    tracks = (
        Track("player", 0, tuple(heard)),
        Track("performer", PERFORMER_CHANNEL, tuple(planned)),
    )
    write_performance(options.out, tracks)
    parts = (("player", heard), ("performer", planned))
    from_s = max(0.0, planned[0].time_s - SHOWN_BEFORE_S)
    draw_piano_roll(options.out.with_suffix(".png"), parts, from_s)
