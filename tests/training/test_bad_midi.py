"""Folders of bad and extreme MIDI files: each file is named and counted, or read for what it is."""

import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import mido
import pytest

from perceivers import vocabulary as v
from perceivers.checkpoint import load_checkpoint, save_checkpoint
from perceivers.decoder import decode
from perceivers.errors import ModelMismatch, PerformerError
from perceivers.events import NoteOn
from tests.support.make_model import make_checkpoint
from training.data.preparation import Report, prepare
from training.data.token_store import INDEX, TokenStore
from training.prepare_data import main

BEATS = 480
Messages = list[mido.Message]


def notes(count: int, gap: int = BEATS, channel: int = 0) -> Messages:
    """Return notes of half a gap each, one after the other."""
    played = []
    for index in range(count):
        pitch = 40 + index % 40
        wait = 0 if index == 0 else gap - gap // 2
        played.append(mido.Message("note_on", note=pitch, channel=channel, time=wait))
        played.append(mido.Message("note_off", note=pitch, channel=channel, time=gap // 2))
    return played


def tempo(us_per_beat: int) -> Messages:
    return [mido.MetaMessage("set_tempo", tempo=us_per_beat)]


def content(*tracks: Messages, **header: int) -> bytes:
    midi = mido.MidiFile(tracks=[mido.MidiTrack(track) for track in tracks], **header)
    buffer = io.BytesIO()
    midi.save(file=buffer)
    return buffer.getvalue()


def with_division(data: bytes, division: int) -> bytes:
    return data[:12] + division.to_bytes(2, "big") + data[14:]


GOOD = content(notes(30))

REFUSED: dict[str, tuple[bytes, str]] = {
    "empty.mid": (b"", "ends too early"),
    "text.mid": (b"no music, but a text of some length", "MThd not found"),
    "truncated.mid": (GOOD[:100], "ends too early"),
    "headless.mid": (GOOD[20:], "MThd not found"),
    "no_tracks.mid": (content(), "holds no notes"),
    "silent.mid": (content(tempo(400_000)), "holds no notes"),
    "only_offs.mid": (content([mido.Message("note_off", note=60, time=9)]), "holds no notes"),
    "drums.mid": (content(notes(30, channel=9)), r"holds no notes \(drums, channel 10"),
    "type2.mid": (content(notes(3), type=2), "type 2"),
    "division0.mid": (with_division(GOOD, 0), "time division 0"),
    "division_odd.mid": (with_division(GOOD, 0x8001), "time division -32767"),
    "tempo0.mid": (content(tempo(0) + notes(30)), "a tempo of 0 microseconds"),
    "million_bpm.mid": (content(tempo(60) + notes(1000)), "1,000 notes in 0.06 s cannot be played"),
    "million_bpm_short.mid": (content(tempo(60) + notes(30)), "30 notes in 0.00 s cannot"),
    "huge_delta.mid": (
        content([*notes(3), mido.Message("note_on", note=60, time=0x0FFFFFFF)], ticks_per_beat=1),
        r"37,283 hours after the start",
    ),
}


# name: content, how many notes are read, and how many seconds apart
READ: dict[str, tuple[bytes, int, float]] = {
    "good.mid": (GOOD, 30, 0.5),
    # a file cannot say 1 bpm: 24 bits of microseconds end at 3.58
    "slowest.mid": (content(tempo(0xFFFFFF) + notes(30)), 30, 16.777215),
    "type0.MIDI": (content(notes(30), ticks_per_beat=96, type=0), 30, 2.5),
    # 25 frames of 40 ticks: a tick is a millisecond, whatever the tempo
    "smpte.mid": (with_division(content(tempo(1) + notes(30)), 0xE728), 30, 0.48),
    "half_an_hour.mid": (content(notes(3600)), 3600, 0.5),
    "drums_too.mid": (content(notes(30), notes(90, channel=9)), 30, 0.5),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """Return the token files, and the report, of a folder with all of these."""
    folder = tmp_path_factory.mktemp("bad")
    midi, out = folder / "midi", folder / "tokens"
    midi.mkdir()
    for name, (data, *_) in (REFUSED | READ).items():
        (midi / name).write_bytes(data)
    (midi / "dangling.mid").symlink_to(midi / "nowhere.mid")
    (midi / "folder.mid").mkdir()
    (midi / "folder.mid" / "inside.mid").write_bytes(GOOD)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "here.mid").write_bytes(GOOD)
    (elsewhere / "circle").symlink_to(midi)
    (midi / "linked").symlink_to(elsewhere)
    tracks = [
        [mido.Message(m.type, note=30 + 5 * i, channel=i, time=m.time) for m in notes(10)]
        for i in range(16)
    ]
    (midi / "sixteen.mid").write_bytes(content(*tracks))
    return out, prepare(midi, out, workers=1, quiet=True)


def tokens_of(out: Path, path: str) -> list[int]:
    for split in ("train", "validation", "test"):
        store = TokenStore(out, split)
        for index, piece in enumerate(store.pieces):
            if piece.path == path:
                return [int(token) for token in store.tokens(index)]
    raise AssertionError(f"{path} is in no split")


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_file_that_is_no_performance_is_skipped_with_its_reason(
    prepared: tuple[Path, Report], name: str
):
    reasons = {skip.path: skip.reason for skip in prepared[1].skipped}

    assert re.search(REFUSED[name][1], reasons[name])
    assert "\n" not in reasons[name]


@pytest.mark.parametrize("name", sorted(READ))
def test_an_extreme_file_is_read_for_what_it_says(prepared: tuple[Path, Report], name: str):
    tokens = tokens_of(prepared[0], name)

    count, gap_s = READ[name][1:]
    onsets_s = [event.time_s for event in decode(tokens) if isinstance(event.event, NoteOn)]
    assert onsets_s == pytest.approx([index * gap_s for index in range(count)], abs=0.0051)
    pieces = [piece for piece in prepared[1].pieces if piece.path == name]
    assert pieces[0].notes == count
    assert pieces[0].seconds == pytest.approx(onsets_s[-1] + gap_s / 2, abs=0.01)


def test_sixteen_tracks_are_one_player_without_the_drums(prepared: tuple[Path, Report]):
    tokens = tokens_of(prepared[0], "sixteen.mid")

    onsets = [event for event in decode(tokens) if isinstance(event.event, NoteOn)]
    assert len(onsets) == 15 * 10
    assert {event.event.pitch for event in onsets} == {30 + 5 * i for i in range(16) if i != 9}
    assert {event.time_s for event in onsets} == {0.5 * i for i in range(10)}


def test_every_file_is_either_a_piece_or_named_and_none_is_both(prepared: tuple[Path, Report]):
    report = prepared[1]

    pieces, skipped = {p.path for p in report.pieces}, {skip.path for skip in report.skipped}
    assert pieces == {*READ, "sixteen.mid", "folder.mid/inside.mid", "linked/here.mid"}
    assert skipped == {*REFUSED, "dangling.mid"}
    assert len(report.skipped) == len(skipped)


def test_the_report_on_the_screen_names_and_counts_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    midi = tmp_path / "midi"
    midi.mkdir()
    for name in ("good.mid", "drums.mid", "tempo0.mid"):
        (midi / name).write_bytes(REFUSED[name][0] if name in REFUSED else GOOD)
    # names as they come out of archives from elsewhere: no UTF-8, but a file like any other
    Path(os.fsdecode(os.fsencode(midi) + b"/\x83s\x83A\x83m.mid")).write_bytes(b"no music")

    code = main(["--midi", str(midi), "--out", str(tmp_path / "tokens"), "--workers", "1"])

    said = capsys.readouterr().out
    assert code == 0
    assert "skipped drums.mid: holds no notes" in said
    assert "skipped tempo0.mid: a tempo of 0" in said
    assert "skipped \ufffds\ufffdA\ufffdm.mid: not a readable MIDI file (MThd not found" in said
    assert "train: 1 pieces" in said
    assert "skipped: 3 files" in said


def test_both_flavours_skip_the_same_files(prepared: tuple[Path, Report], tmp_path: Path):
    midi = prepared[0].parent / "midi"

    report = prepare(midi, tmp_path, workers=1, quiet=True, flavour=v.Flavour.SUSTAIN_388)

    assert report.skipped == prepared[1].skipped
    assert [(p.path, p.split, p.notes) for p in report.pieces] == [
        (p.path, p.split, p.notes) for p in prepared[1].pieces
    ]


# --- manifests ---


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", r"MANIFEST\.csv: names no files"),
        ("a.mid,train\nb.mid,test\na.mid,test\n", r"MANIFEST\.csv:4: a\.mid stands in line 2"),
        ("a.mid\n", r"MANIFEST\.csv:2: needs a path and a split"),
    ],
)
def test_a_manifest_that_means_nothing_is_refused_by_line(tmp_path: Path, rows: str, said: str):
    (tmp_path / "a.mid").write_bytes(GOOD)
    (tmp_path / "MANIFEST.csv").write_text(f"path,split\n{rows}")

    with pytest.raises(PerformerError, match=said):
        prepare(tmp_path, tmp_path / "tokens", workers=1, quiet=True)


