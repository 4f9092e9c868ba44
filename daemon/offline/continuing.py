"""Continue MIDI files without ports and in no real time: the same performer, offline."""

import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from daemon.brain.choosing_performer import ChoosingPerformer
from daemon.engine import Engine
from daemon.engine.primed_engine import PrimedEngine
from daemon.offline.piano_roll import draw_piano_roll
from daemon.parameters import LengthUnit, Parameters
from perceivers.errors import MidiFileError, PerformerError, SettingsError
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import Track, read_performance, write_performance

PLAN_CHUNK = 16
SHOWN_BEFORE_S = 45.0  # of the player's part, in the picture
PERFORMER_CHANNEL = 1  # the second one, so that the two parts stay apart in any player
SEEDS = 2**31
MIDI_ENDS = (".mid", ".midi")


@dataclass(frozen=True, slots=True)
class OfflineOptions:
    """What to continue, with what, to where."""

    sources: tuple[Path, ...]
    out: Path  # a file for one answer, a folder for several or if it is one
    model: Path
    provider: str
    precision: str
    threads: int
    parameters: Parameters
    cuts_s: tuple[float, ...] = ()  # where to continue from: none (the end), one, or one for each
    picture: bool = True
    takes: int = 1  # answers to each source


@dataclass(frozen=True, slots=True)
class Job:
    """One answer to one file."""

    source: Path
    out: Path
    cut_s: float | None
    parameters: Parameters  # with a seed


def continue_files(options: OfflineOptions) -> int:
    """Continue MIDI files with one engine; write both parts of each, as MIDI and as a piano roll.

    A file that cannot be continued is named on stderr, and the others go on. Returns 0, or 2 if
    there was such a file. Raises PerformerError when the model or the request cannot be used.
    """
    jobs = jobs_of(options)
    engine = Engine.open(
        options.model,
        precision=options.precision,
        provider=options.provider,
        threads=options.threads,
    )
    reader = PrimedEngine(engine) if options.takes > 1 else engine
    performer = ChoosingPerformer(reader, engine.manifest.architecture.context)
    failed: set[Path] = set()
    for job in jobs:
        if job.source in failed:
            continue  # said once, and true of its other takes
        try:
            told = _continue(job, performer, options.picture)
        except PerformerError as error:
            sys.stderr.write(f"{error}\n")
            failed.add(job.source)
            continue
        sys.stdout.write(f"{told}, {engine.precision} on {engine.provider})\n")
        if options.picture:
            sys.stdout.write(f"{job.out.with_suffix('.png')}: the piano roll\n")
        sys.stdout.flush()  # whoever reads a pipe sees each file when it is done
    if failed and len(options.sources) > 1:
        sys.stderr.write(f"{len(failed)} of {len(options.sources)} files could not be continued\n")
    return 2 if failed else 0


def jobs_of(options: OfflineOptions) -> list[Job]:
    """Return what is to be done, take by take, with seeds that count up from the first.

    Raises SettingsError where the request contradicts itself.
    """
    sources, cuts_s, takes = options.sources, options.cuts_s, options.takes
    if options.parameters.length_unit == LengthUnit.OPEN:
        raise SettingsError("length_unit open never ends in a file; use seconds, notes or match")
    if len(cuts_s) not in (0, 1, len(sources)):
        raise SettingsError(
            f"--at has {len(cuts_s)} instants for {len(sources)} files; give one, or one for each"
        )
    each_s = cuts_s if len(cuts_s) == len(sources) else (cuts_s or (None,)) * len(sources)
    wanted = [
        (source, cut_s, take)
        for source, cut_s in zip(sources, each_s, strict=True)
        for take in range(1, takes + 1)
    ]
    outs = _outs(options, [(source, take) for source, _, take in wanted])
    seed = options.parameters.seed
    first_seed = secrets.randbits(31) if seed is None else seed
    return [
        Job(source, out, cut_s, replace(options.parameters, seed=(first_seed + number) % SEEDS))
        for number, (out, (source, cut_s, _)) in enumerate(zip(outs, wanted, strict=True))
    ]


