"""Results as Markdown: two tables for each experiment, and what a person read in them."""

from collections.abc import Sequence

import numpy as np

from training.ablation.comparison import Comparison, Figures, Interval
from training.ablation.experiments import Arm, Experiment, experiments
from training.ablation.readings import READINGS
from training.ablation.results import Cost, Result
from training.ablation.scoring import BUCKET_NAMES
from training.ablation.settings import Campaign
from training.ablation.sizes import SIZES
from training.models.presets import parameters_of

HEAD = """# The paper's experiments

Made by `python training/ablate.py --results docs/ablations --table docs/results.md` of the
results in `docs/ablations/`; the sentences under *Reading* are a person's
(`training/ablation/readings.py`).

Within a table, all arms have the same data, the same number of tokens and, to within 3 %, the same
number of parameters. Figures are nats per token on unseen pieces, lower is better, by the block
protocol of `training/evaluate.py`. Half of the scored tokens are openings; every range of contexts
counts by its share of all tokens. *Difference* is to the first arm that was run, on the same tokens
of the same pieces, with a 95 % bootstrap interval over pieces; the differences of the single seeds
stand beside it. A difference means something if its interval leaves out 0 **and** all seeds agree.
Compute is that of training, by formula (`training/ablation/compute.py`); seconds are those of
training: processor time on a CPU, whatever else the machine did, and time by the clock on a GPU.

`--preset base` asks the questions at the paper's lengths, and needs a GPU. `--preset proxy` asks
them on a CPU of a model with a twenty-fifth of the parameters, a quarter of N and an eighth of M,
and all other lengths in proportion: its short scales of 128, 256 and 512 tokens stand for 512,
1,024 and 2,048. It sees a thirtieth of an epoch. What it says of long contexts is a hint at most.
`--preset small` asks what decides the form of the shipped model, of that model itself with 4,096
tokens of context, a quarter of an epoch long; only the arms that matter for it are run. With
`--tokens-per-run 15728640` two of them go on to three quarters of an epoch. Tables of the same
preset with more tokens ask again what a short run may have answered wrongly.
"""
ABSENT = "—"
NOT_RUN = "not run yet"
OVERALL_HEAD = (
    "arm",
    "nats/token",
    "difference",
    "of each seed",
    "parameters",
    "tokens",
    "TFLOP",
    "seconds",
)
CONTEXT_HEAD = ("context, in tokens", *BUCKET_NAMES)


def document(results: Sequence[Result]) -> str:
    """Return all tables, those of one campaign together."""
    campaigns: list[Campaign] = []
    for result in results:
        if result.run.campaign not in campaigns:
            campaigns.append(result.run.campaign)
    campaigns.sort(key=lambda found: (found.reference.dim, found.tokens_per_run))
    sections = [
        _campaign_section([found for found in results if found.run.campaign == campaign])
        for campaign in campaigns
    ]
    return "\n".join([HEAD, *sections])


def _campaign_section(results: Sequence[Result]) -> str:
    campaign = results[0].run.campaign
    comparison = Comparison(results)
    found = [
        (experiment, [_results_of(arm, results) for arm in experiment.arms])
        for experiment in experiments(campaign.reference, SIZES[campaign.size].arms)
    ]
    tried = [each for each in found if any(each[1][1:])]  # something beside the reference
    begun = [each for each in found if any(each[1])]
    sections = [
        _experiment_section(experiment, of_arms, comparison, campaign)
        for experiment, of_arms in tried or begun
    ]
    return "\n".join([_campaign_head(results), *sections])


def _campaign_head(results: Sequence[Result]) -> str:
    campaign = results[0].run.campaign
    reference = campaign.reference
    pieces = results[0].pieces
    scored = sum(sum(piece.tokens) for piece in pieces)
    devices = ", ".join(sorted({result.cost.device for result in results}))
    hours = sum(result.cost.train_s + result.cost.score_s for result in results) / 3600
    datasets = " + ".join(campaign.scored_datasets) or "all data sets"
    return (
        f"## `--preset {campaign.preset_words}`\n\n"
        f"Reference: {parameters_of(reference) / 1e6:.2f} M parameters, width {reference.dim}, "
        f"N = {reference.latents:,}, M = {reference.context:,}, scales "
        f"{_lengths(reference.cross_windows)}, self-attention windows "
        f"{_lengths(reference.self_windows)}. {campaign.steps:,} steps of "
        f"{campaign.tokens_per_step:,} tokens. Scored: {scored:,} tokens of {len(pieces)} "
        f"validation pieces ({datasets}). {len(results)} run{'s' * (len(results) > 1)}, "
        f"{hours:.1f} hours by the clock on {devices}. Data {campaign.data}, protocol "
        f"{campaign.protocol}.\n"
    )