def test_what_a_manifest_names_and_cannot_be_read_is_skipped_by_name(tmp_path: Path):
    (tmp_path / "a.mid").write_bytes(GOOD)
    (tmp_path / "folder.mid").mkdir()
    (tmp_path / "loop.mid").symlink_to(tmp_path / "loop.mid")
    (tmp_path / "MANIFEST.csv").write_text(
        "path,split\na.mid,train\nfolder.mid,train\nmissing.mid,test\nloop.mid,test\n"
    )

    report = prepare(tmp_path, tmp_path / "tokens", workers=1, quiet=True)

    assert {piece.path for piece in report.pieces} == {"a.mid"}
    assert {skip.path: skip.reason for skip in report.skipped} == {
        "folder.mid": "Is a directory",
        "missing.mid": "No such file or directory",
        "loop.mid": "Too many levels of symbolic links",
    }


# --- token files ---


def small(tmp_path: Path) -> tuple[Path, Path]:
    """Return a folder of one MIDI file, and its token files."""
    (tmp_path / "midi").mkdir()
    (tmp_path / "midi" / "good.mid").write_bytes(GOOD)
    prepare(tmp_path / "midi", tmp_path / "tokens", workers=1, quiet=True)
    return tmp_path / "midi", tmp_path / "tokens"


