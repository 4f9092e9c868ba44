"""Pieces of a page: tables, figures with their intervals, charts with captions."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from training.evaluation.report.charts import Mark

Figures = Mapping[str, Any]  # JSON values
Figure = Mapping[str, float | None]
UNKNOWN = "—"


def mark_of(figure: Figure, series: int = 0) -> Mark:
    """Return a figure as it is drawn."""
    return Mark(figure.get("value"), figure.get("low"), figure.get("high"), series)


def told(figure: Figure | None, digits: int = 3) -> str:
    """Return a figure with its interval, as far as there is one."""
    if figure is None or figure.get("value") is None:
        return UNKNOWN
    low, high = figure.get("low"), figure.get("high")
    interval = "" if low is None or high is None else f" ({low:.{digits}f} … {high:.{digits}f})"
    return f"{figure['value']:.{digits}f}{interval}"


def number(value: float | None, digits: int = 3) -> str:
    """Return a number, whole ones with thousands apart."""
    if value is None:
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def percent(share: float | None) -> str:
    """Return a share of 1 in percent."""
    return UNKNOWN if share is None else f"{share:.1%}"


def words(name: str) -> str:
    """Return the name of a figure as it is read."""
    return name.replace("_", " ")


def section(title: str, *content: str) -> str:
    """Return a section with a heading; what is empty is left out."""
    return "\n".join([f"<section><h2>{escape(title)}</h2>", *filter(None, content), "</section>"])


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph of plain text."""
    css = f' class="{kind}"' if kind else ""
    return f"<p{css}>{escape(text)}</p>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """Return a table; the first column names its rows."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "\n".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    told_caption = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table>{told_caption}<thead><tr>{top}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def chart(svg: str, caption: str = "") -> str:
    """Return a drawing with what is to be seen in it; nothing for an empty drawing."""
    if not svg:
        return ""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{svg.replace('<svg ', '<svg class=chart ', 1)}{below}</figure>"


def tiles(items: Sequence[tuple[str, str, str]]) -> str:
    """Return headline figures: value, name, and what to know of it."""
    inner = "\n".join(
        f"<li><b>{escape(value)}</b>{escape(name)}<br><span>{escape(note)}</span></li>"
        for value, name, note in items
    )
    return f'<ul class="tiles">\n{inner}\n</ul>' if items else ""
