"""The experiments: what is compared is comparable, and a set of runs is never lost or mixed."""

import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

from perceivers.attention import band_mask
from perceivers.errors import PerformerError
from perceivers.events import NoteOff, NoteOn, TimedEvent
from perceivers.midi_files import Track, write_performance
from training.ablate import main, parse, wish_of
from training.ablation.comparison import Comparison
from training.ablation.compute import crop_flop
from training.ablation.experiments import Arm, decoder_window, experiments
from training.ablation.plan import make_plan
from training.ablation.results import Cost, Result, read_result, read_results, write_result
from training.ablation.runner import Place, locked, training_arguments
from training.ablation.scoring import (
    BUCKET_NAMES,
    PieceScore,
    ScoringPlan,
    SpanSampling,
    bucket_tokens,
)
from training.ablation.settings import Campaign, Run, planned_runs
from training.ablation.sizes import SIZES
from training.ablation.tables import document
from training.data.preparation import prepare
from training.data.segmentation import Crop
from training.evaluation.likelihood.blocks import block_ends
from training.models.presets import parameters_of, with_combination
from training.run.command_line import parse as parse_training

pytestmark = pytest.mark.slow

QUICK = SIZES["quick"].reference


def campaign(size: str = "quick", tokens_per_run: int = 1024) -> Campaign:
    chosen = SIZES[size]
    return Campaign(
        size=size,
        reference=chosen.reference,
        tokens_per_run=tokens_per_run,
        tokens_per_step=chosen.tokens_per_step,
        tokens_at_once=chosen.tokens_at_once,
        scored_tokens=chosen.scored_tokens,
        data="0123",
        scored_datasets=("asap",),
        precision="fp32",
        recipe=chosen.recipe,
    )


@pytest.mark.parametrize("size", sorted(SIZES))
def test_all_arms_have_the_same_parameters_tokens_and_data(size: str):
    reference = SIZES[size].reference
    runs = planned_runs(campaign(size), (), 1)

    for run in runs:
        assert parameters_of(run.arm.architecture) == pytest.approx(
            parameters_of(reference), rel=0.03
        ), run.arm.name
        tokens_of_a_step = run.batch * run.arm.architecture.latents
        assert tokens_of_a_step == SIZES[size].tokens_per_step, run.arm.name
        assert run.batch % run.micro_batch == 0
    assert len(runs) == (32 if SIZES[size].arms is None else 1 + len(SIZES[size].arms))


def test_at_base_size_the_numbers_are_those_of_the_paper():
    base = SIZES["base"].reference
    arms = {found.key: [arm.architecture for arm in found.arms] for found in experiments(base)}

    assert {a.scales for a in arms["scales"]} == {
        (None,), (None, 512), (None, 1024), (None, 2048), (None, 8192, 1024),
    }  # fmt: skip
    assert {a.windows[:1] + a.windows[-1:] for a in arms["bands"]} == {
        (32, 256), (64, 64), (128, 128), (256, 256), (None, None),
    }  # fmt: skip
    assert {a.combine for a in arms["combine"]} == {"cascade", "sum", "concat", "mlp"}


@pytest.mark.parametrize("size", sorted(SIZES))
def test_what_is_said_to_stream_exactly_does(size: str):
    for experiment in experiments(SIZES[size].reference):
        for arm in experiment.arms:
            is_full = None in arm.architecture.windows
            assert arm.architecture.streams_exactly != is_full, arm.name


@pytest.mark.parametrize("size", sorted(SIZES))
def test_the_plain_decoder_costs_about_what_the_model_costs(size: str):
    reference = SIZES[size].reference
    arms = experiments(reference)[0].arms
    window = decoder_window(reference)
    whole = Crop(0, reference.context - reference.latents, reference.context)

    ours = crop_flop(reference, whole) / reference.latents
    decoder = crop_flop(arms[-1].architecture, Crop(0, 0, window)) / window

    assert 0.6 < decoder / ours < 1.4  # measured 0.83 … 0.98