@pytest.mark.parametrize("damaged", [INDEX, "shard-00000.json", "shard-00000.bin"])
def test_damaged_token_files_are_made_again_by_the_same_command(tmp_path: Path, damaged: str):
    midi, out = small(tmp_path)
    whole = (out / damaged).read_bytes()
    (out / damaged).write_bytes(whole[: len(whole) // 2])

    prepare(midi, out, workers=1, quiet=True)

    assert (out / damaged).read_bytes() == whole
    assert len(TokenStore(out, "train")) == 1


def test_a_damaged_index_is_named(tmp_path: Path):
    _, out = small(tmp_path)
    (out / INDEX).write_text("{")

    with pytest.raises(ModelMismatch, match=r"index\.json: damaged; run training/prepare_data"):
        TokenStore(out, "train")


def test_token_files_of_another_flavour_are_refused_unless_asked_for(tmp_path: Path):
    midi, events = small(tmp_path)
    sounding = tmp_path / "sounding"
    code = main(["--flavour", "sustain-388", "--midi", str(midi), "--out", str(sounding)])

    assert code == 0
    assert json.loads((sounding / INDEX).read_text())["flavour"] == "sustain-388"
    store = TokenStore(sounding, "train", flavours=[v.Flavour.SUSTAIN_388])
    assert store.flavour is v.Flavour.SUSTAIN_388
    assert store.tokens(0)[0] == v.BOS
    assert store.pieces[0].notes == 30
    with pytest.raises(ModelMismatch, match="of flavour 'sustain-388'; here 'events' is needed"):
        TokenStore(sounding, "train")
    with pytest.raises(ModelMismatch, match="of flavour 'events'; here 'sustain-388' is needed"):
        TokenStore(events, "train", flavours=[v.Flavour.SUSTAIN_388])
    with pytest.raises(ModelMismatch, match="holds token files of flavour 'events', not 'sust"):
        prepare(midi, events, quiet=True, flavour=v.Flavour.SUSTAIN_388)


def test_a_checkpoint_of_another_flavour_is_refused_unless_asked_for(tmp_path: Path):
    path = make_checkpoint(tmp_path / "model.pt")
    sounding = replace(load_checkpoint(path), flavour=v.Flavour.SUSTAIN_388)

    save_checkpoint(path, sounding)

    with pytest.raises(
        ModelMismatch, match=r"model\.pt: trained on tokens of flavour 'sustain-388"
    ):
        load_checkpoint(path)
    assert load_checkpoint(path, tuple(v.Flavour)).flavour is v.Flavour.SUSTAIN_388


def test_a_place_that_cannot_be_written_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "good.mid").write_bytes(GOOD)
    (tmp_path / "taken").write_text("a file, no folder")

    code = main(["--midi", str(tmp_path), "--out", str(tmp_path / "taken"), "--workers", "1"])

    assert code == 2
    assert re.fullmatch(r"error: .*taken.*\n", capsys.readouterr().err)