def _lengths(lengths: Sequence[int]) -> str:
    return ", ".join(f"{length:,}" for length in lengths)


def _results_of(arm: Arm, results: Sequence[Result]) -> list[Result]:
    found = [
        result
        for result in results
        if result.run.arm.architecture == arm.architecture
        and result.run.arm.training == arm.training
    ]
    return sorted(found, key=lambda result: result.run.seed)


def _experiment_section(
    experiment: Experiment,
    found: Sequence[list[Result]],
    comparison: Comparison,
    campaign: Campaign,
) -> str:
    rows = list(zip(experiment.arms, found, strict=True))
    reference = next(results for results in found if results)
    overall = [_overall_row(arm, results, reference, comparison) for arm, results in rows]
    contexts = [_context_row(arm, results, reference, comparison) for arm, results in rows]
    reading = READINGS.get((campaign.preset_words, experiment.key), "none yet.")
    return (
        f"### {experiment.title}\n\n{experiment.question}\n\n"
        f"{_table(OVERALL_HEAD, overall)}\n"
        "By how many tokens of the piece lie before the predicted one (the first arm's nats per "
        f"token, then differences to it):\n\n{_table(CONTEXT_HEAD, contexts)}\n"
        f"*Reading:* {reading}\n"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _overall_row(
    arm: Arm, results: list[Result], reference: list[Result], comparison: Comparison
) -> list[str]:
    if not results:
        return [arm.name, NOT_RUN, *[ABSENT] * 6]
    difference, by_seed = ABSENT, ABSENT
    if results is not reference:
        seeds = comparison.difference_by_seed(results, reference)
        if len(seeds):
            difference = _shown(comparison.difference(results, reference).overall)
            by_seed = ", ".join(_signed(value) for value in seeds)
    else:
        by_seed = f"{len(results)} seed" + "s" * (len(results) > 1)
    cost = [result.cost for result in results]
    return [
        arm.name,
        f"{comparison.mean(results).overall.value:.3f}",
        difference,
        by_seed,
        f"{cost[0].parameters:,}",
        f"{np.mean([c.tokens for c in cost]):,.0f}",
        _tera(float(np.mean([c.flop for c in cost]))),
        f"{np.mean([_seconds(c) for c in cost]):,.0f}",
    ]


def _context_row(
    arm: Arm, results: list[Result], reference: list[Result], comparison: Comparison
) -> list[str]:
    if not results:
        return [arm.name, *[ABSENT] * len(BUCKET_NAMES)]
    if results is reference:
        return [arm.name, *_means(comparison.mean(results))]
    if not len(comparison.difference_by_seed(results, reference)):
        return [arm.name, *[ABSENT] * len(BUCKET_NAMES)]
    found = comparison.difference(results, reference)
    return [arm.name, *(_shown(interval) for interval in found.by_context)]


def _means(figures: Figures) -> list[str]:
    return [
        f"{found.value:.3f}" if np.isfinite(found.value) else ABSENT for found in figures.by_context
    ]


def _shown(interval: Interval) -> str:
    if not np.isfinite(interval.value):
        return ABSENT
    if not np.isfinite(interval.low):
        return _signed(interval.value)
    return f"{_signed(interval.value)} ({_signed(interval.low)} … {_signed(interval.high)})"


def _seconds(cost: Cost) -> float:
    return cost.train_cpu_s if cost.device == "CPU" else cost.train_s


def _tera(flop: float) -> str:
    return f"{flop / 1e12:,.0f}" if flop >= 1e14 else f"{flop / 1e12:.3g}"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
