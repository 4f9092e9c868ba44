"""One shard of token files: MIDI files in, tokens and their description out."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from perceivers import sustain
from perceivers.encoder import encode
from perceivers.errors import MidiFileError
from perceivers.events import PEDAL_UP_BELOW, NoteOn, TimedEvent
from perceivers.midi_files import read_performance
from perceivers.vocabulary import Flavour, Kind, Source, fingerprint, is_kind
from training.data.midi_folder import MidiFile
from training.data.token_store import Piece, Tokens, write_atomically

OPENING_NOTES = 48
# More notes than these are no performance but a wrong tempo: a cluster of both forearms, and some
# times what the densest playing has on average.
MOST_NOTES_AT_ONCE = 20
MOST_NOTES_PER_S = 100


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a preparation did."""

    pieces: list[Piece]
    skipped: list[Skipped]


@dataclass(frozen=True, slots=True)
class Shard:
    """One token file and the MIDI files that it is made from."""

    root: Path
    out: Path
    number: int
    files: tuple[MidiFile, ...]
    flavour: Flavour

    @property
    def name(self) -> str:
        """Return the name of the token file."""
        return f"shard-{self.number:05d}.bin"

    def done(self) -> Report | None:
        """Return the report of an earlier run, if it made this shard from the same files."""
        tokens = self.out / self.name
        try:
            content = json.loads(tokens.with_suffix(".json").read_text())
            report = Report(
                [Piece(**piece) for piece in content["pieces"]],
                [Skipped(**skip) for skip in content["skipped"]],
            )
            is_ours = content["key"] == self._key()
            is_whole = tokens.stat().st_size == 2 * sum(piece.length for piece in report.pieces)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None  # not there, or damaged: it is made again
        return report if is_ours and is_whole else None

    def make(self) -> Report:
        """Encode the files; write the tokens, then their description."""
        report, tokens = _encode_files(self)
        write_atomically(self.out / self.name, tokens.astype("<u2").tobytes())
        content = {"key": self._key()} | asdict(report)
        described = (self.out / self.name).with_suffix(".json")
        write_atomically(described, json.dumps(content).encode())
        return report

    def _key(self) -> str:
        """Return a hash of everything that the shard is made from."""
        state = []
        for file in self.files:
            path = self.root / file.path
            stat = path.stat() if path.exists() else None
            state.append([asdict(file), stat and (stat.st_size, stat.st_mtime_ns)])
        content = json.dumps([fingerprint(self.flavour), str(self.root.resolve()), state])
        return hashlib.sha256(content.encode()).hexdigest()


def _encode_files(shard: Shard) -> tuple[Report, Tokens]:
    pieces: list[Piece] = []
    skipped: list[Skipped] = []
    parts: list[Tokens] = []
    offset = 0
    for file in shard.files:
        path = shard.root / file.path
        try:
            events = _read(path, shard.flavour)
        except MidiFileError as error:
            skipped.append(Skipped(_printable(file.path), str(error).removeprefix(f"{path}: ")))
            continue
        tokens = _encode(events, file.source, shard.flavour)
        notes = int(is_kind(tokens, Kind.NOTE_ON).sum())
        split = file.split or _opening_key(events)
        seconds = events[-1].time_s - events[0].time_s
        pieces.append(
            Piece(file.path, split, file.dataset, shard.name, offset, len(tokens), notes, seconds)
        )
        parts.append(tokens)
        offset += len(tokens)
    return Report(pieces, skipped), np.concatenate(parts) if parts else np.zeros(0, np.uint16)


def _read(path: Path, flavour: Flavour) -> list[TimedEvent]:
    """Read a file from its first event on: the silence at its head is not music.

    Raises MidiFileError also when there is no note to be heard, or more than can be played.
    """
    events_only = flavour is Flavour.EVENTS
    pedal_up_below = PEDAL_UP_BELOW if events_only else sustain.PEDAL_UP_BELOW
    events = read_performance(path, pedal_up_below)
    notes = sum(isinstance(event.event, NoteOn) for event in events)
    if not notes:
        raise MidiFileError(f"{path}: holds no notes (drums, channel 10, are not read)")
    start_s = events[0].time_s
    seconds = events[-1].time_s - start_s
    if notes > MOST_NOTES_AT_ONCE + MOST_NOTES_PER_S * seconds:
        raise MidiFileError(
            f"{path}: {notes:,} notes in {seconds:.2f} s cannot be played; is its tempo right?"
        )
    return [TimedEvent(event.time_s - start_s, event.event) for event in events]


def _encode(events: Sequence[TimedEvent], source: Source, flavour: Flavour) -> Tokens:
    events_only = flavour is Flavour.EVENTS
    tokens = encode(events, source) if events_only else sustain.encode_sounding(events)
    return np.array(tokens, dtype=np.uint16)


def _printable(path: str) -> str:
    """Return a file name as text that any terminal and file can take."""
    return os.fsencode(path).decode("utf-8", "replace")


def _opening_key(events: Sequence[TimedEvent]) -> str:
    """Return a hash of the pitches that the piece begins with, in place of a split."""
    pitches = [event.event.pitch for event in events if isinstance(event.event, NoteOn)]
    return hashlib.sha256(bytes(sorted(pitches[:OPENING_NOTES]))).hexdigest()
