"""The command line that scores a model, on real files and in the states that folders come in."""

import json
import math
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from perceivers import vocabulary as v
from perceivers.checkpoint import load_checkpoint, save_checkpoint
from perceivers.encoder import encode
from perceivers.errors import ModelMismatch
from perceivers.graphs import GRAPH_FILES
from perceivers.manifest import read_manifest
from perceivers.midi_files import Track, write_performance
from tests.support.make_model import make_checkpoint
from tests.support.simple_music import music
from training.data.preparation import prepare
from training.evaluate import main
from training.evaluation.likelihood.manifest_scores import note
from training.evaluation.likelihood.pieces import HeldOut, encoder_fingerprint, limited, tagged

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "training" / "evaluate.py"


def write_music(path: Path, notes: int, seed: int = 0) -> None:
    write_performance(path, [Track("piano", 0, tuple(music(notes, seed=seed)))])


def make_diverged_checkpoint(path: Path) -> Path:
    checkpoint = load_checkpoint(make_checkpoint(path))
    checkpoint.weights["embedding.weight"].fill_(math.nan)
    save_checkpoint(path, checkpoint)
    return path


@pytest.fixture
def split_midi(tmp_path: Path) -> Path:
    folder = tmp_path / "split"
    lines = ["path,split,dataset"]
    for i, split in enumerate(("train", "validation", "validation")):
        write_music(folder / f"{i}.mid", 20, seed=i)
        lines.append(f"{i}.mid,{split},set{i}")
    (folder / "MANIFEST.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def loose_midi(tmp_path: Path) -> Path:
    """Return a folder as one finds it: three pieces, and three files that are none."""
    folder = tmp_path / "loose"
    write_music(folder / "a.mid", 20, seed=1)
    write_music(folder / "below" / "b.MIDI", 30, seed=2)
    write_music(folder / "übung 1.mid", 10, seed=3)
    write_music(folder / "silent.mid", 0)
    (folder / "cut.mid").write_bytes((folder / "a.mid").read_bytes()[:60])
    (folder / "text.mid").write_text("no music")
    return folder


def test_a_checkpoint_and_a_run_are_scored_on_the_validation_split(
    split_midi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    checkpoint = make_checkpoint(tmp_path / "run" / "best.pt")

    for model in (checkpoint, checkpoint.parent):
        out = tmp_path / "figures.json"
        code = main(["--model", str(model), "--midi", str(split_midi), "--json", str(out)])

        figures = json.loads(out.read_text())
        assert code == 0
        assert figures["split"] == "validation"
        assert [piece["path"] for piece in figures["per_piece"]] == ["1.mid", "2.mid"]
        assert figures["notes"] == 40
        assert figures["model"] == str(checkpoint)
        assert figures["protocol"] == "blocks"
        assert figures["vocabulary"] == v.fingerprint()
        assert f"{figures['nats_per_token']['value']:.3f}" in capsys.readouterr().out


@pytest.mark.processes
def test_a_folder_without_a_manifest_is_scored_whole(
    tiny_model_folder: Path,
    loose_midi: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    out = tmp_path / "figures.json"

    code = main(["--model", str(tiny_model_folder), "--midi", str(loose_midi), "--json", str(out)])

    figures = json.loads(out.read_text())
    assert code == 0
    assert figures["split"] == "all"
    assert figures["protocol"] == "streamed"
    assert {piece["path"] for piece in figures["per_piece"]} == {
        "a.mid",
        "below/b.MIDI",
        "übung 1.mid",
    }
    assert [piece["notes"] for piece in figures["per_piece"]] == [20, 30, 10]
    assert {skip["path"] for skip in figures["skipped"]} == {"silent.mid", "cut.mid", "text.mid"}
    assert all(skip["reason"] for skip in figures["skipped"])
    told = capsys.readouterr()
    assert "skipped text.mid: " in told.err
    assert "3 files skipped" in told.out


@pytest.mark.processes
def test_a_single_piece_is_scored_once(tiny_model_folder: Path, tmp_path: Path):
    """For training, a single piece is its own validation; that makes it no second piece here."""
    write_music(tmp_path / "one" / "a.mid", 15)
    out = tmp_path / "figures.json"

    main(["--model", str(tiny_model_folder), "--midi", str(tmp_path / "one"), "--json", str(out)])

    assert json.loads(out.read_text())["pieces"] == 1


@pytest.mark.processes
def test_token_files_give_the_figures_of_their_music(
    tiny_model_folder: Path, loose_midi: Path, tmp_path: Path
):
    prepare(loose_midi, tmp_path / "tokens", quiet=True)
    outs = [tmp_path / "midi.json", tmp_path / "tokens.json"]
    command = ["--model", str(tiny_model_folder), "--processes", "1", "--split", "all"]

    main([*command, "--midi", str(loose_midi), "--json", str(outs[0])])
    main([*command, "--tokens", str(tmp_path / "tokens"), "--json", str(outs[1])])

    first, second = (json.loads(out.read_text()) for out in outs)
    by_path = [sorted(f["per_piece"], key=lambda piece: piece["path"]) for f in (first, second)]
    assert by_path[0] == by_path[1]


def test_data_sets_can_be_chosen_and_an_empty_choice_is_refused(
    split_midi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    checkpoint = make_checkpoint(tmp_path / "best.pt")
    out = tmp_path / "f.json"
    command = ["--model", str(checkpoint), "--midi", str(split_midi), "--json", str(out)]

    assert main([*command, "--datasets", "set2"]) == 0
    assert json.loads(out.read_text())["pieces"] == 1
    assert main([*command, "--datasets", "set7"]) == 2
    told = capsys.readouterr().err
    assert f"error: {split_midi}: no piece in split 'validation' of data sets set7" in told


def test_what_is_not_asked_for_is_not_read(split_midi: Path, tmp_path: Path):
    (split_midi / "0.mid").write_text("no music")  # of the training split
    out = tmp_path / "f.json"
    checkpoint = make_checkpoint(tmp_path / "best.pt")
    command = ["--model", str(checkpoint), "--midi", str(split_midi), "--json", str(out)]

    skipped = []
    for split in ("validation", "all"):
        assert main([*command, "--split", split]) == 0
        figures = json.loads(out.read_text())
        assert figures["pieces"] == 2
        skipped.append([skip["path"] for skip in figures["skipped"]])

    assert skipped == [[], ["0.mid"]]


def test_training_pieces_do_not_stand_in_for_a_split_that_the_manifest_lacks(
    split_midi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (split_midi / "MANIFEST.csv").write_text("path,split\n0.mid,train\n1.mid,train\n")
    checkpoint = make_checkpoint(tmp_path / "best.pt")

    code = main(["--model", str(checkpoint), "--midi", str(split_midi)])

    assert code == 2
    assert "no piece in split 'validation'; --split all takes all" in capsys.readouterr().err


@pytest.mark.processes
def test_figures_are_noted_in_the_manifest_for_each_precision(
    tiny_model_folder: Path, split_midi: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder, out = Path(shutil.copytree(tiny_model_folder, tmp_path / "model")), tmp_path / "f.json"
    command = ["--model", str(folder), "--midi", str(split_midi), "--json", str(out), "--note"]
    before = read_manifest(folder)
    assert before.scores == {}

    for count, precision in enumerate(GRAPH_FILES, start=1):
        given = ["--precision", precision, "--datasets", "set1,set2", "--every", "2"]
        assert main([*command, *given]) == 0

        figures, noted = json.loads(out.read_text()), read_manifest(folder).scores
        assert len(noted) == count
        score = noted[precision]
        assert asdict(score) == {
            "nats_per_token": figures["nats_per_token"]["value"],
            "low": figures["nats_per_token"]["low"],
            "high": figures["nats_per_token"]["high"],
            "pieces": 2,
            "tokens": figures["tokens"],
            "split": "validation",
            "datasets": ("set1", "set2"),
            "every_block": 2,
            "music_sha256": figures["tokens_sha256"],
        }
        assert score.low is not None
        assert f"noted for {precision} in {folder / 'manifest.json'}" in capsys.readouterr().out

    assert noted["int8"] != noted["fp32"] != noted["fp16"]
    assert noted["int8"].nats_per_token == pytest.approx(noted["fp32"].nats_per_token, abs=0.01)
    assert noted["fp16"].nats_per_token == pytest.approx(noted["fp32"].nats_per_token, abs=0.01)
    assert main([*command, "--split", "train"]) == 0
    again = read_manifest(folder)
    assert again.scores["fp32"].split == "train"
    assert again.scores["int8"] == noted["int8"]
    assert replace(again, scores={}) == before


def test_what_was_not_scored_by_the_graph_in_the_folder_is_not_noted(
    tiny_model_folder: Path, tmp_path: Path
):
    folder = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))

    with pytest.raises(ModelMismatch, match="its int8 graph was replaced while it was scored"):
        note(folder, {"precision": "int8", "graph_sha256": "of another"})

    assert read_manifest(folder).scores == {}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["--model", "{checkpoint}", "--note"], "give a model folder, and no --blocks"),
        (["--model", "{folder}", "--blocks", "--note"], "give a model folder, and no --blocks"),
        (["--model", "{nothing}"], "no such checkpoint, run folder or model folder"),
        (["--model", "{midi}"], "give a checkpoint, a run folder or a model folder"),
        (["--model", "{text}"], "not a readable checkpoint"),
        (["--model", "{diverged}"], "the model predicts no numbers"),
        (["--model", "{checkpoint}", "--streamed"], "--streamed needs a model folder"),
        (["--model", "{checkpoint}", "--precision", "int8"], "needs a model folder"),
        (["--model", "{folder}", "--precision", "bf16"], "--blocks"),
        (["--model", "{bare}", "--blocks"], "holds no checkpoint"),
        (["--model", "{folder}", "--midi", "{nothing}"], "no such folder"),
        (["--model", "{folder}", "--midi", "{empty}"], "no MIDI files"),
        (["--model", "{folder}", "--midi", "{silent}"], "none of 1 files holds notes"),
        (["--model", "{folder}", "--json", "{text}/x.json"], "choose another file"),
        pytest.param(["--model", "{folder}", "--every", "1000"], None, marks=pytest.mark.processes),
    ],
)
def test_what_cannot_be_scored_is_said_in_one_line(
    given: list[str],
    reason: str | None,
    tiny_model_folder: Path,
    loose_midi: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    places = {name: tmp_path / name for name in ("nothing", "text", "empty", "silent")}
    places["text"].write_text("no model")
    places["empty"].mkdir()
    write_music(places["silent"] / "a.mid", 0)
    places |= {"folder": tiny_model_folder, "midi": loose_midi, "bare": tmp_path / "bare"}
    places["bare"].mkdir()
    (places["bare"] / "manifest.json").write_bytes(
        (tiny_model_folder / "manifest.json").read_bytes()
    )
    places["checkpoint"] = make_checkpoint(tmp_path / "tiny.pt")
    places["diverged"] = make_diverged_checkpoint(tmp_path / "diverged.pt")
    arguments = [word.format(**places) for word in given]
    midi = [] if "--midi" in given else ["--midi", str(loose_midi)]

    code = main([*arguments, *midi])

    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    if reason is None:  # every k-th block begins elsewhere in each piece: the first one is scored
        assert (code, lines) == (0, [])
    else:
        assert code == 2
        assert len(lines) == 1
        assert reason in lines[0]


def test_a_model_folder_of_another_vocabulary_is_refused_by_name(
    tiny_model_folder: Path,
    loose_midi: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    other = tmp_path / "other"
    other.mkdir()
    manifest = json.loads((tiny_model_folder / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(manifest | {"vocabulary": "0123"}))

    code = main(["--model", str(other), "--midi", str(loose_midi)])

    assert code == 2
    assert "made with vocabulary '0123'" in capsys.readouterr().err


def test_a_limit_takes_whole_pieces_in_a_fixed_order_and_cuts_the_last():
    pieces = [HeldOut(f"{i}.mid", "", np.full(100, i)) for i in range(5)]

    chosen = limited(pieces, 250)

    assert [len(piece.tokens) for piece in chosen] == [100, 100, 50]
    assert len({piece.path for piece in chosen}) == 3
    assert [piece.path for piece in limited(pieces, 250)] == [piece.path for piece in chosen]


def test_the_source_can_be_told():
    tokens = np.array(encode(music(3), v.Source.DISKLAVIER))

    told = tagged(tokens, v.Source.PIANO_ROLL)

    assert told.tolist() == encode(music(3), v.Source.PIANO_ROLL)
    assert tagged(tokens, None).tolist() == tokens.tolist()


def test_the_encoder_is_known_by_what_it_says():
    # Changes only with the encoder. Figures of the two are then no longer comparable.
    assert encoder_fingerprint(v.Flavour.EVENTS) == "84c40a43f8937cb1"
    assert encoder_fingerprint(v.Flavour.SUSTAIN_388) != encoder_fingerprint(v.Flavour.EVENTS)


@pytest.mark.processes
def test_a_model_folder_is_scored_without_torch(tiny_model_folder: Path, loose_midi: Path):
    program = (
        "import sys; from training.evaluate import main; code = main(sys.argv[1:]); "
        "print(code, 'torch' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, "--model", tiny_model_folder, "--midi", loose_midi],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.stdout.splitlines()[-1:] == ["0 False"], done.stderr


@pytest.mark.processes
def test_ctrl_c_ends_the_engines_and_writes_nothing(tiny_model_folder: Path, tmp_path: Path):
    write_music(tmp_path / "long" / "a.mid", 5000)
    out = tmp_path / "figures.json"
    options = ["--model", tiny_model_folder, "--midi", tmp_path / "long", "--json", out]
    with subprocess.Popen(
        [sys.executable, SCRIPT, *options], stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        shown = ""
        while "scoring:  " not in shown and (read := running.stderr.read(1)):
            shown += read
        running.send_signal(signal.SIGINT)  # to this process alone, as a service manager does

        rest = running.stderr.read()

    assert running.returncode == 130, shown + rest
    assert "stopped; no figures are written" in rest
    assert "Traceback" not in rest
    assert not out.exists()