def test_an_arm_that_experiments_share_is_run_once_and_first_seeds_come_first():
    runs = planned_runs(campaign(), (), 2)

    assert len({run.name for run in runs}) == len(runs) == 64
    assert [run.seed for run in runs] == [0] * 32 + [1] * 32
    assert [run.arm.name for run in planned_runs(campaign(), ("segmentation",), 1)] == [
        "Effective Segmentation, end clipped",
        "end not clipped",
        "start at random",
        "curriculum of contexts",
    ]


@pytest.mark.parametrize("size", SIZES)
def test_what_several_experiments_try_has_one_name_in_all_of_them(size: str):
    runs = planned_runs(campaign(size), (), 1)
    tried = [(run.arm.architecture, tuple(sorted(run.arm.training.items()))) for run in runs]

    assert len(set(tried)) == len(runs)


def test_a_size_may_have_few_arms_and_runs_them_in_its_own_order():
    arms = SIZES["small"].arms
    runs = planned_runs(campaign("small"), (), 1)

    assert arms is not None
    assert runs[0].arm.architecture == SIZES["small"].reference
    assert [run.arm.name for run in runs[1:]] == list(arms)
    assert {run.arm.name for run in planned_runs(campaign("small"), ("combine",), 1)} == {
        "cascade", "sum", "MLP on both",
    }  # fmt: skip


def test_the_name_of_a_run_says_the_arm_and_the_same_for_all_words_for_the_reference():
    few_latents = Arm("N = 512, M = 4,096", replace(QUICK, latents=16))
    shown = Run(campaign(), few_latents, 1).name
    reference = Run(campaign(), Arm("cascade", SIZES["quick"].reference), 0)

    assert re.fullmatch("quick-n-512-m-4096-[0-9a-f]{6}-seed1", shown)
    assert re.fullmatch("quick-reference-[0-9a-f]{6}-seed0", reference.name)
    assert replace(reference, arm=replace(reference.arm, name="PerceiverS")).name == reference.name


def test_every_setting_is_in_the_name_of_the_run():
    run = Run(campaign(), Arm("one", QUICK), 0)
    others = [
        replace(run, seed=1),
        replace(run, arm=Arm("one", replace(QUICK, context=128))),
        replace(run, arm=Arm("one", QUICK, {"segmentation": "curriculum"})),
        *(
            replace(run, campaign=replace(run.campaign, **change))
            for change in (
                {"tokens_per_run": 2048}, {"tokens_per_step": 1024}, {"data": "4567"},
                {"scored_datasets": ()}, {"precision": "bf16"}, {"recipe": {}}, {"protocol": 0},
                {"scored_tokens": 1}, {"reference": replace(QUICK, rope_base=1e4)},
            )
        ),
    ]  # fmt: skip

    assert len({run.name, *(other.name for other in others)}) == 1 + len(others)


def test_every_run_is_a_command_that_training_takes(tmp_path: Path):
    place = Place(tmp_path / "runs", tmp_path / "results", tmp_path / "tokens", "cpu")

    for size in SIZES:
        for run in planned_runs(campaign(size), (), 1):
            options = parse_training(training_arguments(place, run))
            options.check(processes=1)
            assert options.segmentation == run.arm.training.get("segmentation", "effective")
            assert options.steps == run.campaign.steps


# --- scoring ---


def scored_positions(length: int, latents: int, sampling: SpanSampling) -> list[int]:
    ends = block_ends(length, latents)
    blocks = zip([0, *ends[:-1]], ends, strict=True)
    return [
        position
        for number, (start, end) in enumerate(blocks)
        if sampling.takes(number)
        for position in range(start, end)
    ]


@pytest.mark.parametrize("length", [2, 31, 33, 64, 128, 129, 500, 1333])
def test_models_of_any_n_are_scored_on_the_same_tokens(length: int):
    plan = ScoringPlan(span=128, every_opening=2, every=3)

    for piece in range(6):
        scored = [
            scored_positions(length, latents, plan.sampling(piece, latents))
            for latents in (16, 32, 64, 128)
        ]
        assert scored[0] == scored[1] == scored[2] == scored[3]


