"""Standard MIDI files to timed events and back; the only importer of mido."""

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import mido

from perceivers.atomic import atomic_path
from perceivers.errors import MidiFileError
from perceivers.events import (
    PEDAL_UP_BELOW,
    Event,
    NoteOff,
    NoteOn,
    PedalSwitch,
    TimedEvent,
)
from perceivers.midi_numbers import HIGHEST_VALUE, SUSTAIN

DRUM_CHANNEL = 9
TICKS_PER_BEAT = 480
LONGEST_S = 86_400.0  # a day: more is a damaged delta time, not a performance
FRAMES_PER_S = {24: 24.0, 25: 25.0, 29: 30_000 / 1001, 30: 30.0}  # by their number in the header
TEMPO_US_PER_BEAT = 500_000  # 120 beats per minute, the value that every reader assumes


@dataclass(frozen=True, slots=True)
class Track:
    """One performer's part: its name, MIDI channel (0-15) and events in order of time."""

    name: str
    channel: int
    events: tuple[TimedEvent, ...]


class Marker(NamedTuple):
    """A text at a moment."""

    time_s: float
    text: str


def read_performance(path: Path, pedal_up_below: int = PEDAL_UP_BELOW) -> list[TimedEvent]:
    """Read a MIDI file as one piano performance, in seconds from the start of the file.

    All tracks and channels but the drums are one player; velocity 0 is a note-off; the sustain
    pedal (CC64) becomes a switch with hysteresis: down at 64, up below `pedal_up_below`. Time is
    counted in beats under the tempo map, or in film frames (SMPTE). Raises MidiFileError when the
    file is not MIDI, is damaged or lasts more than a day.
    """
    return parse_performance(_content(path), str(path), pedal_up_below)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MidiFileError(f"{path}: {error.strerror or error}") from error


def parse_performance(
    content: bytes, name: str, pedal_up_below: int = PEDAL_UP_BELOW
) -> list[TimedEvent]:
    """Read what a MIDI file holds as one piano performance; `name` is for what is told of it."""
    switch = PedalSwitch(pedal_up_below)
    return [
        TimedEvent(time_s, event)
        for time_s, message in _messages(content, name)
        if (event := _event_of(message, switch)) is not None and _is_in_time(time_s, name)
    ]


def parse_channels(content: bytes, name: str) -> dict[int, list[TimedEvent]]:
    """Read what a MIDI file holds, each channel but the drums as a performance of its own."""
    switches: defaultdict[int, PedalSwitch] = defaultdict(PedalSwitch)
    parts: defaultdict[int, list[TimedEvent]] = defaultdict(list)
    for time_s, message in _messages(content, name):
        channel = getattr(message, "channel", DRUM_CHANNEL)
        event = _event_of(message, switches[channel])
        if event is not None and _is_in_time(time_s, name):
            parts[channel].append(TimedEvent(time_s, event))
    return dict(parts)


def _is_in_time(time_s: float, name: str) -> bool:
    """Return True; raise MidiFileError for a moment that no performance has."""
    if time_s > LONGEST_S:
        raise MidiFileError(
            f"{name}: an event lies {time_s / 3600:,.0f} hours after the start; damaged, or "
            f"longer than the {LONGEST_S / 3600:.0f} hours that are read"
        )
    return True


def read_markers(path: Path) -> list[str]:
    """Return the texts of a file's markers, in order; raise MidiFileError if it cannot be read."""
    messages = _messages(_content(path), str(path), meta=True)
    return [message.text for _, message in messages if message.type == "marker"]


def _messages(
    content: bytes, name: str, *, meta: bool = False
) -> Iterator[tuple[float, mido.Message]]:
    """Yield what a file holds, in order of time; what is not played only if `meta` asks for it."""
    try:
        midi = mido.MidiFile(file=io.BytesIO(content), clip=True)
        if midi.type == 2:
            raise MidiFileError(f"{name}: type 2 (independent sequences) is not one performance")
        tick_s = _tick_s(midi.ticks_per_beat, TEMPO_US_PER_BEAT)
        time_s = 0.0
        now_ticks = 0
        for ticks, message in _merged(midi.tracks):
            if ticks > now_ticks and not tick_s:
                raise MidiFileError(
                    f"{name}: a tempo of 0 microseconds per beat, time stands still"
                )
            time_s += (ticks - now_ticks) * tick_s
            now_ticks = ticks
            if message.type == "set_tempo":
                tick_s = _tick_s(midi.ticks_per_beat, message.tempo)
            elif meta or not message.is_meta:
                yield time_s, message
    except EOFError as error:
        raise MidiFileError(f"{name}: ends too early; not a complete MIDI file") from error
    except (ValueError, IndexError, KeyError, OSError, mido.KeySignatureError) as error:
        if isinstance(error, MidiFileError):
            raise
        reason = str(error) or type(error).__name__
        raise MidiFileError(f"{name}: not a readable MIDI file ({reason})") from error


