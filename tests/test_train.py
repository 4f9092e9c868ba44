"""Training, on the smallest model and the shortest runs that show it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from perceivers.checkpoint import load_checkpoint
from tests.make_model import make_checkpoint
from tests.small_runs import SCRIPT, arguments, losses, one_core, prepare_chords, training
from training.command_line import DEFAULT_STEPS, STARTER_SET, parse
from training.learning_curve import LearningCurve, Point
from training.presets import PRESETS
from training.run_state import BEST, LAST, STABLE
from training.status_line import StatusLine
from training.train import main


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


@pytest.fixture(scope="module")
def uninterrupted(tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of forty steps, the last sixteen of them with a decaying rate."""
    run = tmp_path_factory.mktemp("run") / "whole"
    more = ("--steps", "40", "--validate-every", "20", "--decay-share", "0.4")
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
    assert best.architecture == PRESETS["tiny"]
    assert best.progress["best_validation_nll"] == pytest.approx(min(validation))
    assert best.resume == {}, "a checkpoint to be played carries no optimiser"
    assert load_checkpoint(uninterrupted / LAST).progress["decay"] == 1.0
    assert load_checkpoint(uninterrupted / STABLE).progress["step"] == 25  # the first of the decay
    assert (uninterrupted / "learning_curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("killed_at", [10, 30])  # in the stable part and inside the decay
def test_a_run_that_was_killed_goes_on_exactly(
    tokens: Path,
    tmp_path: Path,
    uninterrupted: Path,
    killed_at: int,
    capsys: pytest.CaptureFixture[str],
):
    run = tmp_path / "run"
    command = arguments(tokens, run, "--steps", "40", "--decay-share", "0.4", "--save-every-s", "0")
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


def test_two_processes_learn_what_one_learns(tokens: Path, tmp_path: Path):
    more = ("--steps", "6", "--dropout", "0")
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
    command = arguments(tokens, tmp_path / "run", "--minutes", "0.01")

    assert main(command) == 0
    first = load_checkpoint(tmp_path / "run" / LAST).progress
    stable = load_checkpoint(tmp_path / "run" / STABLE).progress
    assert main(command) == 0
    second = load_checkpoint(tmp_path / "run" / LAST).progress

    assert first["decay"] == second["decay"] == 1.0
    assert stable["step"] < first["step"]
    assert second["step"] > stable["step"]
    assert f"going on at step {stable['step']}" in capsys.readouterr().out


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


def test_a_run_may_start_from_another_model(
    tokens: Path, tmp_path: Path, uninterrupted: Path, capsys: pytest.CaptureFixture[str]
):
    more = ("--steps", "1", "--init", str(uninterrupted / BEST), "--rehearsal", "0")

    assert main(arguments(tokens, tmp_path / "run", *more)) == 0

    curve = LearningCurve(tmp_path / "run").read()
    best = load_checkpoint(uninterrupted / BEST).progress["best_validation_nll"]
    assert curve[0].validation_nll == pytest.approx(best, abs=1e-3)
    assert "starting at step 0" in capsys.readouterr().out


def test_bfloat16_learns_too(tokens: Path, tmp_path: Path):
    assert main([*arguments(tokens, tmp_path / "run", "--steps", "25"), "--precision", "bf16"]) == 0

    found = losses(tmp_path / "run")
    assert found[25] < found[1] - 0.5


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
