"""Recordings: complete at every moment, both parts apart, and music that training can read."""

from dataclasses import replace
from pathlib import Path

import mido

from daemon.messages.brain import BeginTurn, EndTurn, Hear, Steer
from daemon.messages.journal import Opening, line_of
from daemon.parameters import Parameters
from daemon.recorder import (
    CAPTURES,
    FILE_LASTS_S,
    NEW_FILE_AFTER_S,
    WRITE_EVERY_S,
    Recorder,
    last_session,
)
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import read_markers, read_performance


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def played(recorder: Recorder, part: str, pitch: int, from_s: float) -> None:
    recorder.add(part, TimedEvent(from_s, NoteOn(pitch, 64)))
    recorder.add(part, TimedEvent(from_s + 0.5, NoteOff(pitch)))


def onsets(path: Path) -> list[int]:
    return [event.pitch for _, event in read_performance(path) if isinstance(event, NoteOn)]


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def test_both_parts_are_written_on_tracks_of_their_own_counted_from_the_first_event(
    tmp_path: Path,
) -> None:
    recorder = Recorder(tmp_path, Clock())
    played(recorder, "player", 60, 100.0)
    played(recorder, "performer", 72, 101.0)

    recorder.write()

    (path,) = files(tmp_path)
    midi = mido.MidiFile(path)
    assert midi.type == 1
    assert [track.name for track in midi.tracks[1:]] == ["player", "performer"]
    assert read_performance(path) == [
        TimedEvent(0.0, NoteOn(60, 64)),
        TimedEvent(0.5, NoteOff(60)),
        TimedEvent(1.0, NoteOn(72, 64)),
        TimedEvent(1.5, NoteOff(72)),
    ]


def test_what_is_new_is_written_after_a_while_and_nothing_without_news(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(tmp_path, clock)
    recorder.write_if_due()
    assert files(tmp_path) == []

    played(recorder, "player", 60, 0.0)
    recorder.write_if_due()
    assert files(tmp_path) == []
    clock.now_s = WRITE_EVERY_S
    recorder.write_if_due()

    (path,) = files(tmp_path)
    path.unlink()
    clock.now_s = 10 * WRITE_EVERY_S
    recorder.write_if_due()
    assert files(tmp_path) == []


def test_after_a_long_silence_a_new_file_begins_unless_a_key_is_down(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, Clock())
    played(recorder, "player", 60, 0.0)
    played(recorder, "player", 62, NEW_FILE_AFTER_S + 1.0)
    recorder.write()
    assert len(files(tmp_path)) == 2

    recorder.add("performer", TimedEvent(70.0, NoteOn(64, 64)))
    recorder.add("performer", TimedEvent(200.0, NoteOff(64)))
    recorder.write()

    assert len(files(tmp_path)) == 2
    assert [event for path in files(tmp_path) for _, event in read_performance(path)] == [
        NoteOn(60, 64),
        NoteOff(60),
        NoteOn(62, 64),
        NoteOff(62),
        NoteOn(64, 64),
        NoteOff(64),
    ]


def test_after_half_an_hour_a_new_file_begins_in_the_next_pause_between_exchanges(
    tmp_path: Path,
) -> None:
    recorder = Recorder(tmp_path, Clock())
    begin = BeginTurn(1, 0.0, frozenset(), Parameters())
    for second in range(0, round(FILE_LASTS_S), 30):
        played(recorder, "player", 60, float(second))
    played(recorder, "player", 60, FILE_LASTS_S - 0.7)
    late_s = FILE_LASTS_S + 1.0

    recorder.note(late_s - 0.6, begin)
    played(recorder, "performer", 61, late_s)  # an answer
    played(recorder, "performer", 61, late_s + 5.0)
    recorder.note(late_s + 6.0, EndTurn(1, (), ()))
    played(recorder, "player", 62, late_s + 6.2)  # no pause
    recorder.write()
    assert len(files(tmp_path)) == 1

    played(recorder, "player", 63, late_s + 8.0)
    recorder.write()
    first, second = sorted(files(tmp_path), key=lambda path: len(path.name))
    assert (onsets(first)[-2:], onsets(second)) == ([61, 62], [63])

    recorder.capture("both", 2000.0)
    (captured,) = files(tmp_path.with_name(CAPTURES))
    assert onsets(captured)[-3:] == [61, 62, 63]


def test_a_folder_that_cannot_be_written_does_not_end_the_recording(tmp_path: Path) -> None:
    obstacle = tmp_path / "recordings"
    obstacle.write_text("in the way")
    recorder = Recorder(obstacle, Clock())
    played(recorder, "player", 60, 0.0)
    recorder.write()

    obstacle.unlink()
    recorder.write()

    assert len(files(obstacle)) == 1


def test_what_the_brain_was_told_is_written_with_the_file_that_it_belongs_to(
    tmp_path: Path,
) -> None:
    recorder = Recorder(tmp_path, Clock())
    opening = Opening("models/x", "abc", "fp32", "cpu", None)
    recorder.played_by(opening)
    first, steer = Hear((TimedEvent(10.0, NoteOn(60, 64)),)), Steer(Parameters(seed=3))
    later = Hear((TimedEvent(100.0, NoteOn(60, 64)),))

    recorder.note(9.0, steer)  # nothing was played yet
    recorder.note(10.0, first)
    played(recorder, "player", 60, 10.0)
    recorder.note(100.0, later)  # a long silence is over, which ends the first file
    played(recorder, "player", 60, 100.0)
    recorder.write()

    paths = sorted(files(tmp_path), key=lambda path: len(path.name))
    found = [[line_of(text) for text in read_markers(path)] for path in paths]
    assert found == [
        [opening, steer, first],
        [replace(opening, before=paths[0].name), later],
    ]
    assert len(read_performance(paths[0])) == 2


def test_the_last_seconds_or_the_last_exchange_are_kept_under_a_name(tmp_path: Path) -> None:
    clock = Clock()
    recorder = Recorder(tmp_path / "recordings", clock)
    recorder.capture("early", None)
    for turn, from_s in ((1, 10.0), (2, 20.0)):
        played(recorder, "player", 60 + turn, from_s)
        played(recorder, "performer", 70 + turn, from_s + 2.0)
        recorder.note(from_s + 3.0, EndTurn(turn, ()))
    clock.now_s = 24.0

    recorder.capture("mine", None)
    recorder.capture("mine", 3.0)
    recorder.capture("all", 100.0)
    recorder.capture("nothing", 0.5)

    found = {path.stem: onsets(path) for path in (tmp_path / CAPTURES).iterdir()}
    assert found == {"mine": [62, 72], "mine_2": [72], "all": [61, 71, 62, 72]}


def test_the_last_session_is_remembered_as_though_it_had_just_ended(tmp_path: Path) -> None:
    assert last_session(tmp_path / "none", -1.0) == []
    recorder = Recorder(tmp_path, Clock())
    played(recorder, "player", 60, 5.0)
    recorder.add("performer", TimedEvent(6.0, NoteOn(72, 64)))
    recorder.add("performer", TimedEvent(7.0, Pedal(True)))
    recorder.write()
    broken = tmp_path / "zzz.mid"
    broken.write_bytes(b"MThd")

    heard = last_session(tmp_path, -1.0)

    assert heard == [
        TimedEvent(-3.0, NoteOn(60, 64)),
        TimedEvent(-2.5, NoteOff(60)),
        TimedEvent(-2.0, NoteOn(72, 64)),
        TimedEvent(-1.0, Pedal(True)),
        TimedEvent(-1.0, NoteOff(72)),
        TimedEvent(-1.0, Pedal(False)),
    ]
