import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import mido
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perceivers.encoder import encode
from perceivers.errors import MidiFileError
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import Track, message_bytes, read_performance, write_performance
from tests.support.random_music import PERFORMANCES

STARTER = Path(__file__).parents[2] / "training" / "starter"
REAL_FILES = [path.read_bytes()[:4000] for path in sorted(STARTER.rglob("*.mid"))[:3]]
FUZZ = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def every_meta_message() -> bytes:
    """Return a file with each kind of meta message, whose contents a reader must parse."""
    kinds = [
        "sequence_number", "text", "copyright", "track_name", "lyrics", "marker", "cue_marker",
        "device_name", "channel_prefix", "midi_port", "set_tempo", "smpte_offset",
        "time_signature", "key_signature", "sequencer_specific",
    ]  # fmt: skip
    messages = [mido.MetaMessage(kind) for kind in kinds]
    messages += [mido.Message("sysex", data=(1, 2, 3)), mido.Message("pitchwheel", pitch=77)]
    messages += [mido.Message("note_on", note=60, velocity=9), mido.Message("note_off", note=60)]
    return midi_bytes(mido.MidiFile(type=1, tracks=[mido.MidiTrack(messages)] * 2))


def midi_bytes(midi: mido.MidiFile) -> bytes:
    buffer = io.BytesIO()
    midi.save(file=buffer)
    return buffer.getvalue()


def file_of(folder: Path, *tracks: list[mido.Message], **header: int) -> Path:
    midi = mido.MidiFile(tracks=[mido.MidiTrack(track) for track in tracks], **header)
    path = folder / "made.mid"
    path.write_bytes(midi_bytes(midi))
    return path


def assert_read_or_refused(path: Path) -> None:
    refusal = ""
    try:
        encode(read_performance(path))
    except MidiFileError as error:
        refusal = str(error)
    assert refusal == "" or refusal.startswith(f"{path}: ")
    assert "\n" not in refusal


@FUZZ
@given(st.binary(max_size=300))
def test_random_bytes_are_refused_in_one_line(tmp_path: Path, content: bytes):
    path = tmp_path / "random.mid"

    path.write_bytes(content)

    with pytest.raises(MidiFileError, match=r"random\.mid: "):
        read_performance(path)


@FUZZ
@given(st.integers(0, 2**16 - 1), st.integers(-(2**15), 2**15 - 1), st.binary(max_size=200))
def test_any_header_and_track_are_read_or_refused(
    tmp_path: Path, kind: int, division: int, track: bytes
):
    header = b"MThd" + (6).to_bytes(4, "big") + kind.to_bytes(2, "big") + b"\0\1"
    body = b"MTrk" + len(track).to_bytes(4, "big") + track
    path = tmp_path / "made.mid"

    path.write_bytes(header + division.to_bytes(2, "big", signed=True) + body)

    assert_read_or_refused(path)


@pytest.mark.slow
@FUZZ
@given(
    st.sampled_from([*REAL_FILES, every_meta_message()]),
    st.lists(st.tuples(st.integers(0, 3999), st.binary(max_size=4), st.integers(0, 6)), max_size=6),
)
def test_a_damaged_real_file_is_read_or_refused(
    tmp_path: Path, content: bytes, damages: list[tuple[int, bytes, int]]
):
    for position, inserted, dropped in damages:
        content = content[:position] + inserted + content[position + dropped :]
    path = tmp_path / "damaged.mid"

    path.write_bytes(content)

    assert_read_or_refused(path)


def test_what_is_no_file_is_refused_by_name(tmp_path: Path):
    for path in (tmp_path, tmp_path / "missing.mid"):
        with pytest.raises(MidiFileError, match=str(path)):
            read_performance(path)


def test_a_damaged_delta_time_does_not_become_days_of_silence(tmp_path: Path):
    long = mido.Message("note_on", note=60, velocity=9, time=0x0FFFFFFF)

    path = file_of(tmp_path, [long], ticks_per_beat=1)

    with pytest.raises(MidiFileError, match="hours"):
        read_performance(path)


def test_independent_sequences_are_refused(tmp_path: Path):
    path = file_of(tmp_path, [mido.Message("note_on", note=60, velocity=9)], type=2)

    with pytest.raises(MidiFileError, match="type 2"):
        read_performance(path)


def test_a_tempo_map_in_another_track_moves_the_notes(tmp_path: Path):
    tempos = [
        mido.MetaMessage("set_tempo", tempo=1_000_000),
        mido.MetaMessage("set_tempo", tempo=250_000, time=960),
    ]
    notes = [mido.Message("note_on", note=60, velocity=9, time=480 * i) for i in (0, 1, 1, 1)]

    path = file_of(tmp_path, tempos, notes, ticks_per_beat=480)

    assert [event.time_s for event in read_performance(path)] == [0.0, 1.0, 2.0, 2.25]


