"""Continuations beside what pianists played: both cut alike, chosen by a seed, resumable."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perceivers.encoder import step_of
from perceivers.errors import PerformerError
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import read_performance
from perceivers.vocabulary import CHORD_STEPS
from training.data.midi_folder import MidiFile, find_files
from training.evaluation.continuations.cuts import (
    Cut,
    CutRules,
    answer_after,
    choose_cuts,
    possible_steps,
    primer_before,
    quantised,
)
from training.evaluation.continuations.making import (
    Request,
    compositions,
    load_continuations,
    main,
    make_continuations,
)

STARTER = Path(__file__).resolve().parents[4] / "training" / "starter"
RULES = CutRules(notes=24, primer_notes=40, count=3)


@pytest.fixture(scope="module")
def piece() -> list[TimedEvent]:
    return quantised(read_performance(next(iter(sorted(STARTER.rglob("*.mid"))))))


def onsets(events: list[TimedEvent]) -> list[int]:
    return [step_of(event.time_s) for event in events if isinstance(event.event, NoteOn)]


def test_a_composition_is_known_by_its_composer_and_title() -> None:
    known = compositions(STARTER)

    assert known["asap/Bach/Fugue/bwv_856/LuoJ01M.mid"] == "Bach Fugue_bwv_856"
    assert compositions(STARTER / "asap") == {}


def cuts_of(files: list[MidiFile], rules: CutRules) -> list[Cut]:
    return choose_cuts(STARTER, files, compositions(STARTER), rules, quiet=True)


def test_a_quantised_performance_begins_at_zero_and_lies_on_the_grid(
    piece: list[TimedEvent],
) -> None:
    assert piece[0].time_s == 0.0
    assert all(step_of(event.time_s) / 100 == event.time_s for event in piece)
    assert quantised(piece) == piece


def test_a_cut_lies_at_the_onset_of_a_chord_where_nothing_else_happens(
    piece: list[TimedEvent],
) -> None:
    steps = possible_steps(piece, RULES)

    assert len(steps) > 100
    all_onsets = np.array(onsets(piece))
    for step in steps[:: len(steps) // 50]:
        before = all_onsets[all_onsets < step]
        assert step in all_onsets
        assert len(before) >= RULES.primer_notes
        assert len(all_onsets) - len(before) >= RULES.played_notes
        assert step - before[-1] > CHORD_STEPS
        first = next(event for event in piece if step_of(event.time_s) == step)
        assert isinstance(first.event, NoteOn)


def test_primer_and_answer_share_the_notes_of_the_piece(piece: list[TimedEvent]) -> None:
    steps = possible_steps(piece, RULES)

    for step in steps[:: len(steps) // 20].tolist():
        primer = primer_before(piece, step)
        answer = answer_after(piece, step, RULES.notes)

        together = onsets(primer) + [step + onset for onset in onsets(answer)]
        assert together == onsets(piece)[: len(together)]
        assert len(onsets(answer)) == RULES.notes
        assert onsets(answer)[0] == 0


def test_nothing_sounds_on_after_a_primer_or_an_answer(piece: list[TimedEvent]) -> None:
    for step in possible_steps(piece, RULES)[::97].tolist():
        answer = answer_after(piece, step, RULES.notes)
        for events in (primer_before(piece, step), answer):
            assert [event.time_s for event in events] == sorted(e.time_s for e in events)
            down = {}
            for _, event in events:
                if isinstance(event, NoteOn):
                    assert not down.get(event.pitch)
                    down[event.pitch] = True
                elif isinstance(event, NoteOff):
                    assert down[event.pitch]
                    down[event.pitch] = False
            assert not any(down.values())
        pedals = [event.event.down for event in answer if isinstance(event.event, Pedal)]
        assert pedals == [number % 2 == 0 for number in range(len(pedals))]
        assert len(pedals) % 2 == 0


def test_the_pedal_is_carried_over_the_cut_and_old_releases_are_not() -> None:
    events = [
        TimedEvent(0.0, NoteOn(60, 70)),
        TimedEvent(0.5, Pedal(True)),
        TimedEvent(1.0, NoteOn(64, 70)),
        TimedEvent(1.2, NoteOff(60)),
        TimedEvent(1.3, NoteOn(67, 70)),
        TimedEvent(1.4, Pedal(False)),
        TimedEvent(1.5, Pedal(True)),
        TimedEvent(1.6, NoteOff(64)),
        TimedEvent(1.7, Pedal(False)),
        TimedEvent(1.8, NoteOff(67)),
    ]

    assert primer_before(events, 100) == [*events[:2], TimedEvent(1.0, NoteOff(60))]
    answer = [(round(at_s, 6), event) for at_s, event in answer_after(events, 100, 1)]
    assert answer == [
        (0.0, Pedal(True)),
        (0.0, NoteOn(64, 70)),
        (0.4, Pedal(False)),
        (0.5, Pedal(True)),
        (0.6, NoteOff(64)),
        (0.6, Pedal(False)),
    ]
    with pytest.raises(ValueError, match="2 notes after the cut"):
        answer_after(events, 100, 3)


def test_what_the_daemon_puts_at_the_cut_is_no_part_of_the_answer() -> None:
    # The player's part ends there with its pedal up, and the performer's begins with it down.
    played = [
        TimedEvent(0.0, Pedal(True)),
        TimedEvent(0.0, NoteOn(60, 70)),
        TimedEvent(1.0, NoteOff(60)),
        TimedEvent(1.0, Pedal(False)),
        TimedEvent(1.0, Pedal(True)),
        TimedEvent(1.0, NoteOn(62, 70)),
        TimedEvent(1.5, NoteOff(62)),
    ]

    assert answer_after(played, 100, 1)[:2] == [
        TimedEvent(0.0, Pedal(True)),
        TimedEvent(0.0, NoteOn(62, 70)),
    ]


def test_cuts_are_spread_over_compositions_first_and_repeat_with_their_seed() -> None:
    files = find_files(STARTER)[:4]
    groups = dict(zip((file.path for file in files), "aaab", strict=True))

    def cuts(seed: int) -> list[tuple[str, str, int]]:
        rules = replace(RULES, count=6, seed=seed)
        chosen = choose_cuts(STARTER, files, groups, rules, quiet=True)
        return [(cut.group, cut.file.path, cut.step) for cut in chosen]

    chosen = cuts(0)
    assert {group for group, _, _ in chosen[:2]} == {"a", "b"}
    assert len({path for _, path, _ in chosen[:4]}) == 4
    assert len(set(chosen)) == 6
    assert chosen == cuts(0)
    assert chosen != cuts(1)


def test_one_piece_is_cut_in_each_part_of_it() -> None:
    chosen = cuts_of(find_files(STARTER)[:1], replace(RULES, count=4))

    possible = possible_steps(
        quantised(read_performance(STARTER / chosen[0].file.path)), RULES
    ).tolist()
    parts = sorted(possible.index(cut.step) * 4 // len(possible) for cut in chosen)
    assert parts == [0, 1, 2, 3]


def test_too_little_music_is_told_with_what_there_is() -> None:
    with pytest.raises(PerformerError, match=r"1 files allow \d+ cuts with 40 notes before and 56"):
        cuts_of(find_files(STARTER)[:1], replace(RULES, count=100_000))


@pytest.fixture(scope="module")
def request_(tiny_model_folder: Path) -> Request:
    return Request(
        model=tiny_model_folder,
        midi=STARTER,
        split="train",
        count=3,
        notes=24,
        primer_notes=40,
        seed=11,
        parameters=("temperature", "0.9"),
    )


@pytest.fixture(scope="module")
def folder(request_: Request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("continuations") / "made"
    make_continuations(request_, folder, quiet=True)
    return folder


def test_both_sides_hold_equally_many_notes_from_the_cut_on(folder: Path) -> None:
    found = load_continuations(folder)

    assert [(each.item.number, each.item.seed) for each in found] == [(0, 11), (1, 12), (2, 13)]
    for each in found:
        source = quantised(read_performance(STARTER / each.item.source))
        step = step_of(each.item.cut_s)
        assert list(each.human) == answer_after(source, step, 24)
        assert each.primer() == primer_before(source, step)
        assert each.model != each.human
        for side in (each.model, each.human):
            assert len(onsets(list(side))) == 24
            assert onsets(list(side))[0] == 0


def test_the_index_says_what_was_asked_for(folder: Path) -> None:
    index = json.loads((folder / "index.json").read_text())

    assert (index["notes"], index["seed"], index["split"]) == (24, 11, "train")
    assert index["parameters"] == {"temperature": "0.9"}
    assert set(index["items"][0]) >= {"number", "source", "dataset", "cut_s", "seed", "model"}
    assert index["items"][2]["primer"] == "002-primer.mid"


@pytest.mark.processes
def test_an_interrupted_folder_is_finished_to_the_same_bytes(
    folder: Path, request_: Request, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    for name in ("001-model.mid", "played/001-primer.mid", "002-model.mid"):
        (broken / name).unlink()
    kept = (broken / "played/002-primer.mid").stat().st_mtime_ns

    with pytest.raises(PerformerError, match=r"001-model\.mid: not there yet"):
        load_continuations(broken)
    make_continuations(request_, broken, quiet=True)

    assert (broken / "played/002-primer.mid").stat().st_mtime_ns == kept
    for path in folder.rglob("*.mid"):
        assert (broken / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_a_folder_of_another_request_is_refused(folder: Path, request_: Request) -> None:
    with pytest.raises(PerformerError, match="was begun with notes 24, not 25"):
        make_continuations(replace(request_, notes=25), folder, quiet=True)


@pytest.mark.processes
def test_the_daemon_s_refusal_is_told(request_: Request, tmp_path: Path) -> None:
    with pytest.raises(PerformerError, match=r"unknown parameter 'warmth'"):
        make_continuations(replace(request_, parameters=("warmth", "1")), tmp_path, quiet=True)


def test_the_command_line_tells_known_errors_in_one_line(
    tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(tiny_model_folder), "--midi", str(STARTER), "--out", str(tmp_path)]

    assert main([*words, "--datasets", "nobody"]) == 2

    error = capsys.readouterr().err
    assert "no files in split 'test' of nobody" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"items": [{"number": 1}]}'])
def test_a_damaged_index_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(content)

    with pytest.raises(PerformerError, match="not an index of continuations"):
        load_continuations(tmp_path)