def test_a_plan_scores_about_what_it_is_asked_for_half_of_it_openings():
    lengths = [int(n) for n in np.random.default_rng(0).integers(500, 40_000, 200)]
    plan = ScoringPlan.of(lengths, reference_latents=256, tokens=160_000)

    scored = [
        position
        for piece, length in enumerate(lengths)
        for position in scored_positions(length, 256, plan.sampling(piece, 256))
    ]

    openings = sum(position < plan.span for position in scored)
    assert 120_000 < len(scored) < 220_000
    assert 0.35 < openings / len(scored) < 0.65


def test_ranges_of_contexts_hold_every_token_but_the_first():
    assert bucket_tokens([600]) == (511, 88, 0, 0, 0)
    assert sum(bucket_tokens([2, 5000, 70_000])) == 1 + 4999 + 69_999


def test_the_formula_of_compute_counts_what_the_masks_let_through():
    crop = Crop(100, 250, 282)  # 150 tokens of prefix, 32 latents
    architecture = replace(QUICK, windows=(4, 16, None), carried=0)
    cpu = torch.device("cpu")
    pairs = sum(
        int(band_mask(32, keys, window, cpu).sum())
        for keys, window in ((182, 256), (182, 32), (32, 4), (32, 16), (32, 32))
    )
    weights = 2 * (2 * 32**2 + 2 * 32 * 96) + 3 * (4 * 32**2 + 2 * 32 * 96)
    head = 32 * architecture.vocabulary_size

    assert crop_flop(architecture, crop) == 3 * (2 * 32 * (weights + head) + 4 * 32 * pairs)


# --- comparing ---


def result(
    nats_per_token: float, arm: Arm | None = None, seed: int = 0, noise: float = 0.0
) -> Result:
    """Return a result in which pieces differ much more than arms do."""
    music, weights = np.random.default_rng(0), np.random.default_rng(seed + 1)
    pieces = []
    difficulties = music.normal(0, 0.5, 40)
    for own in difficulties - difficulties.mean():
        tokens = (500, 500, 2000, 0, 0)
        nats = [(nats_per_token + own + weights.normal(0, noise)) * n for n in tokens]
        pieces.append(PieceScore(tuple(nats), tokens))
    cost = Cost(76_992, 1024, 2e12, 10.0, 8.0, 2.0, "CPU", 1)
    run = Run(campaign(), arm or Arm("PerceiverS", QUICK), seed)
    return Result(run, cost, (4000, 4000, 92_000, 0, 0), tuple(pieces))


OTHER = Arm("other", replace(QUICK, combine="sum"))


def test_a_paired_difference_is_far_surer_than_the_figures_that_it_is_of():
    reference, other = result(3.0), result(3.02, OTHER, noise=0.01)
    comparison = Comparison([reference, other])

    mean = comparison.mean([other]).overall
    difference = comparison.difference([other], [reference]).overall

    assert mean.high - mean.low > 0.1
    assert 0.0 < difference.low < difference.value < difference.high < 0.04
    assert difference.value == pytest.approx(0.02, abs=0.005)


def test_each_range_of_contexts_counts_by_its_share_of_all_tokens():
    pieces = (PieceScore((500.0, 1000.0, 6000.0, 0.0, 0.0), (500, 500, 2000, 0, 0)),) * 3
    found = replace(result(3.0), pieces=pieces)

    figures = Comparison([found]).mean([found])

    values = [interval.value for interval in figures.by_context]
    assert values[:3] == [1.0, 2.0, 3.0]
    assert np.isnan(values[3:]).all()
    assert figures.overall.value == pytest.approx(0.04 * 1 + 0.04 * 2 + 0.92 * 3)


def test_differences_are_taken_over_the_seeds_that_both_have():
    references = [result(3.0, seed=0), result(3.5, seed=1)]
    others = [result(3.1, OTHER, seed=1), result(9.0, OTHER, seed=2)]
    comparison = Comparison([*references, *others])

    assert comparison.difference(others, references).overall.value == pytest.approx(-0.4)
    assert comparison.difference_by_seed(others, references) == pytest.approx([-0.4])


