"""The sections of a report: figures as they come from the parts, in words, tables and charts."""

from collections.abc import Mapping, Sequence
from typing import Any

from training.evaluation.report.charts import Mark, Row, dot_chart
from training.evaluation.report.page_parts import (
    Figures,
    chart,
    mark_of,
    number,
    paragraph,
    percent,
    section,
    table,
    told,
    words,
)


def likelihood(found: Figures) -> str:
    """Tell the negative log-likelihood: in all, by context and by kind of token."""
    by_context, by_kind = found["nats_per_token_by_context"], found["nats_per_token_by_kind"]
    whole = [
        [words(name), told(found[name])]
        for name in ("nats_per_token", "bits_per_note", "bits_per_second")
    ]
    whole += [
        [f"{words(name)}, never what the grammar forbids", told(figure)]
        for name, figure in (found.get("under_grammar") or {}).items()
    ]
    contexts = [
        [name, told(part), number(part["tokens"]), number(part["pieces"])]
        for name, part in by_context.items()
    ]
    kinds = [
        [words(name), told(part), f"{part['share_of_tokens']:.1%}", f"{part['share_of_nats']:.1%}"]
        for name, part in by_kind.items()
    ]
    return section(
        "Likelihood",
        paragraph(
            f"What {number(found['tokens'])} tokens of {number(found['pieces'])} pieces cost, each "
            "scored once given what came before; lower is better. Nats per token compare models "
            "of one vocabulary only. Intervals: 95 %, bootstrap over pieces."
        ),
        table(["", "value (interval)"], whole),
        chart(
            dot_chart(
                [Row(f"after {name} tokens", (mark_of(x),)) for name, x in by_context.items()],
                "nats per token, by the tokens of the piece before the predicted one",
            )
        ),
        table(["tokens before", "nats per token", "tokens", "pieces"], contexts),
        chart(
            dot_chart(
                [Row(words(name), (mark_of(x),)) for name, x in by_kind.items()],
                "nats per token, by kind of token",
            )
        ),
        table(["kind", "nats per token", "share of tokens", "share of nats"], kinds),
    )


DRAWN_METRICS = (
    ("overlap_area", "Overlap of the distributions of distances: 1 is best.", 1.0, (0.0, 1.0)),
    ("jensen_shannon", "Jensen-Shannon divergence in bits: 0 is best.", 0.0, None),
)
METRIC_NOTES = {
    "overlap_area": ": 1 is best",
    "jensen_shannon": " in bits: 0 is best",
    "wasserstein_1": " in units of the feature: 0 is best",
    "energy_distance": ": 0 is best",
}


def distributions(found: Figures) -> str:
    """Tell the distances of each feature, with the floor: pianists against pianists."""
    charts = [
        chart(
            dot_chart(
                [
                    Row(
                        words(feature),
                        (
                            Mark(figures[metric]["at_half"]),
                            Mark(figures[metric]["floor"], series=1),
                        ),
                        (figures[metric]["floor_low"], figures[metric]["floor_high"]),
                    )
                    for feature, figures in found.items()
                ],
                words(metric),
                ("model, half of the pieces", "pianists against pianists, halves"),
                goal,
                bounds,
            ),
            f"{explained} Grey: where 95 % of random halves of the pianists' pieces lie. A model "
            "whose dot lies in the grey is not told from a pianist by this feature.",
        )
        for metric, explained, goal, bounds in DRAWN_METRICS
    ]
    return section(
        "Distributions of features",
        paragraph(
            "For each feature of an excerpt, the distances within the model's excerpts and within "
            "the pianists' are compared with those between the two; the worse comparison counts. "
            "Fewer excerpts look worse whoever plays, so that only halves may be set beside the "
            "floor, which is halves too; the value of all excerpts has the interval. Last column: "
            "in how many of the halves the model does worse than the pianists, 50 % if alike."
        ),
        *charts,
        *(_metric_table(found, metric) for metric in next(iter(found.values()))),
    )


def _metric_table(found: Figures, metric: str) -> str:
    rows = [
        [
            words(feature),
            told(figures[metric]),
            number(figures[metric]["at_half"]),
            f"{figures[metric]['floor']:.3f} "
            f"({figures[metric]['floor_low']:.3f} … {figures[metric]['floor_high']:.3f})",
            percent(figures[metric].get("worse_than_floor")),
        ]
        for feature, figures in found.items()
    ]
    head = ["feature", "all excerpts", "halves", "floor: pianists, halves", "worse"]
    return table(head, rows, words(metric) + METRIC_NOTES.get(metric, ""))


def mgeval(found: Figures) -> str:
    """Tell the figures that may stand beside published ones, faults included."""
    rows = [
        [
            words(feature),
            *(
                number(sides[side][figure])
                for side in ("model", "human")
                for figure in ("kld", "oa")
            ),
        ]
        for feature, sides in found.items()
    ]
    head = ["feature", "KLD, model", "OA, model", "KLD, pianists", "OA, pianists"]
    return section(
        "mgeval-compatible column",
        paragraph(
            "By the formulas of a toolbox that many papers use, its faults included (a divergence "
            "that does not see a shift, an overlap that is below 1 for equal sets, no floor): to "
            "stand beside published figures, and for nothing else. Distances within the model's "
            "set, and within the pianists', each against those between the two."
        ),
        table(head, rows),
    )


def settings(asked: Figures, seconds: Mapping[str, float]) -> str:
    """Tell what was asked for, and how long each part took."""
    rows = [[words(name), _plain(value)] for name, value in asked.items()]
    took = [[words(stage), f"{spent:,.1f}"] for stage, spent in seconds.items()]
    return section(
        "Settings",
        table(["setting", "value"], rows),
        table(["part", "seconds"], took) if took else "",
    )


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_plain, value)) or "none"
    return "none" if value is None else str(value)
