"""The sections that set a model's continuations beside the pianists' after the same primers."""

from collections.abc import Mapping

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


def two_sample(found: Figures) -> str:
    """Tell how well the classifiers do, and how well they do where nothing can be found."""
    tested, control = found["model_against_human"], found["human_against_human"]
    rows = [
        [
            words(name) + (", the stronger" if name == found["headline"] else ""),
            told(tested[name]["auc"]),
            told(tested[name]["told_apart_side_by_side"]),
            told(control[name]["auc"]),
        ]
        for name in tested
    ]
    drawn = [
        Row(words(name), (mark_of(tested[name]["auc"]), mark_of(control[name]["auc"], 1)))
        for name in tested
    ]
    return section(
        "Can it be told from a pianist?",
        paragraph(
            f"Classifiers learn from some pieces to tell the model's continuations from the "
            f"pianists' own, given the same primer, and are asked about others: "
            f"{number(found['pairs'])} pairs of {number(found['pieces'])} pieces, "
            f"{number(found['notes'])} notes each. AUC is the chance that the model's one is "
            "recognised among two of any primers: 0.5 is the goal, 1 means always. The control "
            "asks the same of pianists alone, a random half called the model's: it has to lie "
            "around 0.5. The stronger classifier counts, which flatters the classifiers a little. "
            "Of so few examples a classifier learns little: an AUC near 0.5 says that these two "
            "found nothing, not that there is nothing to find."
        ),
        chart(
            dot_chart(
                drawn, "AUC", ("model against pianists", "pianists against pianists"), 0.5, (0, 1)
            )
        ),
        table(["classifier", "AUC", "right when shown both of a pair", "AUC of the control"], rows),
        *_telltales(found["telltales"]),
    )


def _telltales(found: Figures) -> tuple[str, str, str]:
    """Tell which statistics differ most."""
    chance, largest = found["chance"], found["largest"]
    rows = [
        [x["name"], number(x["model"]), number(x["human"]), f"{x['standard_errors']:+.1f}"]
        for x in largest
    ]
    return (
        paragraph(
            f"By what: of {number(found['statistics'])} statistics of a continuation those that "
            "differ most from the pianist's after the same primer, in standard errors over "
            "pieces. Grey: as far as the largest of all goes in 95 % of cases where there is "
            f"nothing; {number(found['beyond_chance'])} go further. Lengths and gaps are "
            "logarithms of seconds to base 2, velocities are in the 32 bins of the vocabulary."
        ),
        chart(
            dot_chart(
                [Row(x["name"], (Mark(x["standard_errors"]),), (-chance, chance)) for x in largest],
                "model minus pianist, in standard errors",
                goal=0.0,
            )
        ),
        table(["statistic", "model", "pianists", "standard errors"], rows),
    )


def handling(found: Figures) -> str:
    """Tell how keys are handled, the model's beside the pianists' after the same primers."""
    rows = []
    for name, compared in found.items():
        shown = percent if name.startswith(("held", "shorter")) else number
        sides = (shown(compared["model"]), shown(compared["human"]))
        rows.append([words(name), *sides, told(_difference(compared))])
    return section(
        "How keys are handled",
        paragraph(
            "Shares are of notes, by how long the key is down. Drift is from the first half of a "
            "continuation's notes to the second: of notes per second and of lengths in doublings, "
            "of pitch in semitones, of velocity in steps of MIDI. The goal is what pianists do "
            "after the same primers: a difference of 0. Intervals: 95 %, bootstrap over pieces."
        ),
        table(["", "model", "pianists", "difference"], rows),
    )


def repetition(found: Figures) -> str:
    """Tell how much was played before, the model's beside the pianists' after the same primers."""
    compared = {
        f"{length} notes{kind}": sides[name]
        for length, sides in found["ngrams"].items()
        for name, kind in (("exact", ""), ("transposed", ", at any pitch"))
    }
    if "returning" in found:
        compared["passages that return"] = found["returning"]
    rows = [[name, *_sides(x)] for name, x in compared.items()]
    return section(
        "Repetition",
        paragraph(
            "The share of runs of notes that occurred before in the same continuation, and of "
            "windows of 4 s that are like one which ended well before them "
            f"({number(found['long_enough_for_returning'])} pairs are long enough for that). Both "
            "sides continue the same primers. The goal is neither more nor less than pianists "
            "repeat: a difference of 0. Intervals: 95 %, bootstrap over pieces."
        ),
        chart(
            dot_chart(
                [Row(name, (mark_of(_difference(x)),)) for name, x in compared.items()],
                "share that was played before: model minus pianists",
                goal=0.0,
            )
        ),
        table(["repeated", "model", "pianists", "difference"], rows),
    )


def _sides(compared: Mapping[str, float]) -> tuple[str, str, str]:
    return percent(compared["model"]), percent(compared["human"]), told(_difference(compared))


def _difference(compared: Mapping[str, float]) -> dict[str, float]:
    return {"value": compared["difference"], "low": compared["low"], "high": compared["high"]}


def copying(found: Figures) -> str:
    """Tell the longest runs of notes shared with a training piece, and where they are."""
    longest = sorted(found["items"], key=lambda item: -item["model"]["notes"])[:10]
    rows = [
        [
            f"{item['number']:03d} {item['source']}",
            number(item["model"]["notes"]),
            number(item["human"]["notes"]),
            f"{item['model']['piece']}, {item['model']['transposition']:+d} semitones",
        ]
        for item in longest
    ]
    shares = [
        [f"runs of {name.removeprefix('shared_')} notes that training has", *_sides(compared)]
        for name, compared in sorted(found.items(), key=lambda part: part[0].rjust(20))
        if name.startswith("shared_")
    ]
    sides = [
        [name, f"{found[side]['median']:g}", number(found[side]["longest"])]
        for side, name in (("model", "model"), ("human", "pianists"))
    ]
    return section(
        "Copying",
        paragraph(
            "The longest run of pitches in each continuation that a training piece has as well, "
            "transposed or not. Scales and repeated figures are shared without being copied: the "
            "pianists' own continuations, of pieces that are not in training, say how much."
        ),
        table(["longest shared run", "median notes", "longest"], sides),
        table(["shared", "model", "pianists", "difference"], shares) if shares else "",
        table(
            ["continuation", "model", "pianist", "training piece that shares the model's run"],
            rows,
            "The ten longest",
        ),
    )
