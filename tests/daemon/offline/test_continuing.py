"""Continuing MIDI files without ports: one engine, a seed and an instant for each file."""

import re
from pathlib import Path

import numpy as np
import pytest

from daemon.__main__ import main
from daemon.engine import Engine
from daemon.engine.primed_engine import PrimedEngine
from daemon.offline.continuing import OfflineOptions, closed, heard_until, jobs_of
from daemon.parameters import Parameters, with_words
from perceivers.errors import SettingsError
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import Track, read_performance, write_performance

STARTER = Path(__file__).resolve().parents[3] / "training" / "starter"
PIECES = sorted(STARTER.rglob("*.mid"))[:2]
BRIEF = ("--no-picture", "--set", "length", "12", "length_unit", "notes", "seed", "5")


@pytest.fixture
def primers(tmp_path: Path) -> list[Path]:
    """Return the first seconds of two real performances, as files."""
    paths = []
    for number, piece in enumerate(PIECES):
        events = read_performance(piece)
        path = tmp_path / f"primer-{number}.mid"
        write_performance(path, [Track("player", 0, tuple(heard_until(events, 8.0)))])
        paths.append(path)
    return paths


@pytest.fixture(autouse=True)
def _default_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(model: Path, *words: object) -> int:
    return main(["--model", str(model), *(str(word) for word in words)])


def onsets_after(path: Path, instant_s: float) -> list[float]:
    events = read_performance(path)
    return [
        e.time_s for e in events if isinstance(e.event, NoteOn) and e.time_s >= instant_s - 0.001
    ]


def test_several_files_are_continued_as_each_would_be_alone(
    tiny_model_folder: Path, primers: list[Path], tmp_path: Path
) -> None:
    together = run(tiny_model_folder, "--continue", *primers, "--out", tmp_path / "all", *BRIEF)
    second = (*BRIEF[:-1], "6")  # seeds count up from the first
    alone = run(tiny_model_folder, "--continue", primers[1], "--out", tmp_path / "one.mid", *second)

    assert (together, alone) == (0, 0)
    written = (tmp_path / "all" / primers[1].name).read_bytes()
    assert written == (tmp_path / "one.mid").read_bytes()
    assert written != (tmp_path / "all" / primers[0].name).read_bytes()


def test_takes_are_different_answers_and_each_is_the_one_of_its_seed(
    tiny_model_folder: Path, primers: list[Path], tmp_path: Path
) -> None:
    code = run(
        tiny_model_folder, "--continue", *primers, "--takes", 3, "--out", tmp_path / "all", *BRIEF
    )

    assert code == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "all").iterdir()}
    assert sorted(written) == [f"primer-{file}-{take}.mid" for file in (0, 1) for take in (1, 2, 3)]
    assert len(set(written.values())) == 6
    for seed, name in enumerate(sorted(written), start=5):
        source, alone = primers[int(name[7])], tmp_path / f"alone-{seed}.mid"
        run(tiny_model_folder, "--continue", source, "--out", alone, *BRIEF[:-1], seed)
        assert alone.read_bytes() == written[name]


def test_a_file_is_read_once_for_all_its_takes(tiny_model_folder: Path) -> None:
    engine = Engine.open(tiny_model_folder, precision="fp32")
    primed = PrimedEngine(engine)
    opening, later = [1, 2, 3] * 100, [4, 5, 6]
    first = [primed.feed(opening), *(primed.feed([token]) for token in later)]
    session, runs = engine._session, engine._runs
    engine._session, engine._runs = None, {}  # whatever would be read now fails

    primed.reset()
    again = primed.feed(opening)

    np.testing.assert_array_equal(again, first[0])
    assert engine.position == len(opening)
    engine._session, engine._runs = session, runs
    np.testing.assert_array_equal([primed.feed([token]) for token in later], first[1:])
    primed.reset()
    other = primed.feed([9, *opening])
    engine.reset()
    np.testing.assert_array_equal(other, engine.feed([9, *opening]))


def test_takes_are_numbered_so_that_they_sort(tmp_path: Path) -> None:
    options = OfflineOptions(
        sources=(tmp_path / "x.MID",), out=tmp_path / "out", model=tmp_path, provider="cpu",
        precision="auto", threads=1, parameters=Parameters(seed=2**31 - 1), takes=10,
    )  # fmt: skip

    jobs = jobs_of(options)

    assert [job.out.name for job in jobs[::9]] == ["x-01.mid", "x-10.mid"]
    assert [job.parameters.seed for job in jobs[:2]] == [2**31 - 1, 0]


