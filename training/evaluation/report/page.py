"""One report of a model: all its figures as JSON, and a page that opens from disk.

`write_report` is given figures and continuations and writes `report.json` and `index.html`. The
page needs no network and no other file but the MIDI and sound files that it links to.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from perceivers.atomic import atomic_path
from training.evaluation.metrics.notes import Notes, excerpt
from training.evaluation.report import comparisons, sections
from training.evaluation.report.charts import Frame, piano_roll
from training.evaluation.report.page_parts import paragraph, section, tiles, told, words

JSON_FILE = "report.json"
PAGE_FILE = "index.html"
PAGE = Path(__file__).with_name("page.html")
PRIMER_SHOWN_S = 20.0  # of the primer's end; the sound has as much as was made

# In the order of the page. A part that was not made is left out.
SECTIONS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "likelihood": sections.likelihood,
    "two_sample": comparisons.two_sample,
    "metrics": sections.distributions,
    "handling": comparisons.handling,
    "repetition": comparisons.repetition,
    "copying": comparisons.copying,
    "mgeval": sections.mgeval,
}


@dataclass(frozen=True, slots=True)
class Part:
    """Who plays, what, and where it can be heard; paths are relative to the report."""

    name: str
    notes: Notes
    midi: str
    midi_with_primer: str | None = None
    sound: str | None = None  # with the end of the primer before it


@dataclass(frozen=True, slots=True)
class Shown:
    """One continuation as the page shows it: primer, model and pianist, in this order."""

    source: str
    cut_s: float
    seed: int
    parts: tuple[Part, Part, Part]


def write_report(
    folder: Path, figures: Mapping[str, Any], continuations: Sequence[Shown] = ()
) -> None:
    """Write both files, each atomically.

    `figures` holds JSON values: `settings` (with `model`), `seconds` of each part, and any of
    SECTIONS.
    """
    with atomic_path(folder / JSON_FILE) as partial:
        partial.write_text(json.dumps(figures, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    with atomic_path(folder / PAGE_FILE) as partial:
        partial.write_text(page(figures, continuations), encoding="utf-8")


def page(figures: Mapping[str, Any], continuations: Sequence[Shown]) -> str:
    """Return the page."""
    asked = figures["settings"]
    body = [
        tiles(_headlines(figures)),
        *(make(figures[name]) for name, make in SECTIONS.items() if figures.get(name)),
        _heard(continuations) if continuations else "",
        sections.settings(asked, figures.get("seconds", {})),
        paragraph(f"All figures: {JSON_FILE}, beside this page.", "faint"),
    ]
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        title=escape(f"Evaluation of {asked['model']}"), body="\n".join(filter(None, body))
    )


def _headlines(figures: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    if likelihood := figures.get("likelihood"):
        found += [
            (told(likelihood[name]), words(name), "lower is better")
            for name in ("nats_per_token", "bits_per_note")
        ]
    if test := figures.get("two_sample"):
        strongest = test["model_against_human"][test["headline"]]
        note = f"to tell it from a pianist, {test['headline']} classifier; 0.5 is the goal"
        found.append((told(strongest["auc"], 2), "AUC", note))
    return found


def _heard(continuations: Sequence[Shown]) -> str:
    """Show continuations as piano rolls, with links to what can be played."""
    return section(
        "Continuations",
        paragraph(
            "Unselected: the first ones of a shuffled list, with their seeds. Each begins where "
            "the primer was cut. Louder notes are stronger, the pedal is the line at the bottom, "
            "grid lines are 10 s apart; one scale of pitch and time within each three."
        ),
        *(_three(number, shown) for number, shown in enumerate(continuations)),
    )


def _three(number: int, shown: Shown) -> str:
    primer, *others = shown.parts
    end_s = max(shown.cut_s, 0.01)
    tail = excerpt(primer.notes, max(0.0, end_s - PRIMER_SHOWN_S), end_s)
    rolls = [(primer, tail), *((part, part.notes) for part in others)]
    present = [notes for _, notes in rolls if len(notes)]
    if not present:
        return ""
    frame = Frame.around(present)
    figures = "\n".join(
        f'<figure class="roll">{piano_roll(notes, frame, part.name, series)}'
        f"<figcaption>{_caption(part, notes)}</figcaption></figure>"
        for series, (part, notes) in zip((2, 0, 1), rolls, strict=True)
    )
    heading = f"{number + 1}. {shown.source}, from {shown.cut_s:.2f} s, seed {shown.seed}"
    return f"<h3>{escape(heading)}</h3>\n{figures}"


def _caption(part: Part, notes: Notes) -> str:
    text = f"{escape(part.name)}: {len(notes)} notes, {notes.duration_s:.1f} s · "
    text += f'<a href="{_link(part.midi)}">MIDI</a>'
    if part.midi_with_primer is not None:
        text += f' · <a href="{_link(part.midi_with_primer)}">MIDI with the primer’s end</a>'
    if part.sound is not None:
        text += f' <audio controls preload="none" src="{_link(part.sound)}"></audio>'
    return text


def _link(path: str) -> str:
    return escape(quote(path), quote=True)