def _outs(options: OfflineOptions, wanted: Sequence[tuple[Path, int]]) -> list[Path]:
    """Return the file of each answer: one file, or in a folder under the names of the sources."""
    out, takes = options.out, options.takes
    if len(wanted) > 1 and not out.is_dir() and (out.is_file() or out.suffix.lower() in MIDI_ENDS):
        is_file = "is a file" if out.is_file() else "is the name of a file"
        raise SettingsError(f"{out}: {is_file}; several continuations need a folder")
    if len(wanted) == 1 and not out.is_dir():
        outs = [out]
    elif takes == 1:
        outs = [out / source.name for source, _ in wanted]
    else:
        digits = len(str(takes))
        outs = [out / f"{source.stem}-{take:0{digits}}.mid" for source, take in wanted]
    sources = {source.resolve(): source for source in options.sources}
    for number, path in enumerate(outs):
        if path in outs[:number]:
            raise SettingsError(f"{path}: two files would be written here; rename one of them")
        if path.resolve() in sources:
            raise SettingsError(f"{path}: is the file to continue; choose another --out")
    return outs


def _continue(job: Job, performer: ChoosingPerformer, picture: bool) -> str:
    """Continue one file from an empty memory; return what happened, as an open parenthesis."""
    heard = heard_until(read_performance(job.source), job.cut_s)
    if not any(isinstance(event.event, NoteOn) for event in heard):
        before = "" if job.cut_s is None else f" before {job.cut_s:g} s"
        raise MidiFileError(f"{job.source}: holds no notes{before} to continue")
    start_s = heard[-1].time_s if job.cut_s is None else job.cut_s
    performer.forget()
    performer.hear(heard)
    performer.digest(performer.lag_tokens)  # at once: of a long feed, most need no deep layers
    started_s = time.monotonic()
    planned = _perform(performer, start_s, job.parameters)
    elapsed_s = time.monotonic() - started_s
    try:
        _write(job, heard, planned, picture)
    except OSError as error:
        raise PerformerError(f"{job.out}: cannot be written ({error.strerror})") from error
    notes = sum(isinstance(event.event, NoteOn) for event in planned)
    return (
        f"{job.out}: {notes} notes, {planned[-1].time_s - start_s:.1f} s of music "
        f"in {elapsed_s:.1f} s (seed {job.parameters.seed}"
    )


def heard_until(events: list[TimedEvent], cut_s: float | None) -> list[TimedEvent]:
    """Return what is heard of a performance before an instant, or all; every key is then up."""
    if cut_s is None:
        return closed(events) if events else []
    heard = [event for event in events if event.time_s < cut_s]
    return closed(heard, cut_s) if heard else []


def closed(events: list[TimedEvent], end_s: float | None = None) -> list[TimedEvent]:
    """Return a performance whose keys are all up at `end_s`, or at its last event."""
    sounding: set[int] = set()
    for _, event in events:
        if isinstance(event, NoteOn):
            sounding.add(event.pitch)
        elif isinstance(event, NoteOff):
            sounding.discard(event.pitch)
    at_s = events[-1].time_s if end_s is None else end_s
    return events + [TimedEvent(at_s, NoteOff(pitch)) for pitch in sorted(sounding)]


def _perform(
    performer: ChoosingPerformer, start_s: float, parameters: Parameters
) -> list[TimedEvent]:
    performer.begin_turn(start_s, frozenset(), parameters, np.random.default_rng(parameters.seed))
    planned: list[TimedEvent] = []
    unseen = not sys.stderr.isatty()
    with tqdm(desc="performing", unit="event", disable=unseen, leave=False) as bar:
        while performer.planned_until_s is not None:
            if performer.chooses:
                events = performer.ponder(PLAN_CHUNK)
            else:
                events = performer.plan(float("inf"), PLAN_CHUNK)
            planned += events
            bar.update(len(events))
    return planned


def _write(
    job: Job, heard: Sequence[TimedEvent], planned: Sequence[TimedEvent], picture: bool
) -> None:
    """Write both parts; the performer's part begins with the pedal as the player left it."""
    if any(isinstance(event.event, Pedal) for event in heard):
        end_s = heard[-1].time_s if job.cut_s is None else job.cut_s
        heard = [*heard, TimedEvent(end_s, Pedal(False))]
    tracks = (
        Track("player", 0, tuple(heard)),
        Track("performer", PERFORMER_CHANNEL, tuple(planned)),
    )
    write_performance(job.out, tracks)
    if picture:
        from_s = max(0.0, planned[0].time_s - SHOWN_BEFORE_S)
        parts = (("player", heard), ("performer", planned))
        draw_piano_roll(job.out.with_suffix(".png"), parts, from_s)