def test_results_of_other_tokens_are_not_compared():
    short = replace(result(3.0, OTHER), pieces=result(3.0).pieces[:-1])

    with pytest.raises(PerformerError, match="scored on other tokens"):
        Comparison([result(3.0), short])


def test_a_result_comes_back_from_the_disk_as_it_was(tmp_path: Path):
    found = result(3.0, OTHER)

    write_result(tmp_path, found)

    (again,) = read_results(tmp_path)
    assert (again.run, again.cost) == (found.run, found.cost)
    assert again.bucket_tokens == found.bucket_tokens
    for ours, theirs in zip(again.pieces, found.pieces, strict=True):
        assert ours.tokens == theirs.tokens
        assert ours.nats == pytest.approx(theirs.nats, abs=1e-3)


@pytest.mark.parametrize("content", ["", "{}", '{"format": 99}', "[1, 2]"])
def test_a_file_that_is_no_result_is_named(tmp_path: Path, content: str):
    path = tmp_path / "wrong.json"
    path.write_text(content)

    with pytest.raises(PerformerError, match=r"wrong.json: not a result"):
        read_result(path)


def test_tables_hold_every_arm_also_those_that_are_not_run():
    text = document([result(3.0), result(3.25, OTHER), result(3.0, seed=1)])

    assert "| cascade | 3.0" in text
    assert "| sum | 3.2" in text
    assert "| +0.250 (+0.250 … +0.250) | +0.250 |" in text
    assert "| MLP on both | not run yet |" in text
    assert "| 76,992 | 1,024 | 2 | 8 |" in text
    assert "2 seeds" in text
    assert all(name in text for name in BUCKET_NAMES)


def test_differences_are_to_the_first_arm_that_was_run():
    mlp = Arm("MLP on both", with_combination(QUICK, "mlp"))
    text = document([result(3.0, OTHER), result(3.25, mlp)])

    assert "| cascade | not run yet |" in text
    assert re.search(r"\| sum \| 3\.0\d\d \| — \| 1 seed \|", text)
    assert re.search(r"\| MLP on both \| 3\.2\d\d \| \+0\.250 ", text)


def test_a_size_trained_for_longer_has_tables_of_its_own_and_the_reference_says_its_size():
    usual = SIZES["quick"].tokens_per_run
    mlp = result(3.0, Arm("MLP on both", replace(QUICK, combine="mlp")))
    larger = replace(mlp, cost=replace(mlp.cost, parameters=99_000))
    found = [
        replace(shown, run=replace(shown.run, campaign=campaign(tokens_per_run=tokens)))
        for tokens in (usual, 3 * usual)
        for shown in (larger, result(3.0))
    ]

    first, second = document(found).split("## `--preset quick")[1:]

    assert first.startswith("`\n\nReference: 0.08 M parameters")
    assert second.startswith(f" --tokens-per-run {3 * usual}`\n\nReference: 0.08 M parameters")


# --- the command ---


@pytest.fixture(autouse=True)
def _one_core() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for seed in range(12):
        rng = np.random.default_rng(seed)
        events = []
        for i, pitch in enumerate(rng.integers(40, 90, 150)):
            events.append(TimedEvent(i * 0.2, NoteOn(int(pitch), 64)))
            events.append(TimedEvent(i * 0.2 + 0.15, NoteOff(int(pitch))))
        write_performance(folder / f"midi/{seed}.mid", [Track("piano", 0, tuple(events))])
    prepare(folder / "midi", folder / "tokens", workers=1, quiet=True)
    return folder / "tokens"


def arguments(tokens: Path, out: Path, *more: str) -> list[str]:
    return [
        "--preset", "quick", "--tokens", str(tokens), "--out", str(out), "--only", "combine",
        "--device", "cpu", "--precision", "fp32", "--processes", "1", "--tokens-per-run", "1024",
        *more,
    ]  # fmt: skip


