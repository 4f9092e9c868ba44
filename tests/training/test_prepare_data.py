import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from perceivers import vocabulary as v
from perceivers.decoder import decode
from perceivers.encoder import encode
from perceivers.errors import ModelMismatch, PerformerError
from perceivers.events import NoteOff, NoteOn, TimedEvent
from perceivers.midi_files import Track, write_performance
from training.data import preparation
from training.data.preparation import prepare
from training.data.token_store import INDEX, TokenStore
from training.prepare_data import main


def melody(seed: int, start_s: float = 0.0, slower: float = 1.0) -> list[TimedEvent]:
    """Return thirty notes of a piece; `slower` makes another performance of the same piece."""
    rng = np.random.default_rng(seed)
    performance = []
    for i, pitch in enumerate(rng.integers(40, 90, 30)):
        onset_s = start_s + slower * i * 0.25
        performance.append(TimedEvent(onset_s, NoteOn(int(pitch), int(rng.integers(30, 100)))))
        performance.append(TimedEvent(onset_s + slower * 0.2, NoteOff(int(pitch))))
    return performance


def write(folder: Path, name: str, performance: list[TimedEvent]) -> None:
    write_performance(folder / name, [Track("piano", 0, tuple(performance))])


@pytest.fixture
def midi(tmp_path: Path) -> Path:
    """Return a folder of twelve pieces, the first six in two performances."""
    folder = tmp_path / "midi"
    for seed in range(12):
        write(folder, f"a/piece{seed}.mid", melody(seed))
    for seed in range(6):
        write(folder, f"b/again{seed}.MID", melody(seed, slower=1.1))
    return folder


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "FILES_PER_SHARD", 8)


def test_the_store_holds_what_the_files_say(midi: Path, tmp_path: Path):
    write(midi, "late.mid", melody(99, start_s=5.0))

    prepare(midi, tmp_path / "tokens", workers=1, quiet=True)

    stores = [TokenStore(tmp_path / "tokens", split) for split in ("train", "validation", "test")]
    found = {
        piece.path: store.tokens(i).tolist()
        for store in stores
        for i, piece in enumerate(store.pieces)
    }
    assert len(found) == 19
    assert found["a/piece3.mid"] == encode(melody(3), v.Source.DISKLAVIER)
    assert found["late.mid"] == encode(melody(99), v.Source.DISKLAVIER), (
        "the silence before the music is left out"
    )
    piece = next(p for store in stores for p in store.pieces if p.path == "late.mid")
    assert piece.notes == 30
    assert piece.seconds == pytest.approx(29 * 0.25 + 0.2, abs=0.01)


def test_two_performances_of_a_piece_never_part(midi: Path, tmp_path: Path):
    report = prepare(midi, tmp_path / "tokens", workers=1, quiet=True)

    split_of = {piece.path: piece.split for piece in report.pieces}
    assert all(split_of[f"a/piece{i}.mid"] == split_of[f"b/again{i}.MID"] for i in range(6))
    assert set(split_of.values()) == {"train", "validation", "test"}


def test_one_single_piece_is_trained_and_validated_on(tmp_path: Path):
    write(tmp_path / "midi", "only.mid", melody(1))

    prepare(tmp_path / "midi", tmp_path / "tokens", quiet=True)

    for split in ("train", "validation"):
        assert [p.path for p in TokenStore(tmp_path / "tokens", split).pieces] == ["only.mid"]


def test_a_manifest_decides_splits_and_tags(midi: Path, tmp_path: Path):
    (midi / "MANIFEST.csv").write_text(
        "path,split,dataset,capture\n"
        "a/piece0.mid,test,mine,Disklavier\n"
        "a/piece1.mid,train,mine,piano roll scans\n"
        "a/piece2.mid,validation,yours,transcribed\n"
    )

    prepare(midi, tmp_path / "tokens", quiet=True)

    expected = {
        "test": ("a/piece0.mid", v.Source.DISKLAVIER),
        "train": ("a/piece1.mid", v.Source.PIANO_ROLL),
        "validation": ("a/piece2.mid", v.Source.TRANSCRIPTION),
    }
    for split, (path, source) in expected.items():
        store = TokenStore(tmp_path / "tokens", split)
        assert [piece.path for piece in store.pieces] == [path]
        assert store.tokens(0)[1] == v.tag_of(source)
    assert len(TokenStore(tmp_path / "tokens", "validation", ["mine"])) == 0
    assert len(TokenStore(tmp_path / "tokens", "validation", ["yours"])) == 1


