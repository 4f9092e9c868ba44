"""Ends of phrases, and what a rule makes of them, in music where both are known."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.bench import right_moments
from daemon.bench.measures.phrase_ends import boundary_strength, chords_of, ends_after
from daemon.bench.right_moments import Found, follow, main, row_of
from daemon.parameters import Parameters
from perceivers.events import NoteOff, NoteOn, TimedEvent
from perceivers.midi_files import Track, write_performance

BREATHS = (20, 41)  # onsets before which the pianist takes a breath
BREATH_S = 1.0
FIXED = replace(Parameters(held_after_s=None), silence_intervals=None)


def melody(onsets: int = 62, breaths: Iterable[int] = BREATHS) -> list[TimedEvent]:
    """Return quavers of 0.25 s, a breath before some of them."""
    events: list[TimedEvent] = []
    time_s = 0.0
    for number in range(onsets):
        time_s += BREATH_S if number in breaths else 0.25
        pitch = 60 + number % 5
        events.append(TimedEvent(time_s, NoteOn(pitch, 64)))
        events.append(TimedEvent(time_s + 0.2, NoteOff(pitch)))
    return events


def test_phrases_end_before_the_breaths() -> None:
    assert ends_after(chords_of(melody())) == [19, 40]


def test_where_a_key_stays_down_no_phrase_ends() -> None:
    events = melody()
    held = [TimedEvent(0.3, NoteOn(40, 64)), *events, TimedEvent(events[-1].time_s, NoteOff(40))]

    assert ends_after(chords_of(sorted(held, key=lambda timed: timed.time_s))) == []


def test_strength_is_greatest_at_the_breaths() -> None:
    strength = boundary_strength(chords_of(melody()))

    assert sorted(strength.argsort()[-2:]) == [19, 40]


def test_a_performance_too_short_for_a_usual_time_has_no_ends() -> None:
    assert ends_after(chords_of(melody(10))) == []
    assert ends_after(chords_of([])) == []


def test_an_answer_at_an_end_is_in_time_and_elsewhere_wrong() -> None:
    at_ends = follow(melody(), replace(FIXED, silence_s=0.5))
    restless = follow(melody(), replace(FIXED, silence_s=0.1))

    assert at_ends.delays_s == pytest.approx([0.5, 0.5])
    assert at_ends.wrong == 0
    assert restless.wrong == 0  # keys are up for half of that
    assert follow(melody(), replace(FIXED, silence_s=0.04)).wrong > 10


def test_a_row_counts_shares_and_rates() -> None:
    row = row_of("a rule", [Found(1.0, [0.2, 1.0, 2.0, 1.2], 3, 6.0, 1, 60.0)])

    assert (row.in_time, row.too_early, row.late) == (0.5, 0.25, 0.25)
    assert (row.wrong_per_minute, row.wrong_moments, row.over_held_per_minute) == (3.0, 0.1, 1.0)


@pytest.mark.processes
def test_the_program_takes_one_split_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, events in (("a.mid", melody()), ("b.mid", melody(40, (20,)))):
        write_performance(tmp_path / name, [Track("piano", 0, tuple(events))])
    (tmp_path / "MANIFEST.csv").write_text("path,split\na.mid,validation\nb.mid,train\n")
    monkeypatch.setattr(right_moments, "BOUNDS_S", ((0.5, 1.2),))

    assert main([str(tmp_path), "--json", str(tmp_path / "found.json")]) == 0

    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["performances"], found["ends"]) == (1, 2)
    assert len(capsys.readouterr().out.splitlines()) == 3 + len(found["rules"])