def test_a_set_of_runs_leaves_results_and_tables_and_is_not_run_again(
    tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(arguments(tokens, tmp_path)) == 0
    first = capsys.readouterr().out
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").iterdir()}
    assert main(arguments(tokens, tmp_path)) == 0
    second = capsys.readouterr().out

    assert "4 runs, 4 of them left, about 0:" in first
    assert "4 runs, 0 of them left, about 0:00:00" in second
    assert len(written) == 4
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "results").iterdir()} == written
    assert "| MLP on both | 5.9" in (tmp_path / "results.md").read_text()  # 4 steps: a guess
    assert not list((tmp_path / "runs").rglob("*.pt")), "checkpoints go when the result is there"
    for found in read_results(tmp_path / "results"):
        assert found.cost.tokens == pytest.approx(1024, rel=0.02)
        assert found.cost.flop > 0


def test_a_run_that_was_stopped_goes_on(
    tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    command = [*arguments(tokens, tmp_path, "--seeds", "1"), "--tokens-per-run", "20480"]
    stopper = threading.Thread(target=stop_when_begun, args=(tmp_path / "runs",))

    stopper.start()
    assert main(command) == 130
    stopper.join()
    assert capsys.readouterr().err == "stopped; the same command goes on from here\n"
    assert list((tmp_path / "results").glob("*.json")) == []
    runs = make_plan(wish_of(parse(command))).runs
    left_alone = [held_by_another(tmp_path, tokens, run) for run in runs[1:]]
    for holder in left_alone:
        holder.__enter__()
    assert main(command) == 0
    for holder in left_alone:
        holder.__exit__(None, None, None)

    log = (tmp_path / "training-1.log").read_text()
    assert "starting at step 0" in log
    assert "stopped; the same command goes on" in log
    assert log.count("going on at step") == 1
    (found,) = read_results(tmp_path / "results")  # the others were held by somebody else
    assert found.run.name == runs[0].name


def held_by_another(out: Path, tokens: Path, run: Run):
    return locked(Place(out / "runs", out / "results", tokens, "cpu"), run)


def stop_when_begun(runs: Path) -> None:
    """Ask this process to stop as soon as a run has done a few steps."""
    while not any(len(curve.read_text().splitlines()) > 5 for curve in runs.rglob("*.csv")):
        time.sleep(0.01)
    signal.raise_signal(signal.SIGTERM)


@pytest.mark.processes
def test_two_processes_share_the_work(tokens: Path, tmp_path: Path):
    assert main([*arguments(tokens, tmp_path), "--processes", "2"]) == 0

    assert len(read_results(tmp_path / "results")) == 4


def test_listing_and_tables_need_no_data(
    tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_result(tmp_path / "results", result(3.0))

    assert main(["--list", "--preset", "base"]) == 0
    assert main(["--results", str(tmp_path / "results"), "--table", str(tmp_path / "t.md")]) == 0

    said = capsys.readouterr().out
    assert "256, with carried keys" in said
    assert "--segmentation random-start" in said
    assert "| cascade | 3.0" in (tmp_path / "t.md").read_text()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["--only", "scale"], "--only scale: not among baselines, segmentation, scales"),
        (["--seeds", "0"], "--seeds 0 must be at least 1"),
        (["--tokens-per-run", "0"], "--tokens-per-run 0 must be at least 1"),
    ],
)
def test_a_wrong_option_is_named(wrong: list[str], named: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(wrong)

    assert named in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["--tokens", "nowhere"], "error: nowhere: no index.json"),
        (["--midi", "nowhere"], "error: nowhere: no such folder"),
        (["--table", "t.md", "--results", "nowhere"], "error: nowhere: no results"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(
    tmp_path: Path, wrong: list[str], named: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["--quick", "--out", str(tmp_path / "out"), *wrong]) == 2

    error = capsys.readouterr().err
    assert error.startswith(named)
    assert error.count("\n") == 1


def test_a_data_set_without_validation_pieces_is_refused_before_anything_is_trained(
    tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*arguments(tokens, tmp_path), "--datasets", "asap"]) == 2

    assert "no piece of asap in the split 'validation' to score" in capsys.readouterr().err
