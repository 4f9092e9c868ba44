"""The flavour `sustain-388`, against a slow reference that looks at whole performances."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from perceivers import vocabulary as v
from perceivers.decoder import decode
from perceivers.encoder import step_of
from perceivers.events import NoteOff, NoteOn, Pedal, PedalSwitch, TimedEvent
from perceivers.midi_files import read_performance
from perceivers.score import MAX_EVENTS_AT_ONE_INSTANT
from perceivers.sustain import PEDAL_UP_BELOW, SoundingNote, encode_sounding, sounding_notes
from tests.support.random_music import PERFORMANCES

ROOT = Path(__file__).parents[2]
STARTER = sorted((ROOT / "training" / "starter").rglob("*.mid"))
REAL = [STARTER[index] for index in (0, 30, 60)]
THE_388 = frozenset(v.predictable_tokens(v.Flavour.SUSTAIN_388))
HALF_STEP_S = 0.005 + 1e-6
MODERATE = settings(max_examples=150, deadline=None)


def at(time_s: float, event: NoteOn | NoteOff | Pedal) -> TimedEvent:
    return TimedEvent(time_s, event)


def struck(pitch: int, start_s: float, end_s: float, velocity: int = 64) -> list[TimedEvent]:
    return [at(start_s, NoteOn(pitch, velocity)), at(end_s, NoteOff(pitch))]


def together(*parts: list[TimedEvent]) -> list[TimedEvent]:
    return sorted((event for part in parts for event in part), key=lambda event: event.time_s)


def pedal(*changes_s: float) -> list[TimedEvent]:
    """Return a pedal that goes down and up in turn."""
    return [at(time_s, Pedal(index % 2 == 0)) for index, time_s in enumerate(changes_s)]


def slow_reference(events: list[TimedEvent]) -> list[SoundingNote]:
    """Find every note's end by looking ahead from its onset, through all later events."""
    notes = []
    for index, (start_s, event) in enumerate(events):
        if not isinstance(event, NoteOn):
            continue
        # the pedal at the onset is what was last said about it
        said = [e.event.down for e in events[:index] if isinstance(e.event, Pedal)]
        pedal_down = bool(said) and said[-1]
        key_down, end_s = True, events[-1].time_s
        for later_s, later in events[index + 1 :]:
            same_pitch = not isinstance(later, Pedal) and later.pitch == event.pitch
            if isinstance(later, Pedal):
                pedal_down = later.down
            elif same_pitch and isinstance(later, NoteOff):
                key_down = False
            if same_pitch and isinstance(later, NoteOn):
                end_s = -1.0 if later_s == start_s else later_s  # struck twice at once: one note
                break
            if not key_down and not pedal_down:
                end_s = later_s
                break
        if end_s >= 0.0:
            notes.append(SoundingNote(start_s, end_s, event.pitch, event.velocity))
    return sorted(notes, key=lambda note: (note.start_s, note.pitch))


def decoded_notes(tokens: list[int]) -> list[tuple[float, float, int, int]]:
    """Return (start, end, pitch, velocity bin) of each note of a token sequence, by onset."""
    open_notes: dict[int, tuple[float, int]] = {}
    notes = []
    for time_s, event in decode(tokens):
        if isinstance(event, NoteOn):
            assert event.pitch not in open_notes, "a pitch never sounds twice at once"
            open_notes[event.pitch] = (time_s, v.velocity_bin(event.velocity))
        elif isinstance(event, NoteOff):
            start_s, velocity_bin = open_notes.pop(event.pitch)
            notes.append((start_s, time_s, event.pitch, velocity_bin))
    assert open_notes == {}, "every note ends"
    return sorted(notes, key=lambda note: (note[0], note[2]))


def count(tokens: list[int], kind: v.Kind) -> int:
    return sum(v.kind_of(token) is kind for token in tokens)


# --- where notes end ---


@pytest.mark.parametrize(
    ("events", "end_s"),
    [
        (struck(60, 0.0, 0.5), 0.5),
        (together(struck(60, 0.0, 0.5), pedal(0.2, 1.0)), 1.0),  # the key comes up under the pedal
        (together(struck(60, 0.0, 1.5), pedal(0.2, 1.0)), 1.5),  # the key outlasts the pedal
        (together(struck(60, 0.0, 0.5), pedal(0.6, 1.0)), 0.5),  # the pedal is too late
        (together(pedal(0.0, 0.9, 1.0, 2.0), struck(60, 0.1, 0.5)), 0.9),  # the first pedal-up
        (together(struck(60, 0.0, 0.5), pedal(0.2), [at(3.0, NoteOff(61))]), 3.0),  # never up
        (together([at(0.0, NoteOn(60, 64))], pedal(0.2, 1.0)), 1.0),  # never released
    ],
)
def test_a_note_ends_when_key_and_pedal_are_up(events: list[TimedEvent], end_s: float):
    assert sounding_notes(events) == [SoundingNote(0.1 if end_s == 0.9 else 0.0, end_s, 60, 64)]


