"""When the Performer would come in: too early, in time or late, by its own rule, in real music.

    python -m daemon.bench.right_moments FOLDER --json moments.json

FOLDER holds MIDI files and a MANIFEST.csv with the columns `path` and `split`; the performances of
one split are taken (validation, unless `--split` names another), without a manifest all files.

Each performance is heard as the stage hears it. Where the pianist ends a phrase
(`daemon/bench/measures/phrase_ends.py`) the music is cut there, and it is measured how long after
the last key came up the answer would begin. Everywhere else an answer would be an interruption: how
many there are in a minute, and how likely a moment at random is to lie in a pause that is taken for
an end. Nothing here knows more than the rule does.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from daemon.bench.measures.phrase_ends import chords_of, ends_after
from daemon.bench.measures.splits import performances
from daemon.bench.results import tell, write_json
from daemon.parameters import Parameters
from daemon.stage.phrase import Phrase
from perceivers.events import NoteOn, TimedEvent

IN_TIME_S = (0.3, 1.5)
FIXED_S = (0.5, 0.7, 0.8, 1.0, 1.2, 1.5)
INTERVALS = (1.0, 1.5, 2.0, 3.0, 4.0)
BOUNDS_S = ((0.5, 1.2), (0.5, 1.5), (0.6, 1.5), (0.7, 1.2), (0.7, 1.5), (0.7, 2.0), (0.8, 1.5))
HELD_S = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0)


@dataclass(slots=True)
class Found:
    """What a rule did in some performances."""

    minutes: float
    delays_s: list[float]  # from the last key up to the answer, at each end of a phrase
    wrong: int  # answers where no phrase ends
    wrong_s: float  # the time in the pauses that were taken for ends
    over_held: int = 0  # of those that are wrong, over a held chord
    within_s: float = 0.0  # all the time that belongs to no end


@dataclass(frozen=True, slots=True)
class Row:
    """One rule."""

    rule: str
    in_time: float  # shares of the ends
    too_early: float
    late: float
    delay_s: float  # median
    wrong_per_minute: float
    wrong_moments: float  # share of the moments at random
    over_held_per_minute: float


def follow(events: Sequence[TimedEvent], parameters: Parameters) -> Found:
    """Hear a performance, and write down when an answer would have begun."""
    chords = chords_of(events)
    ends_s = {float(chords.onset_s[place + 1]) for place in ends_after(chords)}
    onsets_s = {float(onset_s) for onset_s in chords.onset_s}
    length_s = float(chords.onset_s[-1] - chords.onset_s[0])
    found = Found(length_s / 60, [], 0, 0.0)
    phrase, onset_s = Phrase(), float(chords.onset_s[0])
    for time_s, event in events:
        if isinstance(event, NoteOn) and time_s in onsets_s and time_s > onset_s:
            _pause(found, phrase, parameters, onset_s, time_s, is_end=time_s in ends_s)
            onset_s = time_s
        phrase.hear(event, time_s)
    return found


def _pause(
    found: Found,
    phrase: Phrase,
    parameters: Parameters,
    onset_s: float,
    next_s: float,
    *,
    is_end: bool,
) -> None:
    """Judge the pause between two onsets; an answer ends the phrase, whether right or wrong."""
    answer_s = phrase.ends_s(parameters)
    if is_end:
        if answer_s is not None and phrase.last_release_s is not None:
            found.delays_s.append(answer_s - phrase.last_release_s)
        phrase.end()
        return
    found.within_s += next_s - onset_s
    if answer_s is not None and answer_s < next_s:
        found.wrong += 1
        found.wrong_s += next_s - onset_s
        found.over_held += bool(phrase.held)
        phrase.end()


def row_of(rule: str, all_found: Sequence[Found]) -> Row:
    """Put together what a rule did."""
    delays_s = [delay_s for found in all_found for delay_s in found.delays_s]
    minutes = sum(found.minutes for found in all_found)
    in_time = [IN_TIME_S[0] <= delay_s <= IN_TIME_S[1] for delay_s in delays_s]
    return Row(
        rule,
        statistics.mean(in_time),
        statistics.mean(delay_s < IN_TIME_S[0] for delay_s in delays_s),
        statistics.mean(delay_s > IN_TIME_S[1] for delay_s in delays_s),
        statistics.median(delays_s),
        sum(found.wrong for found in all_found) / minutes,
        sum(found.wrong_s for found in all_found) / sum(found.within_s for found in all_found),
        sum(found.over_held for found in all_found) / minutes,
    )


def rules() -> Iterator[tuple[str, Parameters]]:
    """Yield the rules that are compared: fixed pauses, those that follow the pulse, held chords."""
    base = Parameters(held_after_s=None)
    for silence_s in FIXED_S:
        yield f"{silence_s:g} s", replace(base, silence_intervals=None, silence_s=silence_s)
    for least_s, most_s in BOUNDS_S:
        for intervals in INTERVALS:
            rule = f"{intervals:g} intervals, {least_s:g} to {most_s:g} s"
            yield (
                rule,
                replace(
                    base, silence_intervals=intervals, silence_least_s=least_s, silence_s=most_s
                ),
            )
    for held_s in HELD_S:
        yield f"as shipped, held {held_s:g} s", Parameters(held_after_s=held_s)


def final_chords_s(music: Sequence[Sequence[TimedEvent]]) -> list[float]:
    """Return how long the last chord of each performance is held."""
    held_s = []
    for events in music:
        chords = chords_of(events)
        held_s.append(float(chords.up_s[-1] - chords.onset_s[-1]))
    return held_s


def _judge(rule: tuple[str, Parameters], music: Sequence[Sequence[TimedEvent]]) -> Row:
    return row_of(rule[0], [follow(events, rule[1]) for events in music])


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    music = performances(options.folder, options.split)
    ends = sum(len(ends_after(chords_of(events))) for events in music)
    held_s = final_chords_s(music)
    tell(f"{len(music)} performances, {ends} ends of phrases")
    tell(f"last chords are held {_spread(held_s)} (quartiles)")
    tell("rule                              in time   late   delay    wrong   moments  over held")
    rows = []
    with ProcessPoolExecutor(options.workers) as pool:
        for row in pool.map(partial(_judge, music=music), rules()):
            rows.append(row)
            tell(_line(row))
    if options.json:
        found = {"performances": len(music), "ends": ends, "last_chords_s": held_s}
        write_json(options.json, found | {"rules": [asdict(row) for row in rows]})
    return 0


def _spread(values: Sequence[float]) -> str:
    return (
        " / ".join(f"{float(each):.1f}" for each in np.quantile(values, (0.25, 0.5, 0.75))) + " s"
    )


def _line(row: Row) -> str:
    return (
        f"{row.rule:<32} {row.in_time:8.1%} {row.late:7.1%} {row.delay_s:5.2f} s "
        f"{row.wrong_per_minute:6.3f}/min {row.wrong_moments:6.2%} "
        f"{row.over_held_per_minute:6.3f}/min"
    )


if __name__ == "__main__":
    raise SystemExit(main())
