"""The flavour `sustain-388`: what sounds, with the pedal in the note ends, for published figures.

Music Transformer and Perceiver AR were measured on the 388 tokens of Magenta's performance
encoding: 128 note-ons, 128 note-offs, 100 time-shifts and 32 velocities, and nothing else. This
module says a performance in that way, after the same rules:

- a note whose key comes up under the pedal ends when the pedal does, or when its pitch is struck
  again; the pedal is down at CC64 values of 64 and above, and up below;
- onsets and ends are rounded to the grid absolutely; a note lasts one step at least;
- within one step the notes are said in the order of their onsets, the lower pitch first where two
  begin together, each end at the place of its own note: so ends of older notes come first;
- a velocity is said only where its bin changes.

BOS stands at the beginning, as what the first token is predicted from, and is not predicted
itself. There is no tag, no pedal and no EOS, and the clock starts at the first onset. Unlike
Magenta's, a pitch never sounds twice at once: struck again while its key is down, it ends first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from perceivers import vocabulary as v
from perceivers.encoder import StreamEncoder, step_of
from perceivers.events import Event, NoteOff, NoteOn, TimedEvent

PEDAL_UP_BELOW = 64
"""Where the pedal is up, as Magenta has it: no hysteresis."""


@dataclass(frozen=True, slots=True)
class SoundingNote:
    """A note as it is heard."""

    start_s: float
    end_s: float
    """When the sound ends: at key-up, or later under the pedal."""
    pitch: int  # 0-127
    velocity: int  # 1-127


@dataclass(slots=True)
class _Open:
    """A note that sounds on."""

    start_s: float
    velocity: int
    key_is_down: bool = True


class SustainedStrings:
    """Finds when notes end, from keys and pedal, one event at a time: every end when it happens.

    A pitch struck twice at one instant is one note, with the later velocity.
    """

    def __init__(self) -> None:
        self._sounding: dict[int, _Open] = {}
        self._pedal_down = False
        self._now_s = 0.0

    def feed(self, event: TimedEvent) -> list[SoundingNote]:
        """Take the next event; return the notes that end with it."""
        self._now_s = event.time_s
        if isinstance(event.event, NoteOn):
            return self._strike(event.event)
        if isinstance(event.event, NoteOff):
            return self._release(event.event.pitch)
        self._pedal_down = event.event.down
        if self._pedal_down:
            return []
        return self._close([p for p, note in self._sounding.items() if not note.key_is_down])

    def end(self) -> list[SoundingNote]:
        """Return the notes that still sound: they end at the last event."""
        return self._close(list(self._sounding))

    def _strike(self, event: NoteOn) -> list[SoundingNote]:
        before = self._sounding.get(event.pitch)
        struck_again = before is not None and before.start_s < self._now_s
        ended = self._close([event.pitch]) if struck_again else []
        self._sounding[event.pitch] = _Open(self._now_s, event.velocity)
        return ended

    def _release(self, pitch: int) -> list[SoundingNote]:
        if pitch not in self._sounding:
            return []
        self._sounding[pitch].key_is_down = False
        return [] if self._pedal_down else self._close([pitch])

    def _close(self, pitches: list[int]) -> list[SoundingNote]:
        ended = [(pitch, self._sounding.pop(pitch)) for pitch in pitches]
        return [
            SoundingNote(note.start_s, self._now_s, pitch, note.velocity) for pitch, note in ended
        ]


def sounding_notes(events: Iterable[TimedEvent]) -> list[SoundingNote]:
    """Return the notes of a performance, given in order of time, ordered by onset and pitch."""
    strings = SustainedStrings()
    notes = [note for event in events for note in strings.feed(event)]
    return sorted(notes + strings.end(), key=lambda note: (note.start_s, note.pitch))


def encode_sounding(events: Iterable[TimedEvent]) -> list[int]:
    """Encode a performance, ordered by time, in the flavour `sustain-388`: BOS, then its notes."""
    encoder = StreamEncoder()
    tokens = [v.BOS]
    for step, event in _by_step(sounding_notes(events)):
        tokens += encoder.feed(TimedEvent(step / v.STEPS_PER_SECOND, event))
    return tokens


def _by_step(notes: Sequence[SoundingNote]) -> list[tuple[int, Event]]:
    """Return onsets and ends on the grid, counted from the first onset, in the order to say them.

    A note that is too short is made one step long, unless its pitch is struck again before.
    """
    moments: list[tuple[int, int, bool, Event]] = []
    next_start: dict[int, int] = {}
    for index, note in reversed(list(enumerate(notes))):
        start = step_of(note.start_s - notes[0].start_s)
        end = max(step_of(note.end_s - notes[0].start_s), start + 1)
        end = min(end, next_start.get(note.pitch, end))
        next_start[note.pitch] = start
        moments.append((start, index, False, NoteOn(note.pitch, note.velocity)))
        moments.append((end, index, True, NoteOff(note.pitch)))
    moments.sort(key=lambda moment: moment[:3])
    return [(step, event) for step, _, _, event in moments]
