"""What is heard of a continuation, and its sound where FluidSynth is installed."""

import shutil
import struct
import wave
from pathlib import Path

import pytest

from perceivers.errors import PerformerError
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import Track, write_performance
from training.evaluation.continuations.sound import (
    FORMATS,
    NoSynthesizer,
    Synthesizer,
    find_synthesizer,
    installed_soundfonts,
    listening_parts,
    render,
)

PRIMER = [
    TimedEvent(0.0, NoteOn(50, 70)),
    TimedEvent(2.0, Pedal(True)),
    TimedEvent(9.0, NoteOn(60, 70)),
    TimedEvent(11.0, NoteOff(50)),
    TimedEvent(12.0, NoteOn(64, 70)),
    TimedEvent(13.0, NoteOff(64)),
    TimedEvent(14.0, NoteOff(60)),
]
ANSWER = [
    TimedEvent(0.0, Pedal(True)),
    TimedEvent(0.0, NoteOn(67, 70)),
    TimedEvent(1.0, NoteOff(67)),
]


def test_the_last_seconds_of_a_primer_begin_with_the_pedal_as_it_was() -> None:
    heard, played = listening_parts(PRIMER, ANSWER, cut_s=14.0, before_s=4.0)

    assert heard == [
        TimedEvent(0.0, Pedal(True)),
        TimedEvent(2.0, NoteOn(64, 70)),
        TimedEvent(3.0, NoteOff(64)),
    ]  # nothing of keys struck before; the pedal stays down into the answer
    assert [event.time_s for event in played] == [4.0, 4.0, 5.0]


def test_the_pedal_comes_up_at_the_cut_when_the_answer_has_none() -> None:
    heard, _ = listening_parts(PRIMER, ANSWER[1:], cut_s=14.0, before_s=4.0)

    assert heard[-1] == TimedEvent(4.0, Pedal(False))


def test_a_primer_shorter_than_what_is_heard_is_heard_whole() -> None:
    heard, played = listening_parts(PRIMER, ANSWER, cut_s=14.0, before_s=60.0)

    assert heard == PRIMER
    assert played[0].time_s == 14.0


def test_the_soundfont_with_the_best_known_piano_comes_first(tmp_path: Path) -> None:
    for name in ("aaa.sf2", "FluidR3_GM.sf2", "readme.txt", "default-GM.sf3"):
        (tmp_path / name).write_bytes(b"")

    names = [path.name for path in installed_soundfonts([tmp_path / "nowhere", tmp_path])]

    assert names == ["FluidR3_GM.sf2", "default-GM.sf3", "aaa.sf2"]


def test_a_missing_program_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(NoSynthesizer, match="fluidsynth is not installed"):
        find_synthesizer()


def program(folder: Path, text: str) -> str:
    path = folder / "fluidsynth"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_missing_soundfont_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(tmp_path, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("training.evaluation.continuations.sound.SOUND_FOLDERS", (str(tmp_path),))
    monkeypatch.delenv("SOUNDFONT", raising=False)

    with pytest.raises(NoSynthesizer, match=r"no soundfont \(\*\.sf2, \*\.sf3\) in"):
        find_synthesizer()
    with pytest.raises(PerformerError, match=r"mine\.sf2: no such soundfont"):
        find_synthesizer(tmp_path / "mine.sf2")


@pytest.mark.processes
@pytest.mark.parametrize("script", ["echo 'fluidsynth: error: no' >&2; exit 1", "exit 0"])
def test_a_rendering_that_fails_leaves_no_file(script: str, tmp_path: Path) -> None:
    synthesizer = Synthesizer(program(tmp_path, script), tmp_path / "any.sf2")

    with pytest.raises(PerformerError, match="fluidsynth could not render it"):
        render(tmp_path / "a.mid", tmp_path / "a.ogg", synthesizer)

    assert [path.name for path in tmp_path.iterdir()] == ["fluidsynth"]


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PerformerError, match=r"the formats are \.ogg, \.flac, \.wav"):
        render(tmp_path / "a.mid", tmp_path / "a.mp3", Synthesizer("x", tmp_path))


def little_soundfont(path: Path) -> Path:
    """Write a soundfont of one sample, a square wave, so that nothing need be installed."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)

    def named(name: str) -> bytes:
        return name.encode().ljust(20, b"\0")

    frames = 44100
    samples = struct.pack("<h", 9000) * 50 + struct.pack("<h", -9000) * 50
    data = samples * (frames // 100) + b"\0\0" * 46
    info = chunk(b"ifil", struct.pack("<HH", 2, 1)) + chunk(b"isng", b"EMU8000\0")
    info += chunk(b"INAM", b"little\0\0")
    bags = struct.pack("<HH", 0, 0)
    header = named("square") + struct.pack("<IIIIIBbHH", 0, frames, 0, frames, 44100, 60, 0, 0, 1)
    pdta = b"".join(
        [
            chunk(b"phdr", named("piano") + struct.pack("<HHHIII", 0, 0, 0, 0, 0, 0)
                  + named("EOP") + struct.pack("<HHHIII", 0, 0, 1, 0, 0, 0)),
            chunk(b"pbag", bags + struct.pack("<HH", 1, 0)),
            chunk(b"pmod", b"\0" * 10),
            chunk(b"pgen", struct.pack("<HH", 41, 0) + b"\0" * 4),
            chunk(b"inst", named("square") + struct.pack("<H", 0)
                  + named("EOI") + struct.pack("<H", 1)),
            chunk(b"ibag", bags + struct.pack("<HH", 1, 0)),
            chunk(b"imod", b"\0" * 10),
            chunk(b"igen", struct.pack("<HH", 53, 0) + b"\0" * 4),
            chunk(b"shdr", header + named("EOS") + b"\0" * 26),
        ]
    )  # fmt: skip
    body = b"sfbk" + chunk(b"LIST", b"INFO" + info)
    body += chunk(b"LIST", b"sdta" + chunk(b"smpl", data)) + chunk(b"LIST", b"pdta" + pdta)
    path.write_bytes(chunk(b"RIFF", body))
    return path


@pytest.mark.processes
@pytest.mark.skipif(
    shutil.which("fluidsynth") is None,
    reason="needs fluidsynth: apt-get install fluidsynth (continuous integration has it)",
)
def test_a_performance_becomes_sound(tmp_path: Path) -> None:
    midi = tmp_path / "a.mid"
    events = (TimedEvent(0.5, NoteOn(60, 100)), TimedEvent(1.5, NoteOff(60)))
    write_performance(midi, [Track("player", 0, events)])
    synthesizer = find_synthesizer(little_soundfont(tmp_path / "little.sf2"))

    for suffix in FORMATS:
        render(midi, midi.with_suffix(suffix), synthesizer)

    assert midi.with_suffix(".ogg").read_bytes()[:4] == b"OggS"
    assert midi.with_suffix(".flac").read_bytes()[:4] == b"fLaC"
    with wave.open(str(midi.with_suffix(".wav"))) as sound:
        assert sound.getframerate() == 44100
        frames = memoryview(sound.readframes(sound.getnframes())).cast("h")
    loudest = [max(abs(x) for x in frames[at : at + 8820]) for at in (22050, 88200 + 22050)]
    assert loudest[0] < 50 < 500 < loudest[1]  # silence at 0.25 s, a note at 1.25 s