def test_a_pitch_struck_again_under_the_pedal_ends_first():
    events = together(
        pedal(0.0, 2.0), struck(60, 0.1, 0.3), struck(60, 1.0, 1.2, 80), struck(64, 0.1, 0.3)
    )

    assert sounding_notes(events) == [
        SoundingNote(0.1, 1.0, 60, 64),
        SoundingNote(0.1, 2.0, 64, 64),
        SoundingNote(1.0, 2.0, 60, 80),
    ]


def test_a_key_held_when_the_pedal_comes_up_sounds_on_until_it_is_released():
    events = together(pedal(0.0, 1.0), struck(60, 0.1, 3.0), struck(64, 0.1, 0.5))

    assert [(note.pitch, note.end_s) for note in sounding_notes(events)] == [(60, 3.0), (64, 1.0)]


def test_a_pitch_struck_twice_at_one_instant_is_one_note():
    events = [at(0.0, NoteOn(60, 50)), at(0.0, NoteOn(60, 70)), at(1.0, NoteOff(60))]

    assert sounding_notes(events) == [SoundingNote(0.0, 1.0, 60, 70)]


@MODERATE
@given(PERFORMANCES)
def test_notes_are_those_of_the_slow_reference(performance: list[TimedEvent]):
    assert sounding_notes(performance) == slow_reference(performance)


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_notes_of_real_pieces_are_those_of_the_slow_reference(path: Path):
    events = read_performance(path, PEDAL_UP_BELOW)[:1500]

    assert sounding_notes(events) == slow_reference(events)


# --- the faults of a well-known encoder, each absent ---


def test_no_note_is_lost_after_the_last_pedal():
    notes = [struck(60 + i, 0.5 * i, 0.5 * i + 0.4) for i in range(10)]

    tokens = encode_sounding(together(pedal(2.0, 3.2), *notes))

    assert count(tokens, v.Kind.NOTE_ON) == 10


def test_no_note_is_said_twice_when_no_note_follows_a_pedal():
    notes = [struck(60 + i, 0.1 * i, 0.1 * i + 0.05) for i in range(10)]

    tokens = encode_sounding(together(*notes, pedal(5.0, 6.0)))

    assert count(tokens, v.Kind.NOTE_ON) == count(tokens, v.Kind.NOTE_OFF) == 10


def test_a_velocity_is_said_only_where_its_bin_changes():
    velocities = [80, 80, 81, 83, 84, 80]  # bins 20 20 20 20 21 20

    tokens = encode_sounding(
        together(*[struck(60, 0.5 * i, 0.5 * i + 0.4, vel) for i, vel in enumerate(velocities)])
    )

    said = [t - v.VELOCITY for t in tokens if v.kind_of(t) is v.Kind.VELOCITY]
    assert said == [20, 21, 20]


def test_time_does_not_drift_over_five_thousand_notes():
    rng = np.random.default_rng(7)
    onsets_s = np.cumsum(rng.uniform(0.0, 0.3, 5000))
    events = together(*[struck(60 + i % 12, t, t + 0.02) for i, t in enumerate(onsets_s)])

    notes = decoded_notes(encode_sounding(events))

    error_s = np.array([note[0] for note in notes]) - (onsets_s - onsets_s[0])
    assert len(notes) == 5000
    assert np.abs(error_s).max() <= HALF_STEP_S


# --- the stream ---


def test_a_piece_begins_with_bos_and_its_first_note_and_has_no_tag_pedal_or_end():
    events = together(pedal(0.0, 5.0), struck(60, 2.0, 2.5))

    tokens = encode_sounding(events)

    assert tokens == [
        v.BOS,
        v.VELOCITY + 16,
        v.NOTE_ON + 60,
        *[v.shift_token(100)] * 3,
        v.NOTE_OFF + 60,
    ]


def test_within_a_step_notes_are_said_in_the_order_of_their_onsets():
    """Ends of older notes come first, oldest first; a chord struck at once goes upwards."""
    events = [
        at(0.000, NoteOn(67, 64)),
        at(0.100, NoteOn(64, 64)),
        at(1.000, NoteOn(72, 64)),
        at(1.000, NoteOn(60, 64)),
        at(1.001, NoteOn(48, 64)),
        at(1.002, NoteOff(64)),
        at(1.003, NoteOff(67)),
        at(2.000, NoteOff(72)),
        at(2.000, NoteOff(48)),
        at(2.000, NoteOff(60)),
    ]

    tokens = encode_sounding(events)

    said = [event.event for event in decode(tokens)]
    onsets = [NoteOn(pitch, 66) for pitch in (60, 72, 48)]
    assert said[2:] == [NoteOff(67), NoteOff(64), *onsets, NoteOff(60), NoteOff(72), NoteOff(48)]


def test_a_note_lasts_one_step_at_least_unless_it_is_struck_again_before():
    short = struck(60, 0.0, 0.001)
    repeated = [*struck(64, 1.0, 1.001), *struck(64, 1.002, 1.5)]

    notes = decoded_notes(encode_sounding(together(short, repeated)))

    assert [(start, end) for start, end, *_ in notes] == [(0.0, 0.01), (1.0, 1.0), (1.0, 1.5)]


