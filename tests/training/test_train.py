"""Training, on the smallest model and the shortest runs that show it."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from export.export_onnx import export
from perceivers.checkpoint import load_checkpoint
from perceivers.errors import PerformerError
from perceivers.vocabulary import Flavour
from tests.support.make_model import make_checkpoint
from tests.support.small_runs import (
    ROOT,
    SCRIPT,
    arguments,
    losses,
    one_core,
    prepare_chords,
    training,
    write_chords,
)
from training import evaluate
from training.data.preparation import prepare
from training.models.presets import PRESETS
from training.run import data as run_data
from training.run.command_line import DEFAULT_STEPS, STARTER_SET, TUNING_STEPS, parse
from training.run.learning_curve import LearningCurve, Point
from training.run.state import BEST, LAST, STABLE
from training.run.status_line import StatusLine
from training.run.trainer import Trainer
from training.train import main

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _one_core() -> Iterator[None]:
    with one_core():
        yield


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_chords(tmp_path_factory.mktemp("data"))


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    pytest.fail(f"the process ended before it said {words!r}")


# All that may draw lots or keep a state of its own.
WHOLE_RECIPE = (
    "--weight", "midi=0.5", "--tag-dropout", "0.2", "--stretch", "0.05", "--velocity-shift", "2",
    "--prefix-dropout", "0.1", "--average", "0.8", "--carry", "16",
)  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted(tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of forty steps, the last sixteen of them with a decaying rate."""
    run = tmp_path_factory.mktemp("run") / "whole"
    more = ("--steps", "40", "--validate-every", "20", "--decay-share", "0.4", *WHOLE_RECIPE)
    with one_core():
        assert main(arguments(tokens, run, *more)) == 0
    return run


