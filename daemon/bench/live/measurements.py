"""What is measured of the whole daemon: a function for each question, a type for each answer."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from daemon.bench.live.measured_daemon import ANSWER_WITHIN_S, MeasuredDaemon, measured_daemon
from daemon.bench.live.music import Passage, Performance
from daemon.bench.live.player import Player
from daemon.bench.live.prepared_daemon import Preparation
from daemon.bench.live.processor_time import Shares, measured_shares
from perceivers.errors import PerformerError

NEVER_LATE_MS = 5000.0  # a first note that comes late is measured, not dropped
LAST_TOKENS = 8  # of a phrase, played at the pace of a dense player
LAST_EVERY_S = 0.05  # between their messages: about 40 tokens a second
READ_WITHIN_S = 0.4  # a phrase that came at once has been read by then
REREAD_WITHIN_S = 0.6  # and a past of a few thousand tokens
SETTLE_S = 0.03
SETTLE_IN_S = 1.0
AFTER_START_S = 1.0  # from here on a turn is planned as far ahead as it shall be
MOST_REREAD = 8192  # tokens of a past that it is worth going back to


@dataclass(frozen=True, slots=True)
class Rest:
    """A daemon that waits, and one whose turn lasts."""

    start_to_ready_s: float
    idle_percent: Shares  # of one core


@dataclass(frozen=True, slots=True)
class Listening:
    """What reading costs while a dense player plays."""

    feed_after_ms: float | None
    context_tokens: int
    tokens_per_s: float
    percent: Shares


@dataclass(frozen=True, slots=True)
class HandOvers:
    """Times of many hand-overs, in ms."""

    feed_after_ms: float | None
    context_tokens: int  # before the first phrase; where that is few, up to three times as many
    phrase_tokens: int
    outside_ms: list[float]
    """From sending the command to the first note-on at another client's port."""
    inside_ms: list[float]
    """From the trigger to the first note-on leaving, as the daemon itself measured it."""
    stop_ms: list[float]
    """From sending `stop` to its acknowledgement, behind which no note-on leaves."""


@dataclass(frozen=True, slots=True)
class Density:
    """How a turn of a chosen density kept ahead of its playback."""

    name: str
    context_tokens: int
    notes_per_s: float
    tokens_per_s: float
    events: int  # planned after the first second
    lead_ms_min: float
    lead_ms_median: float
    late: int  # of them, planned after their moment
    late_at_start: int  # in the first second
    dropped: int
    send_late_ms_p50: float
    send_late_ms_p99: float
    percent: Shares


def at_rest(model: Path, seconds: float) -> Rest:
    """Measure a daemon that nobody plays to."""
    with measured_daemon(model) as daemon:
        time.sleep(SETTLE_IN_S)
        with measured_shares(daemon.pid) as idle_percent:
            time.sleep(seconds)
        return Rest(daemon.start_to_ready_s, idle_percent)


def listening(
    model: Path, feed_after_ms: float | None, context: int, passage: Passage, seconds: float
) -> Listening:
    """Measure a daemon while a passage is played to it."""
    prepared = Preparation(context)
    with measured_daemon(model, prepared, feed_after_ms=feed_after_ms) as daemon:
        player = Player(daemon.keyboard, passage.events)
        player.play(passage.events, SETTLE_IN_S)
        before = player.tokens
        with measured_shares(daemon.pid) as percent:
            player.play(passage.events, seconds)
        said = player.tokens - before
    return Listening(feed_after_ms, context, said / seconds, percent)