def by_pitch(spans: list[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    """Order notes by pitch, then time, so that those of two readings stand side by side."""
    return sorted(spans, key=lambda span: (span[2], span[0], span[1]))


def fullest_step(notes: list[SoundingNote]) -> int:
    """Return a bound on the onsets and ends that meet at one step."""
    start_s = notes[0].start_s if notes else 0.0
    steps: Counter[int] = Counter()
    for note in notes:
        start, end = step_of(note.start_s - start_s), step_of(note.end_s - start_s)
        steps.update({start, end, max(end, start + 1)})
    return max(steps.values(), default=0)


@MODERATE
@given(PERFORMANCES)
def test_any_performance_is_said_in_the_388_tokens_and_every_note_comes_back(
    performance: list[TimedEvent],
):
    notes = sounding_notes(performance)

    tokens = encode_sounding(performance)

    found = decoded_notes(tokens)
    assert tokens[0] == v.BOS
    assert set(tokens[1:]) <= THE_388
    assert len(found) == len(notes)
    if 0 < fullest_step(notes) <= MAX_EVENTS_AT_ONE_INSTANT:
        begin_s = notes[0].start_s
        said = by_pitch([(n.start_s - begin_s, n.end_s - begin_s, n.pitch) for n in notes])
        for (start_s, end_s, pitch), note in zip(
            said, by_pitch([n[:3] for n in found]), strict=True
        ):
            assert note[2] == pitch
            assert abs(note[0] - start_s) <= HALF_STEP_S
            # a note that is too short may end a step later than it did
            assert min(abs(note[1] - end_s), abs(note[1] - note[0] - 0.01)) <= HALF_STEP_S


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_pieces_come_back_within_half_a_step(path: Path):
    events = read_performance(path, PEDAL_UP_BELOW)
    notes = sounding_notes(events)

    tokens = encode_sounding(events)
    found = decoded_notes(tokens)

    begin_s = notes[0].start_s
    said = by_pitch([(n.start_s - begin_s, n.end_s - begin_s, n.pitch) for n in notes])
    heard = by_pitch([note[:3] for note in found])
    assert len(found) == sum(isinstance(event.event, NoteOn) for event in events)
    assert np.abs(np.array(heard)[:, 0] - np.array(said)[:, 0]).max() <= HALF_STEP_S
    assert np.quantile(np.abs(np.array(heard)[:, 1] - np.array(said)[:, 1]), 0.99) <= HALF_STEP_S
    assert set(tokens[1:]) <= THE_388


@pytest.mark.slow
def test_pieces_together_have_about_four_tokens_to_a_note():
    """Single pieces lie between 3.4 and 4.7: a lone melody needs more time-shifts than chords."""
    lengths = []
    for path in STARTER[::4]:  # of these 4.10, of all of them 4.07
        tokens = encode_sounding(read_performance(path, PEDAL_UP_BELOW))
        lengths.append((len(tokens) - 1, count(tokens, v.Kind.NOTE_ON)))

    tokens_per_note = sum(length for length, _ in lengths) / sum(notes for _, notes in lengths)
    assert 3.6 <= tokens_per_note <= 4.2


def test_every_onset_has_its_end_and_time_shifts_are_as_few_as_can_be():
    tokens = encode_sounding(read_performance(REAL[0], PEDAL_UP_BELOW))

    assert count(tokens, v.Kind.NOTE_ON) == count(tokens, v.Kind.NOTE_OFF)
    shift, longest = v.Kind.TIME_SHIFT, v.shift_token(v.MAX_SHIFT_STEPS)
    assert all(a == longest for a, b in pairwise(tokens) if v.kind_of(a) is v.kind_of(b) is shift)


# --- the flavour ---


def test_the_flavour_has_388_tokens_and_the_numbers_of_the_one_table():
    assert len(THE_388) == 388
    assert v.predictable_tokens(v.Flavour.EVENTS) == tuple(range(v.VOCABULARY_SIZE))
    assert {v.kind_of(token) for token in THE_388} == {
        v.Kind.NOTE_ON, v.Kind.NOTE_OFF, v.Kind.TIME_SHIFT, v.Kind.VELOCITY
    }  # fmt: skip


def test_flavours_are_told_apart_by_their_fingerprints():
    assert v.fingerprint(v.Flavour.EVENTS) == v.fingerprint()
    assert {v.flavour_of(v.fingerprint(flavour)) for flavour in v.Flavour} == set(v.Flavour)
    assert v.flavour_of("0123456789abcdef") is None


def test_without_hysteresis_the_pedal_is_up_below_64():
    switch = PedalSwitch(PEDAL_UP_BELOW)

    changes = [switch.feed(value) for value in (64, 63, 100, 50, 64)]

    assert changes == [Pedal(True), Pedal(False), Pedal(True), Pedal(False), Pedal(True)]