def test_validation_improves_and_the_run_is_on_disk(uninterrupted: Path):
    validation = [p.validation_nll for p in LearningCurve(uninterrupted).read() if p.validation_nll]

    assert len(validation) == 3  # before the first step, at 20 and at 40
    # measured 5.98 → 3.5 in forty steps
    assert validation[0] > validation[1] > validation[2]
    assert validation[2] < validation[0] - 1.0
    best = load_checkpoint(uninterrupted / BEST)
    assert best.architecture == replace(PRESETS["tiny"], carried=16)
    assert best.progress["best_validation_nll"] == pytest.approx(min(validation))
    assert best.resume == {}, "a checkpoint to be played carries no optimiser"
    assert load_checkpoint(uninterrupted / LAST).progress["decay"] == 1.0
    assert load_checkpoint(uninterrupted / STABLE).progress["step"] == 25  # the first of the decay
    assert (uninterrupted / "learning_curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.processes
@pytest.mark.parametrize("killed_at", [10, 30])  # in the stable part and inside the decay
def test_a_run_that_was_killed_goes_on_exactly(
    tokens: Path,
    tmp_path: Path,
    uninterrupted: Path,
    killed_at: int,
    capsys: pytest.CaptureFixture[str],
):
    run = tmp_path / "run"
    more = ("--steps", "40", "--decay-share", "0.4", "--save-every-s", "0", *WHOLE_RECIPE)
    command = arguments(tokens, run, *more)
    with training(SCRIPT, *command, "--validate-every", "5") as process:
        read_until(process, f"step {killed_at:>6}  validation")
        os.kill(process.pid, signal.SIGKILL)
    saved = load_checkpoint(run / LAST).progress["step"]

    assert main([*command, "--validate-every", "5"]) == 0

    assert f"going on at step {saved}" in capsys.readouterr().out
    assert killed_at - 1 <= saved < 40
    assert losses(run) == losses(uninterrupted)
    ours, whole = load_checkpoint(run / LAST).weights, load_checkpoint(uninterrupted / LAST).weights
    assert all(bool((ours[name] == whole[name]).all()) for name in whole)


@pytest.mark.processes
def test_two_processes_learn_what_one_learns(tokens: Path, tmp_path: Path):
    lots_of_the_model = "--prefix-dropout"  # drawn by each process for itself, as dropout is
    more = ("--steps", "6", "--dropout", "0", *WHOLE_RECIPE, lots_of_the_model, "0")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--")
    assert main(arguments(tokens, tmp_path / "one", *more)) == 0

    with training(*launcher, SCRIPT, *arguments(tokens, tmp_path / "two", *more)) as process:
        said, complaint = process.communicate()

    assert process.returncode == 0, complaint
    assert " x 2, run" in said
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(two) == 6
    # measured 1e-6: the sums are taken in another order
    assert list(two.values()) == pytest.approx(list(one.values()), abs=1e-4)


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_with_everything_saved(tokens: Path, tmp_path: Path, number: int):
    run = tmp_path / "run"
    command = arguments(tokens, run, "--steps", "100000", "--validate-every", "2")

    with training(SCRIPT, *command) as process:
        read_until(process, "step      4  validation")
        os.kill(process.pid, number)
        said, complaint = process.communicate()

    assert process.returncode == 0, complaint
    assert "stopped; the same command goes on from here" in said
    saved = load_checkpoint(run / LAST).progress["step"]
    assert saved >= 4
    assert list(losses(run)) == list(range(1, saved + 1))


def test_a_budget_in_minutes_is_kept_and_may_be_given_again(
    tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    command = arguments(tokens, tmp_path / "run", "--minutes", "0.02")

    assert main(command) == 0
    first = load_checkpoint(tmp_path / "run" / LAST).progress
    stable = load_checkpoint(tmp_path / "run" / STABLE).progress
    assert main(command) == 0
    second = load_checkpoint(tmp_path / "run" / LAST).progress

    assert first["decay"] == second["decay"] == 1.0
    assert stable["step"] < first["step"]
    assert second["step"] > stable["step"]
    # on a busy machine the first budget may be used up before a stable step
    assert f"at step {stable['step']}: " in capsys.readouterr().out


def test_a_finished_run_says_that_nothing_is_left_to_do(
    tokens: Path, uninterrupted: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(arguments(tokens, uninterrupted, "--steps", "40")) == 2

    assert "finished at step 40; nothing left to do with --steps 40" in capsys.readouterr().err


def test_micro_batches_learn_what_one_batch_learns(tokens: Path, tmp_path: Path):
    more = ("--steps", "4", "--dropout", "0")
    assert main([*arguments(tokens, tmp_path / "whole", *more), "--batch", "4",
                 "--micro-batch", "4"]) == 0  # fmt: skip
    assert main([*arguments(tokens, tmp_path / "parts", *more), "--batch", "4",
                 "--micro-batch", "1"]) == 0  # fmt: skip

    whole, parts = losses(tmp_path / "whole"), losses(tmp_path / "parts")
    assert list(parts.values()) == pytest.approx(list(whole.values()), abs=1e-4)


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of itself
@pytest.mark.skipif(shutil.which("g++") is None, reason="on a CPU, torch.compile needs g++")
def test_fused_blocks_learn_what_blocks_learn(tokens: Path, tmp_path: Path):
    more = ("--steps", "2", "--dropout", "0", "--precision", "fp32")
    assert main(arguments(tokens, tmp_path / "plain", *more)) == 0
    assert main([*arguments(tokens, tmp_path / "fused", *more), "--fuse"]) == 0

    plain, fused = losses(tmp_path / "plain"), losses(tmp_path / "fused")
    assert list(fused.values()) == pytest.approx(list(plain.values()), abs=1e-4)


def test_a_run_may_start_from_another_model(
    tokens: Path, tmp_path: Path, uninterrupted: Path, capsys: pytest.CaptureFixture[str]
):
    more = (
        "--steps",
        "1",
        "--init",
        str(uninterrupted / BEST),
        "--rehearsal",
        "0",
        "--carry",
        "16",
    )

    assert main(arguments(tokens, tmp_path / "run", *more)) == 0

    curve = LearningCurve(tmp_path / "run").read()
    best = load_checkpoint(uninterrupted / BEST).progress["best_validation_nll"]
    assert curve[0].validation_nll == pytest.approx(best, abs=1e-3)
    assert "starting at step 0" in capsys.readouterr().out


@pytest.mark.parametrize("variant", [
    {"combine": "concat"}, {"scales": (None,), "windows": (None, None)},
    {"scales": (), "windows": (None, None, None), "context": 128},
])  # fmt: skip
def test_any_architecture_can_be_trained_and_scored(
    tokens: Path, tmp_path: Path, variant: dict[str, Any], capsys: pytest.CaptureFixture[str]
):
    architecture = replace(PRESETS["tiny"], **variant)
    command = arguments(tokens, tmp_path / "run", "--steps", "3")
    command = [word for word in command if word not in ("--preset", "tiny")]

    Trainer(parse(command), architecture).train()

    assert load_checkpoint(tmp_path / "run" / LAST).architecture == architecture
    assert score_as_told(capsys.readouterr().out) == 0
    with pytest.raises(PerformerError, match=r"the architecture asked for is not the model of"):
        Trainer(parse([*command, "--steps", "6"]), PRESETS["tiny"])


def test_a_run_on_what_sounds_is_told_how_it_is_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    sounding = tmp_path / "what sounds"
    prepare(write_chords(tmp_path / "midi"), sounding, 1, True, Flavour.SUSTAIN_388)

    assert main(arguments(sounding, tmp_path / "a run", "--steps", "2")) == 0

    assert score_as_told(capsys.readouterr().out) == 0


def score_as_told(said: str) -> int:
    """Do what the end of a run says that cannot be played; return the exit code."""
    assert "to be scored only: " in said
    assert "export it" not in said
    (line,) = (line for line in said.splitlines() if line.startswith("score it:"))
    words = shlex.split(line.removeprefix("score it:"))
    assert words[:2] == ["python", "training/evaluate.py"]
    return evaluate.main(words[2:])


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_both_optimisers_learn_and_go_on_with_what_they_began(
    tokens: Path, tmp_path: Path, optimizer: str, capsys: pytest.CaptureFixture[str]
):
    other = {"muon": "adamw", "adamw": "muon"}[optimizer]
    command = arguments(tokens, tmp_path / "run", "--optimizer", optimizer, "--weight-decay", "0.1")

    assert main([*command, "--steps", "25"]) == 0
    assert main([*command, "--steps", "30", "--optimizer", other]) == 2

    found = losses(tmp_path / "run")
    assert found[25] < found[1] - 0.5
    assert f"--optimizer {other} cannot go on with a run that {optimizer} began" in (
        capsys.readouterr().err
    )


@pytest.mark.processes
def test_a_full_disk_leaves_the_last_checkpoint(
    tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = tmp_path / "run"
    command = arguments(tokens, run, "--save-every-s", "0", "--validate-every", "100")
    assert main([*command, "--steps", "2", "--decay-share", "0.5"]) == 0
    shutil.copy(run / STABLE, run / LAST)  # as if it had been stopped there
    before = {path.name: path.read_bytes() for path in run.glob("*.pt")}

    # no file may grow beyond 200 KiB: writing fails as it does on a full disk
    limited = ["bash", "-c", 'ulimit -f 200; exec "$0" "$@"', sys.executable, SCRIPT]
    done = subprocess.run(
        [*limited, *command, "--steps", "9"], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert done.returncode == 2, done.stderr
    assert f"error: {run / LAST}: cannot be saved" in done.stderr
    assert "is the disk full?" in done.stderr
    assert {path.name: path.read_bytes() for path in run.glob("*.pt")} == before
    assert not list(run.glob(".*partial*"))
    assert main([*command, "--steps", "9"]) == 0
    assert load_checkpoint(run / LAST).progress["step"] == 9


def test_bfloat16_learns_too(tokens: Path, tmp_path: Path):
    assert main([*arguments(tokens, tmp_path / "run", "--steps", "25"), "--precision", "bf16"]) == 0

    found = losses(tmp_path / "run")
    assert found[25] < found[1] - 0.5


@pytest.fixture
def model_folder(tmp_path: Path, uninterrupted: Path) -> Path:
    """Return the trained model as it is shipped."""
    folder = tmp_path / "model"
    export(uninterrupted / BEST, folder, data="dice", licence="CC0", quiet=True)
    return folder


@pytest.fixture
def starter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rehearse a set that is small enough for a test."""
    folder = write_chords(tmp_path / "starter")
    monkeypatch.setattr(run_data, "STARTER_SET", folder)
    return folder


def tuning(model: Path, run: Path, *more: str) -> list[str]:
    return [
        "--init", str(model), "--run", str(run), "--steps", "3", "--device", "cpu",
        "--precision", "fp32", "--batch", "2", *more,
    ]  # fmt: skip


@pytest.mark.processes
def test_a_shipped_model_is_tuned_while_the_starter_set_is_rehearsed(
    tmp_path: Path, model_folder: Path, starter: Path, capsys: pytest.CaptureFixture[str]
):
    midi, run = write_chords(tmp_path / "mine"), tmp_path / "run"

    assert main(tuning(model_folder, run, "--midi", str(midi))) == 0

    told = capsys.readouterr().out
    assert re.search(r"validation \d\.\d+  \(new pieces \d\.\d+, starter set \d\.\d+\)", told)
    assert f"export it:  python export/export_onnx.py {run / BEST} {run / 'model'}" in told
    assert f"play it:    python -m daemon --model {run / 'model'}" in told
    best = load_checkpoint(run / BEST).progress
    assert re.fullmatch(r"dice; then mine \(\d+ pieces, [\d,]+ tokens\)", best["data"])
    assert best["licence"] == "CC0"
    last_line = re.findall(r"step +3  validation .*", told)[0]
    together, new, rehearsed = map(float, re.findall(r"\d\.\d+", last_line))
    assert together == pytest.approx(0.5 * new + 0.5 * rehearsed, abs=2e-3)


@pytest.mark.processes
def test_tuning_goes_on_but_not_with_the_run_of_another_model(
    tmp_path: Path,
    model_folder: Path,
    tokens: Path,
    uninterrupted: Path,
    capsys: pytest.CaptureFixture[str],
):
    command = tuning(model_folder, tmp_path / "run", "--tokens", str(tokens), "--rehearsal", "0")
    assert main(command) == 0

    assert main([*command, "--steps", "4"]) == 0
    assert main([*command, "--steps", "5", "--init", str(uninterrupted)]) == 2

    assert f"did not begin with --init {uninterrupted}" in capsys.readouterr().err


@pytest.mark.processes
@pytest.mark.parametrize(("spoil", "named"), [
    (lambda folder: (folder / "checkpoint.pt").unlink(), "holds neither checkpoint.pt"),
    (lambda folder: (folder / "checkpoint.pt").write_bytes(b"?"), "not a readable checkpoint"),
    (lambda folder: make_checkpoint(folder / "checkpoint.pt"), "bytes instead of"),
])  # fmt: skip
def test_a_model_folder_without_good_weights_is_refused(
    tmp_path: Path,
    model_folder: Path,
    spoil: Callable[[Path], object],
    named: str,
    capsys: pytest.CaptureFixture[str],
):
    spoil(model_folder)

    assert main(tuning(model_folder, tmp_path / "run")) == 2

    assert named in capsys.readouterr().err


def test_weights_of_another_vocabulary_or_architecture_are_refused(
    tmp_path: Path, tokens: Path, capsys: pytest.CaptureFixture[str]
):
    other = make_checkpoint(tmp_path / "other.pt")
    content = torch.load(other, weights_only=True)
    torch.save(content | {"vocabulary": "0123456789abcdef"}, tmp_path / "foreign.pt")
    content["architecture"]["dim"] = 32
    torch.save(content, tmp_path / "torn.pt")
    more = ("--tokens", str(tokens), "--rehearsal", "0")

    assert main(tuning(tmp_path / "foreign.pt", tmp_path / "run", *more)) == 2
    assert main(tuning(tmp_path / "torn.pt", tmp_path / "run", *more)) == 2

    foreign, torn = capsys.readouterr().err.splitlines()
    assert "foreign.pt: made with vocabulary 0123456789abcdef" in foreign
    assert "torn.pt: its weights are not those of its architecture" in torn


def test_a_tuned_model_has_defaults_of_its_own():
    fresh, tuned = parse([]), parse(["--init", "models/small", "--midi", "recordings"])

    assert tuned.rate < fresh.rate
    assert (fresh.rehearsal, tuned.rehearsal) == (0.0, 0.5)
    assert fresh.run != tuned.run
    assert tuned.steps == TUNING_STEPS < DEFAULT_STEPS
    assert parse(["--init", "models/small"]).rehearsal == 0.0, "it is the starter set itself"
    assert parse(["--init", "models/small", "--minutes", "5"]).steps is None


def test_the_defaults_train_the_small_model_on_the_starter_set():
    options = parse([])

    assert options.midi == STARTER_SET
    assert (STARTER_SET / "MANIFEST.csv").exists()
    assert options.steps == DEFAULT_STEPS
    options.check(processes=1)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["--minutes", "-1"], "--minutes -1.0 must be above 0"),
        (["--steps", "0"], "--steps 0 must be above 0"),
        (["--batch", "0"], "--batch 0 must be above 0"),
        (["--micro-batch", "0"], "--micro-batch 0 must be above 0"),
        (["--context", "-5"], "--context -5 must be above 0"),
        (["--rate", "0"], "--rate 0.0 must be above 0"),
        (["--dropout", "1"], "--dropout 1.0 must lie in 0 <= dropout < 1"),
        (["--decay-share", "0"], "--decay-share 0.0 must lie in 0 < share <= 1"),
        (["--seed", "-1"], "--seed -1 must not be negative"),
        (["--tag-dropout", "2"], "--tag-dropout 2.0 must lie in 0 <= share <= 1"),
        (["--prefix-dropout", "1"], "--prefix-dropout 1.0 must lie in 0 <= dropout < 1"),
        (["--weight", "asap=-1"], "--weight asap=-1 must have factors of 0 or more"),
        (["--rehearsal", "1"], "--rehearsal 1.0 must lie in 0 <= share < 1"),
        (["--weight-decay", "-1"], "--weight-decay -1.0 must not be negative"),
        (["--average", "1"], "--average 1.0 must lie in 0 <= average < 1"),
        (["--transpose", "3", "-3"], "--transpose 3 -3 must be the lowest and the highest"),
        (["--stretch", "0.9"], "--stretch 0.9 must lie in 0 <= stretch <= 0.5"),
        (["--velocity-shift", "-2"], "--velocity-shift -2 must lie in 0 to 31 bins"),
        (["--carry", "-1"], "--carry -1 must not be negative"),
        (["--curriculum-steps", "0"], "--curriculum-steps 0 must be above 0"),
        (
            ["--segmentation", "curriculum", "--minutes", "1"],
            "--segmentation curriculum needs --curriculum-steps",
        ),
        (["--validate-every", "0"], "--validate-every 0 must be above 0"),
        (
            ["--init", "nothing.pt"],
            "--init nothing.pt is neither a checkpoint nor a folder with one",
        ),
        (["--tokens", "nowhere"], "nowhere: no index.json"),
        (["--midi", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(
    tmp_path: Path, wrong: list[str], named: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["--run", str(tmp_path / "run"), "--device", "cpu", *wrong]) == 2

    error = capsys.readouterr().err
    assert error.startswith(f"error: {named}")
    assert error.count("\n") == 1


def test_the_weight_of_an_unknown_data_set_is_refused(
    tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(arguments(tokens, tmp_path / "run", "--weight", "rolls=2")) == 2

    error = capsys.readouterr().err
    assert error == "error: --weight rolls=2: no data set of this name; there are midi\n"


def test_a_weight_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        parse(["--weight", "supra_rolls"])

    assert "'supra_rolls' is not DATASET=FACTOR, as in supra_rolls=0.25" in capsys.readouterr().err


def test_all_wrong_options_are_named_together(capsys: pytest.CaptureFixture[str]):
    assert main(["--steps", "0", "--dropout", "2"]) == 2

    error = capsys.readouterr().err
    assert "--steps 0" in error
    assert "--dropout 2.0" in error


def test_a_batch_that_processes_cannot_share_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("WORLD_SIZE", "3")

    assert main(["--batch", "4"]) == 2

    assert "--batch 4 must be a multiple of the 3 processes" in capsys.readouterr().err


def test_a_preset_that_the_run_does_not_have_is_refused(
    tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    other = make_checkpoint(tmp_path / "other.pt")

    assert main(arguments(tokens, tmp_path / "run", "--init", str(other))) == 2

    assert f"--preset tiny is not the model of {other}" in capsys.readouterr().err


def test_a_torn_line_and_what_lies_after_the_resumed_step_leave_the_curve(tmp_path: Path):
    curve = LearningCurve(tmp_path)
    curve.rewind(0)
    for step in (1, 2, 3):
        curve.append(Point(step, step * 100, 5.0 - step, None, 1.0))
    with (tmp_path / "learning_curve.csv").open("a") as file:
        file.write("4,40")

    curve.rewind(2)
    curve.append(Point(3, 300, 1.5, 1.25, 0.5))

    assert curve.read() == [
        Point(1, 100, 4.0, None, 1.0),
        Point(2, 200, 3.0, None, 1.0),
        Point(3, 300, 1.5, 1.25, 0.5),
    ]


def test_the_status_line_tells_mean_loss_speed_and_time_left():
    status = StatusLine(now_s=100.0, share_used=0.5)
    status.add(3.0, 1000)
    status.add(2.0, 3000)

    assert not status.due(109.0)
    assert status.due(110.0)
    line = status.line(step=12, tokens=2_500_000, share_used=0.75, now_s=110.0)

    assert line == "step     12  loss 2.500  400 tokens/s  2.50 M tokens  0:00:10 left"
    assert not status.due(200.0), "nothing to tell before the next step"