def test_a_file_that_fails_in_its_first_take_is_not_tried_again(
    tiny_model_folder: Path,
    primers: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sources = [tmp_path / "missing.mid", primers[0]]

    code = run(
        tiny_model_folder, "--continue", *sources, "--takes", 2, "--out", tmp_path / "all", *BRIEF
    )

    assert code == 2
    assert capsys.readouterr().err.splitlines()[1:] == ["1 of 2 files could not be continued"]
    assert len(list((tmp_path / "all").iterdir())) == 2


def test_a_file_that_fails_is_named_and_the_others_go_on(
    tiny_model_folder: Path,
    primers: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "noise.mid").write_bytes(b"no music")
    sources = [tmp_path / "missing.mid", primers[0], tmp_path / "noise.mid"]

    code = run(tiny_model_folder, "--continue", *sources, "--out", tmp_path / "all", *BRIEF)

    assert code == 2
    told = capsys.readouterr()
    assert [path.name for path in (tmp_path / "all").iterdir()] == [primers[0].name]
    assert re.search(r"primer-0\.mid: 12 notes, .* \(seed 6, ", told.out)
    assert "missing.mid: No such file" in told.err
    assert "noise.mid: " in told.err
    assert "2 of 3 files" in told.err


def test_a_file_is_continued_from_the_instant_asked_for(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    code = run(
        tiny_model_folder, "--continue", *PIECES, "--at", "6.5", "4",
        "--out", tmp_path / "all", *BRIEF,
    )  # fmt: skip

    assert code == 0
    for piece, cut_s in zip(PIECES, (6.5, 4.0), strict=True):
        heard = [e for e in read_performance(piece) if e.time_s < cut_s]
        written = read_performance(tmp_path / "all" / piece.name)
        answer = onsets_after(tmp_path / "all" / piece.name, cut_s)
        assert len(answer) == 12
        assert answer[0] == pytest.approx(cut_s, abs=0.011)  # at once, on the grid
        notes = sum(isinstance(event.event, NoteOn) for event in heard)
        assert sum(isinstance(event.event, NoteOn) for event in written) == notes + 12


def test_one_instant_serves_every_file(tiny_model_folder: Path, tmp_path: Path) -> None:
    code = run(
        tiny_model_folder, "--continue", *PIECES, "--at", "5", "--out", tmp_path / "all", *BRIEF
    )

    assert code == 0
    assert [len(onsets_after(tmp_path / "all" / piece.name, 5.0)) for piece in PIECES] == [12, 12]


def test_a_picture_is_drawn_unless_refused(
    tiny_model_folder: Path, primers: list[Path], tmp_path: Path
) -> None:
    run(tiny_model_folder, "--continue", primers[0], "--out", tmp_path / "a.mid", *BRIEF)
    run(tiny_model_folder, "--continue", primers[0], "--out", tmp_path / "b.mid", *BRIEF[1:])

    assert not (tmp_path / "a.png").exists()
    assert (tmp_path / "b.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.mid", "b.mid", "--out", "out", "--at", "1", "2", "3"], "3 instants for 2 files"),
        (["a.mid", "x/a.mid", "--out", "out"], "two files would be written here"),
        (["a.mid", "--out", "a.mid"], "is the file to continue"),
        (["a.mid", "b.mid", "--out", "there.txt"], "several continuations need a folder"),
        (["a.mid", "--takes", "2", "--out", "there.txt"], "several continuations need a folder"),
        (["a.mid", "--takes", "2", "--out", "new.mid"], "several continuations need a folder"),
        (["a.mid", "--out", "b.mid", "--set", "length_unit", "open"], "never ends in a file"),
        (["a.mid", "x/a.mid", "--takes", "2", "--out", "out"], "two files would be written here"),
        (["a.mid", "--out", "b.mid", "--set", "legnth", "3"], "did you mean 'length'?"),
        (["a.mid", "--out", "b.mid", "--set", "length", "0"], "allowed: a number from 1 to 3600"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.txt").write_text("mine")

    assert main(["--continue", *words]) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert (tmp_path / "there.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "words",
    [
        ["--at", "3"],
        ["--no-picture"],
        ["--takes", "2"],
        ["--continue", "a", "--out", "b", "--at", "-1"],
        ["--continue", "a", "--out", "b", "--takes", "0"],
    ],
)
def test_options_that_mean_nothing_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words)


def test_keys_held_at_the_instant_come_up_there() -> None:
    events = [
        TimedEvent(0.0, NoteOn(60, 70)),
        TimedEvent(0.5, Pedal(True)),
        TimedEvent(1.0, NoteOn(64, 70)),
        TimedEvent(1.5, NoteOff(64)),
        TimedEvent(3.0, NoteOff(60)),
    ]

    assert heard_until(events, 2.0) == [*events[:4], TimedEvent(2.0, NoteOff(60))]
    assert heard_until(events, 1.0) == [*events[:2], TimedEvent(1.0, NoteOff(60))]
    assert heard_until(events, None) == events
    assert heard_until(events, 0.0) == heard_until([], None) == []
    assert closed(events[:3])[3:] == [TimedEvent(1.0, NoteOff(60)), TimedEvent(1.0, NoteOff(64))]


def test_words_of_a_command_line_become_parameters() -> None:
    changed = with_words(Parameters(), ["length", "256", "length_unit", "notes", "seed", "7"])

    assert changed == Parameters(length=256.0, length_unit="notes", seed=7)
    assert with_words(changed, ["seed", "null"]).seed is None
    assert with_words(changed, []) == changed


@pytest.mark.parametrize("words", [["seed"], ["seed", "1.5"], ["length", "nan"], ["x", "1"]])
def test_words_that_are_no_parameters_are_refused(words: list[str]) -> None:
    with pytest.raises(SettingsError, match=r"alone|not allowed|unknown"):
        with_words(Parameters(), words)