def hand_overs(
    model: Path,
    feed_after_ms: float | None,
    context: int,
    music: Sequence[Performance],
    phrase_tokens: int,
    count: int,
) -> HandOvers:
    """Play a phrase, ask for a turn LAST_EVERY_S after its end, stop that at its first note."""
    timing = {"feed_after_ms": feed_after_ms, "late_after_ms": NEVER_LATE_MS}
    measured = HandOvers(feed_after_ms, context, phrase_tokens, [], [], [])
    with measured_daemon(model, Preparation(context), **timing) as daemon:
        player = Player(daemon.keyboard, chain.from_iterable(music))
        _hand_over(daemon, HandOvers(feed_after_ms, context, 0, [], [], []))  # warm
        known = player.tokens
        for _ in range(count):
            if context <= MOST_REREAD and player.tokens - known > 2 * context:
                daemon.ask("reset")  # back to the past, so that the context stays what it is
                time.sleep(REREAD_WITHIN_S)
                known = player.tokens
            player.play_tokens(phrase_tokens - LAST_TOKENS)
            if feed_after_ms is not None and phrase_tokens > LAST_TOKENS:
                time.sleep(READ_WITHIN_S)
            player.play_tokens(LAST_TOKENS, LAST_EVERY_S)
            _hand_over(daemon, measured)
    return measured


def _hand_over(daemon: MeasuredDaemon, measured: HandOvers) -> None:
    daemon.drain()
    asked_ns = time.monotonic_ns()
    daemon.ask("perform")
    measured.outside_ms.append((daemon.wait_for_note_on() - asked_ns) / 1e6)
    stopped_ns = time.monotonic_ns()
    daemon.ask("stop")
    measured.stop_ms.append((time.monotonic_ns() - stopped_ns) / 1e6)
    measured.inside_ms.append(float(daemon.next_event("turn")["first_note_ms"]))
    time.sleep(SETTLE_S)


def densities(model: Path, context: int, passages: Sequence[tuple[str, Passage]]) -> list[Density]:
    """Have passages played, a turn for each, and measure how far ahead they were planned."""
    measured = []
    with TemporaryDirectory() as folder:
        leads = Path(folder, "leads")
        pieces = tuple(tuple(passage.tokens()) for _, passage in passages)
        with measured_daemon(model, Preparation(context, pieces, str(leads))) as daemon:
            for turn, (name, passage) in enumerate(passages):
                dropped_before = _dropped(daemon.fresh_metrics())
                with measured_shares(daemon.pid) as percent:
                    _play_turn(daemon, passage.duration_s)
                metrics = daemon.fresh_metrics()
                dropped = _dropped(metrics) - dropped_before
                ahead = _ahead(leads, turn)
                measured.append(
                    _density((name, context, passage), ahead, dropped, metrics, percent)
                )
    return measured


def _play_turn(daemon: MeasuredDaemon, duration_s: float) -> None:
    """Have a turn played; one that falls far behind its playback is stopped."""
    daemon.ask("perform", length=duration_s)
    try:
        daemon.next_event("turn", 1.5 * duration_s + ANSWER_WITHIN_S)
    except PerformerError:
        daemon.ask("stop")
        daemon.next_event("turn")


Ahead = list[tuple[float, float]]
"""For each event: its moment in the turn, and how far ahead of that it was planned, in s."""


def _ahead(leads: Path, turn: int) -> Ahead:
    """Return what the brain wrote down about a turn that is over."""
    lines = leads.read_text().splitlines()
    return [(since_start_s, lead_s) for since_start_s, lead_s in json.loads(lines[turn])]


def _dropped(metrics: dict[str, Any]) -> int:
    return int(metrics["counts"].get("output_late", 0))


def _density(
    what: tuple[str, int, Passage],
    ahead: Ahead,
    dropped: int,
    metrics: dict[str, Any],
    percent: Shares,
) -> Density:
    name, context, passage = what
    later_ms = [1000 * lead_s for since_s, lead_s in ahead if since_s >= AFTER_START_S]
    return Density(
        name=name,
        context_tokens=context,
        notes_per_s=passage.notes_per_s,
        tokens_per_s=len(passage.tokens()) / passage.duration_s,
        events=len(later_ms),
        lead_ms_min=min(later_ms),
        lead_ms_median=median(later_ms),
        late=sum(lead_ms < 0 for lead_ms in later_ms),
        late_at_start=sum(lead_s < 0 for since_s, lead_s in ahead if since_s < AFTER_START_S),
        dropped=dropped,
        send_late_ms_p50=metrics["send_late_ms_p50"],
        send_late_ms_p99=metrics["send_late_ms_p99"],
        percent=percent,
    )