def _tick_s(division: int, tempo_us_per_beat: int) -> float:
    """Return the length of a tick in seconds; raises ValueError for a division that has none.

    A positive division is ticks per beat. In a negative one the high byte counts frames per second
    and the low one ticks per frame; tempo has no say there.
    """
    if division > 0:
        return tempo_us_per_beat * 1e-6 / division
    frames_per_s = FRAMES_PER_S.get(-(division >> 8))
    ticks_per_frame = division & 0xFF
    if frames_per_s is None or not ticks_per_frame:
        raise ValueError(f"time division {division} means nothing")
    return 1.0 / (frames_per_s * ticks_per_frame)


def _merged(tracks: Iterable[mido.MidiTrack]) -> list[tuple[int, mido.Message]]:
    """Return the messages of all tracks and their ticks since the start, in order of time.

    At one instant tracks come in turn. mido's own function copies every message twice, which takes
    most of the time of reading.
    """
    merged = []
    for track in tracks:
        ticks = 0
        for message in track:
            ticks += message.time
            if message.type != "end_of_track":
                merged.append((ticks, message))
    merged.sort(key=lambda timed: timed[0])
    return merged


def _event_of(message: mido.Message, switch: PedalSwitch) -> Event | None:
    if getattr(message, "channel", DRUM_CHANNEL) == DRUM_CHANNEL:
        return None
    if message.type == "note_on" and message.velocity > 0:
        return NoteOn(message.note, message.velocity)
    if message.type in ("note_on", "note_off"):
        return NoteOff(message.note)
    if message.type == "control_change" and message.control == SUSTAIN:
        return switch.feed(message.value)
    return None


def write_performance(
    path: Path,
    tracks: Iterable[Track],
    end_s: float | None = None,
    markers: Iterable[Marker] = (),
) -> None:
    """Write a type-1 MIDI file atomically: a complete file appears under `path`, or nothing.

    Each part is a track of its own, and so are the markers, in ASCII. `end_s`, if given, is where
    the parts end.
    """
    midi = _midi_of(tracks, end_s)
    if marked := _marker_track(markers):
        midi.tracks.append(marked)
    with atomic_path(path) as partial:
        midi.save(partial)


def performance_bytes(tracks: Iterable[Track]) -> bytes:
    """Return what `write_performance` would write."""
    written = io.BytesIO()
    _midi_of(tracks, None).save(file=written)
    return written.getvalue()


def _midi_of(tracks: Iterable[Track], end_s: float | None) -> mido.MidiFile:
    midi = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT)
    conductor = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=TEMPO_US_PER_BEAT)])
    midi.tracks.append(conductor)
    for track in tracks:
        midi.tracks.append(_midi_track(track, end_s))
    return midi


def _midi_track(track: Track, end_s: float | None) -> mido.MidiTrack:
    midi_track = mido.MidiTrack([mido.MetaMessage("track_name", name=track.name)])
    now_ticks = 0
    for time_s, event in track.events:
        due_ticks = max(now_ticks, _ticks(time_s))
        midi_track.append(_message_of(event, track.channel, due_ticks - now_ticks))
        now_ticks = due_ticks
    rest_ticks = 0 if end_s is None else max(0, _ticks(end_s) - now_ticks)
    midi_track.append(mido.MetaMessage("end_of_track", time=rest_ticks))
    return midi_track


def _marker_track(markers: Iterable[Marker]) -> mido.MidiTrack:
    """Return a track of markers; an empty one, without even a name, if there are none."""
    track = mido.MidiTrack()
    now_ticks = 0
    for time_s, text in markers:
        if not track:
            track.append(mido.MetaMessage("track_name", name="session"))
        due_ticks = max(now_ticks, _ticks(time_s))
        track.append(mido.MetaMessage("marker", text=text, time=due_ticks - now_ticks))
        now_ticks = due_ticks
    return track


def _ticks(time_s: float) -> int:
    return round(time_s * TICKS_PER_BEAT * 1_000_000 / TEMPO_US_PER_BEAT)


def _message_of(event: Event, channel: int, delta_ticks: int) -> mido.Message:
    if isinstance(event, NoteOn):
        return mido.Message(
            "note_on", channel=channel, note=event.pitch, velocity=event.velocity, time=delta_ticks
        )
    if isinstance(event, NoteOff):
        return mido.Message("note_off", channel=channel, note=event.pitch, time=delta_ticks)
    value = HIGHEST_VALUE if event.down else 0
    return mido.Message(
        "control_change", channel=channel, control=SUSTAIN, value=value, time=delta_ticks
    )


def message_bytes(event: Event, channel: int) -> bytes:
    """Return the three bytes that say an event on a MIDI wire."""
    return bytes(_message_of(event, channel, 0).bytes())