def test_sixteen_tracks_are_one_player_but_the_drums_are_not_heard(tmp_path: Path):
    tracks = [
        [mido.Message("note_on", channel=i, note=40 + i, velocity=64, time=10 * i)]
        for i in range(16)
    ]

    events = read_performance(file_of(tmp_path, *tracks))

    assert [event.event for event in events] == [NoteOn(40 + i, 64) for i in range(16) if i != 9]


def test_velocity_zero_is_a_note_off(tmp_path: Path):
    path = file_of(
        tmp_path,
        [
            mido.Message("note_on", note=60, velocity=64),
            mido.Message("note_on", note=60, velocity=0, time=10),
            mido.Message("note_off", note=60, velocity=99, time=10),
        ],
    )

    found = [event.event for event in read_performance(path)]

    assert found == [NoteOn(60, 64), NoteOff(60), NoteOff(60)]


def test_a_continuous_pedal_becomes_a_switch_and_other_controllers_are_not_heard(tmp_path: Path):
    values = [0, 30, 63, 64, 100, 50, 40, 39, 10]
    pedal = [mido.Message("control_change", control=64, value=value, time=1) for value in values]
    other = [mido.Message("control_change", control=67, value=127)]

    found = [event.event for event in read_performance(file_of(tmp_path, pedal, other))]

    assert found == [Pedal(True), Pedal(False)]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(PERFORMANCES)
def test_what_is_written_is_read_again(tmp_path: Path, performance: list[TimedEvent]):
    path = tmp_path / "written.mid"

    write_performance(path, [Track("player", 0, tuple(performance))])
    found = read_performance(path)

    # a file says a pedal state that is already there; a reader hears only the change
    assert encode(found) == encode(performance) or max_shift_s(found, performance) < 0.001
    notes = [event.event for event in performance if not isinstance(event.event, Pedal)]
    assert [event.event for event in found if not isinstance(event.event, Pedal)] == notes


def max_shift_s(found: list[TimedEvent], performance: list[TimedEvent]) -> float:
    """Return how far notes moved in time: at most half a tick, which may cross a grid border."""
    pairs = zip(
        [event for event in found if not isinstance(event.event, Pedal)],
        [event for event in performance if not isinstance(event.event, Pedal)],
        strict=True,
    )
    return max(abs(a.time_s - b.time_s) for a, b in pairs)


def test_two_players_have_tracks_of_their_own(tmp_path: Path):
    path = tmp_path / "duet.mid"
    first = Track("player", 0, (TimedEvent(0.5, NoteOn(60, 64)), TimedEvent(1.0, NoteOff(60))))
    second = Track("performer", 1, (TimedEvent(2.0, Pedal(True)), TimedEvent(3.0, Pedal(False))))

    write_performance(path, [first, second], end_s=10.0)

    midi = mido.MidiFile(path)
    assert midi.type == 1
    assert [track.name for track in midi.tracks[1:]] == ["player", "performer"]
    assert {message.channel for message in midi.tracks[2] if not message.is_meta} == {1}
    assert midi.length == pytest.approx(10.0)
    assert read_performance(path) == [*first.events, *second.events]


def test_a_writer_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path):
    path = tmp_path / "kept.mid"
    write_performance(path, [Track("player", 0, (TimedEvent(0.0, NoteOn(60, 64)),))])
    before = path.read_bytes()

    with pytest.raises(ValueError, match="data byte"):
        write_performance(path, [Track("player", 0, (TimedEvent(0.0, NoteOn(200, 64)),))])

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.processes
def test_a_writer_that_is_killed_leaves_the_old_file_whole(tmp_path: Path):
    path = tmp_path / "kept.mid"
    code = """
import sys
from pathlib import Path
from perceivers.events import NoteOn, TimedEvent
from perceivers.midi_files import Track, write_performance

notes = tuple(TimedEvent(i / 100, NoteOn(60, 64)) for i in range(300))
while True:
    write_performance(Path(sys.argv[1]), [Track("player", 0, notes)])
    print("written", flush=True)
"""
    command = [sys.executable, "-c", code, str(path)]
    for _ in range(3):
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=STARTER.parents[1]
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "written\n"
            os.kill(writer.pid, signal.SIGKILL)
        assert len(read_performance(path)) == 300


def test_the_bytes_on_the_wire_are_those_of_midi():
    assert message_bytes(NoteOn(60, 64), 0) == bytes([0x90, 60, 64])
    assert message_bytes(NoteOff(60), 15)[0] == 0x8F
    assert message_bytes(Pedal(True), 2) == bytes([0xB2, 64, 127])
    assert message_bytes(Pedal(False), 2) == bytes([0xB2, 64, 0])
