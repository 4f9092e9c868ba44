"""The report on the whole daemon: tables for the reader, pictures, JSON."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from daemon.bench.live.measurements import Density, HandOvers, Listening, Rest
from daemon.bench.live.processor_time import Shares
from daemon.bench.pictures import Curve, Panel, draw_panels


@dataclass(frozen=True, slots=True)
class Report:
    """Everything measured; a part that was not asked for is empty."""

    machine: str
    model: str
    rest: Rest | None
    listening: list[Listening]
    hand_overs: list[HandOvers]
    densities: list[Density]
    densest_notes_per_s: float | None  # over 5 s, of all music at hand
    seconds: float


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return p50, p95 and p99; of one value, that value."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


def policy_name(feed_after_ms: float | None) -> str:
    """Return how a policy of reading is told."""
    if feed_after_ms is None:
        return "at the trigger"
    return f"after {feed_after_ms:g} ms" if feed_after_ms else "at once"


def pooled(measured: Iterable[HandOvers]) -> list[HandOvers]:
    """Return the rounds of each kind of hand-over put together, in order of first appearance."""
    kinds: dict[tuple[float | None, int, int], list[HandOvers]] = defaultdict(list)
    for each in measured:
        kinds[each.feed_after_ms, each.context_tokens, each.phrase_tokens].append(each)
    return [
        HandOvers(
            *kind,
            outside_ms=[value for each in rounds for value in each.outside_ms],
            inside_ms=[value for each in rounds for value in each.inside_ms],
            stop_ms=[value for each in rounds for value in each.stop_ms],
        )
        for kind, rounds in kinds.items()
    ]


def lines_of(report: Report) -> list[str]:
    """Return the tables, line by line."""
    lines = [f"{report.machine}; {report.model}; measured in {report.seconds / 60:.1f} min"]
    if report.rest is not None:
        lines += _rest_lines(report.rest)
    if report.listening:
        lines += _listening_lines(report.listening)
    if report.hand_overs:
        lines += _hand_over_lines(report.hand_overs)
    if report.densities:
        lines += _density_lines(report.densities)
    if report.densest_notes_per_s is not None:
        lines.append(f"the densest 5 s of the music: {report.densest_notes_per_s:.1f} notes/s")
    return lines


def _rest_lines(rest: Rest) -> list[str]:
    return [
        f"ready {rest.start_to_ready_s:.1f} s after the start",
        f"while nobody plays, percent of one core: {_told(rest.idle_percent)}",
    ]


def _told(percent: Shares) -> str:
    return ", ".join(f"{part} {share:.1f}" for part, share in percent.items())


def _listening_lines(rows: Sequence[Listening]) -> list[str]:
    lines = [
        "while a dense player plays, percent of one core",
        f"{'read':>16} {'context':>8} {'tokens/s':>9} {'model':>7} {'all':>7}",
    ]
    for row in rows:
        shares = f"{row.percent['brain']:7.1f} {row.percent['all']:7.1f}"
        name = policy_name(row.feed_after_ms)
        lines.append(f"{name:>16} {row.context_tokens:>8} {row.tokens_per_s:9.1f} {shares}")
    return lines


def _hand_over_lines(rows: Sequence[HandOvers]) -> list[str]:
    lines = [
        "command `perform` to the first note-on, ms; at another client, and as the daemon counts",
        f"{'read':>16} {'context':>8} {'phrase':>7} {'p50':>7} {'p95':>7} {'p99':>7}"
        f" {'own p50':>8} {'own p95':>8}  hand-overs",
    ]
    for row in pooled(rows):
        outside = " ".join(f"{value:7.1f}" for value in percentiles(row.outside_ms))
        inside = " ".join(f"{value:8.1f}" for value in percentiles(row.inside_ms)[:2])
        lines.append(
            f"{policy_name(row.feed_after_ms):>16} {row.context_tokens:>8} {row.phrase_tokens:>7} "
            f"{outside} {inside}  {len(row.outside_ms)}"
        )
    stops = [value for row in rows for value in row.stop_ms]
    told = " ".join(f"{value:.1f}" for value in percentiles(stops))
    return [*lines, f"command `stop` to its acknowledgement, ms: p50, p95, p99 {told}"]


def _density_lines(rows: Sequence[Density]) -> list[str]:
    lines = [
        "performing at a chosen density: how far ahead of its moment an event is planned",
        f"{'played':>16} {'context':>8} {'notes/s':>8} {'tokens/s':>9} {'lead min':>9}"
        f" {'median':>7} {'late':>5} {'dropped':>8} {'sent late p99':>14} {'model %':>8}"
        f" {'all %':>6}",
    ]
    return lines + [
        f"{row.name:>16} {row.context_tokens:>8} {row.notes_per_s:8.1f} {row.tokens_per_s:9.1f}"
        f" {row.lead_ms_min:9.1f} {row.lead_ms_median:7.1f} {row.late:>5} {row.dropped:>8}"
        f" {row.send_late_ms_p99:14.2f} {row.percent['brain']:8.1f} {row.percent['all']:6.1f}"
        for row in rows
    ]


def draw(report: Report, path: Path) -> None:
    """Draw hand-overs, the cost of reading and the leads side by side, what there is of them."""
    panels = [
        Panel(title, x, y, curves, is_logarithmic)
        for title, x, y, curves, is_logarithmic in (
            (
                "trigger to first note-on",
                "ms (logarithmic from 64 on)",
                "share of hand-overs",
                _shares(report.hand_overs),
                True,
            ),
            (
                "reading while a dense player plays",
                "read after, ms",
                "% of one core, model",
                _costs(report.listening),
                False,
            ),
            ("lead over playback, least", "notes/s", "ms", _leads(report.densities), False),
        )
        if curves
    ]
    if panels:
        draw_panels(path, panels)


def _shares(rows: Sequence[HandOvers]) -> dict[str, Curve]:
    """Return the cumulative shares of the longest phrase's hand-overs."""
    longest = max((row.phrase_tokens for row in rows), default=0)
    curves: dict[str, Curve] = {}
    for row in pooled(rows):
        if row.phrase_tokens == longest:
            values = sorted(row.outside_ms)
            shares = [(place + 1) / len(values) for place in range(len(values))]
            name = f"{policy_name(row.feed_after_ms)}, {row.context_tokens} tokens"
            curves[name] = (values, shares)
    return curves


def _costs(rows: Sequence[Listening]) -> dict[str, Curve]:
    curves: dict[str, Curve] = {}
    for context in sorted({row.context_tokens for row in rows}):
        of = [row for row in rows if row.context_tokens == context]
        ahead = [(row.feed_after_ms, row) for row in of if row.feed_after_ms is not None]
        points = sorted((after, row.percent["brain"]) for after, row in ahead)
        curves[f"{context} tokens"] = ([x for x, _ in points], [y for _, y in points])
    return curves


def _leads(rows: Sequence[Density]) -> dict[str, Curve]:
    curves: dict[str, Curve] = {}
    for context in sorted({row.context_tokens for row in rows}):
        points = sorted(
            (row.notes_per_s, max(0.0, row.lead_ms_min))
            for row in rows
            if row.context_tokens == context
        )
        curves[f"{context} tokens"] = ([x for x, _ in points], [y for _, y in points])
    return curves