def test_a_manifest_with_an_unknown_split_is_refused_by_line(midi: Path, tmp_path: Path):
    (midi / "MANIFEST.csv").write_text("path,split\na/piece0.mid,train\na/piece1.mid,dev\n")

    with pytest.raises(PerformerError, match=r"MANIFEST\.csv:3: .*train, validation, test"):
        prepare(midi, tmp_path / "tokens", quiet=True)


def test_damaged_empty_and_missing_files_are_named_counted_and_skipped(
    midi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (midi / "damaged.mid").write_bytes((midi / "a/piece0.mid").read_bytes()[:60])
    (midi / "text.mid").write_text("no music")
    write(midi, "silent.mid", [])

    code = main(["--midi", str(midi), "--out", str(tmp_path / "tokens"), "--workers", "1"])

    said = capsys.readouterr().out
    assert code == 0
    assert "skipped damaged.mid: " in said
    assert "skipped text.mid: " in said
    assert "skipped silent.mid: holds no notes" in said
    assert "skipped: 3 files" in said
    assert len(TokenStore(tmp_path / "tokens", "train")) > 0


def test_a_restart_keeps_the_shards_of_unchanged_files(midi: Path, tmp_path: Path):
    out = tmp_path / "tokens"
    first = prepare(midi, out, workers=1, quiet=True)
    kept, lost = out / "shard-00000.bin", out / "shard-00001.bin"
    before = kept.stat().st_ino
    lost.unlink()
    (out / INDEX).unlink()

    second = prepare(midi, out, workers=1, quiet=True)

    assert second == first
    assert kept.stat().st_ino == before, "a shard that was done is not written again"
    assert lost.exists()


def test_a_changed_file_is_encoded_again(midi: Path, tmp_path: Path):
    prepare(midi, tmp_path / "tokens", workers=1, quiet=True)
    write(midi, "a/piece0.mid", melody(77))

    prepare(midi, tmp_path / "tokens", workers=1, quiet=True)

    stores = [TokenStore(tmp_path / "tokens", split) for split in ("train", "validation", "test")]
    tokens = [
        s.tokens(i) for s in stores for i, p in enumerate(s.pieces) if p.path == "a/piece0.mid"
    ]
    assert tokens[0].tolist() == encode(melody(77), v.Source.DISKLAVIER)
    assert len(decode(tokens[0].tolist())) == 60


@pytest.mark.processes
def test_processes_in_parallel_give_the_tokens_of_one(midi: Path, tmp_path: Path):
    prepare(midi, tmp_path / "one", workers=1, quiet=True)
    prepare(midi, tmp_path / "two", workers=2, quiet=True)

    for path in sorted((tmp_path / "one").iterdir()):
        if path.suffix == ".bin" or path.name == INDEX:
            assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "no such folder"),
        (lambda folder: folder.mkdir(), r"no MIDI files \(\*\.mid, \*\.midi\)"),
        (
            lambda folder: (folder.mkdir(), (folder / "a.mid").write_text("x")),
            r"none of 1 files holds notes; a\.mid: ",
        ),
    ],
)
def test_a_folder_without_music_is_refused_in_one_line(
    tmp_path: Path, make: object, said: str, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "midi"
    make(folder)  # type: ignore[operator]

    code = main(["--midi", str(folder), "--out", str(tmp_path / "tokens")])

    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 2
    assert error.startswith(f"error: {folder}: ")
    assert re.search(said, error)


def test_token_files_of_another_vocabulary_are_refused(midi: Path, tmp_path: Path):
    out = tmp_path / "tokens"
    prepare(midi, out, workers=1, quiet=True)
    index = (out / INDEX).read_text().replace(v.fingerprint(), "0123456789abcdef")
    (out / INDEX).write_text(index)

    with pytest.raises(ModelMismatch, match="0123456789abcdef"):
        TokenStore(out, "train")


def test_a_truncated_or_missing_shard_is_named(midi: Path, tmp_path: Path):
    out = tmp_path / "tokens"
    prepare(midi, out, workers=1, quiet=True)
    damaged = out / "shard-00000.bin"

    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(ModelMismatch, match=r"shard-00000\.bin: 50 tokens"):
        TokenStore(out, "train")
    damaged.unlink()
    with pytest.raises(ModelMismatch, match=r"shard-00000\.bin: 0 tokens"):
        TokenStore(out, "train")
    shutil.rmtree(out)
    with pytest.raises(PerformerError, match="make token files with"):
        TokenStore(out, "train")
