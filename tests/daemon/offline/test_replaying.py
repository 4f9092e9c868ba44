"""A session that was played by a brain in real time is played again, decision by decision."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path

import pytest

from daemon.__main__ import main
from daemon.brain.choosing_performer import ChoosingPerformer
from daemon.brain.process import Brain, BrainOptions
from daemon.messages.brain import (
    BeginTurn,
    BrainReady,
    Conclude,
    EndTurn,
    Hear,
    PlanComplete,
    Planned,
    Quit,
    Recall,
    Return,
    Steer,
    ToBrain,
    Took,
)
from daemon.messages.journal import JournalError, Line, Opening, as_text, line_of
from daemon.parameters import LengthUnit, Parameters
from daemon.recorder import Recorder
from daemon.stage.descriptions import opening
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import read_markers, write_performance

pytestmark = pytest.mark.slow

PATIENCE_S = 60.0
PARAMETERS = Parameters(seed=5, length=400.0, length_unit=LengthUnit.NOTES.value)
PHRASE = tuple(
    sorted(
        timed
        for number in range(12)
        for timed in (
            (0.25 * number + 0.0031, number, NoteOn(60 + number, 64 + number)),
            (0.25 * number + 0.1999, number, NoteOff(60 + number)),
        )
    )
)
HEARD = tuple(TimedEvent(time_s, event) for time_s, _, event in PHRASE)


class Stage:
    """Speaks to a brain as the stage does, and has everything recorded."""

    def __init__(self, model: Path, folder: Path) -> None:
        self._ours, its_own = Pipe()
        self._origin_ns = time.monotonic_ns() - int(4e9)
        options = BrainOptions(model, "cpu", "fp32", 1, 0.3, 0.02, self._origin_ns)
        brain = Brain(its_own, options, ChoosingPerformer)
        self._thread = threading.Thread(target=brain.serve)
        self._thread.start()
        self.recorder = Recorder(folder, self.now_s)
        ready = self.next_of(BrainReady)
        self.recorder.played_by(opening(ready))
        self.planned: list[TimedEvent] = []
        self._owed = 0  # messages within a turn that the brain has not yet taken in
        self._in_turn = False

    def now_s(self) -> float:
        return (time.monotonic_ns() - self._origin_ns) / 1e9

    def next_of(self, kind: type) -> object:
        while True:
            assert self._ours.poll(PATIENCE_S), "the brain says nothing"
            said = self._ours.recv()
            self._take(said)
            if isinstance(said, kind):
                return said

    def _take(self, said: object) -> None:
        match said:
            case Planned(events=events):
                self.planned += events
            case Took():
                self._owed -= 1
                self.recorder.note(self.now_s(), said)

    def say(self, message: ToBrain) -> None:
        self._ours.send(message)
        self._owed += self._in_turn
        self._in_turn = isinstance(message, BeginTurn) or (
            self._in_turn and not isinstance(message, EndTurn | Recall)
        )
        self.recorder.note(self.now_s(), message)

    def hear(self, events: tuple[TimedEvent, ...]) -> None:
        self.say(Hear(events))
        for timed in events:
            self.recorder.add("player", timed)

    def until_planned(self, notes: int) -> None:
        while sum(isinstance(event, NoteOn) for _, event in self.planned) < notes:
            self.next_of(Planned)

    def end_turn(self, turn: int, performed: list[TimedEvent]) -> None:
        for timed in performed:
            self.recorder.add("performer", timed)
        self.say(EndTurn(turn, tuple(performed)))
        while self._owed:
            self.next_of(Took)
        self.planned = []

    def close(self) -> None:
        self._ours.send(Quit())
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        self.recorder.write()


@contextmanager
def stage(model: Path, folder: Path) -> Iterator[Stage]:
    made = Stage(model, folder)
    try:
        yield made
    finally:
        made.close()


def sent(planned: list[TimedEvent], until_s: float) -> list[TimedEvent]:
    """Return what leaves of a plan that is cut: a little late, and all that sounds released."""
    left = [TimedEvent(s + 0.0004, event) for s, event in planned if s < until_s]
    down: set[int] = set()
    for _, event in left:
        if isinstance(event, NoteOn):
            down.add(event.pitch)
        elif isinstance(event, NoteOff):
            down.discard(event.pitch)
    return left + [TimedEvent(until_s, NoteOff(pitch)) for pitch in sorted(down)]


@pytest.fixture(scope="module")
def recorded(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the recording of two turns in which the brain was told things while it planned."""
    folder = tmp_path_factory.mktemp("recordings")
    with stage(tiny_model_folder, folder) as playing:
        playing.hear(HEARD)
        start_s = playing.now_s() + 0.05
        playing.say(BeginTurn(1, start_s, frozenset({40}), PARAMETERS, 3.0))
        playing.until_planned(6)
        playing.hear((TimedEvent(playing.now_s(), NoteOff(40)),))
        playing.until_planned(9)
        playing.say(Steer(replace(PARAMETERS, temperature=1.5, tempo_scale=1.5, transpose=5)))
        playing.until_planned(14)
        playing.end_turn(1, sent(playing.planned, playing.planned[-1].time_s - 0.05))
        playing.hear((TimedEvent(playing.now_s(), Pedal(True)),))
        playing.say(BeginTurn(2, playing.now_s(), frozenset(), replace(PARAMETERS, seed=8)))
        playing.until_planned(5)
        from_s = playing.planned[-1].time_s - 0.01
        playing.say(Conclude(2, from_s))
        playing.next_of(PlanComplete)
        playing.end_turn(2, [TimedEvent(s + 0.0002, event) for s, event in playing.planned])
        playing.say(Return(1, 0.25))  # another take of it
        playing.say(BeginTurn(3, playing.now_s(), frozenset(), replace(PARAMETERS, seed=9)))
        playing.until_planned(4)
        playing.end_turn(3, sent(playing.planned, playing.planned[-1].time_s))
    (path,) = folder.glob("*.mid")
    return path


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def running(path: Path, *options: str) -> tuple[int, str, str]:
        model = options or ("--model", str(tiny_model_folder))
        code = main(["--replay", str(path), *model])
        said = capsys.readouterr()
        return code, said.out, said.err

    return running


def changed(recorded: Path, to: Path, change: Callable[[Line], Line | None]) -> Path:
    """Write a recording whose journal has other lines."""
    lines = [change(line_of(text)) for text in read_markers(recorded)]
    markers = [(0.0, as_text(line)) for line in lines if line is not None]
    write_performance(to, [], markers=markers)
    return to


def test_every_turn_is_the_same_again(recorded: Path, run: Run) -> None:
    code, out, err = run(recorded)

    assert (code, err) == (0, "")
    assert re.findall(r"turn (\d) \(seed (\d)\): \d+ notes, the same", out) == [
        ("1", "5"),
        ("2", "8"),
        ("3", "9"),
    ]
    assert "3 turns, 0 differ (fp32 on CPUExecutionProvider" in out


def test_another_seed_is_told_where_it_differs(recorded: Path, run: Run, tmp_path: Path) -> None:
    def reseeded(line: Line) -> Line:
        if isinstance(line, BeginTurn) and line.turn == 1:
            return replace(line, parameters=replace(line.parameters, seed=6))
        return line

    code, out, _ = run(changed(recorded, tmp_path / "other.mid", reseeded))

    assert code == 1
    assert re.search(r"turn 1 \(seed 6\): differs at note \d+: then key \d+ \(\d+\) after", out)


def test_what_was_told_in_a_turn_is_taken_in_where_it_was(
    recorded: Path, run: Run, tmp_path: Path
) -> None:
    def at_once(line: Line) -> Line:
        return replace(line, steps=1) if isinstance(line, Took) and line.turn == 1 else line

    code, out, _ = run(changed(recorded, tmp_path / "other.mid", at_once))

    assert code == 1
    assert "turn 1 (seed 5): differs at note" in out


def test_a_recording_goes_on_from_the_one_before(recorded: Path, run: Run, tmp_path: Path) -> None:
    lines = [line_of(text) for text in read_markers(recorded)]
    second = next(n for n, line in enumerate(lines) if isinstance(line, EndTurn)) + 2
    assert isinstance(lines[0], Opening)
    goes_on: list[Line] = [replace(lines[0], before="first.mid"), *lines[second:]]
    for name, part in (("first.mid", lines[:second]), ("second.mid", goes_on)):
        write_performance(tmp_path / name, [], markers=[(0.0, as_text(each)) for each in part])

    code, out, _ = run(tmp_path / "second.mid")

    assert (code, out.count("turn 1 "), out.count("turn 2 (seed 8)")) == (0, 0, 1)
    (tmp_path / "first.mid").unlink()
    assert "goes on from first.mid, which is needed" in run(tmp_path / "second.mid")[2]


def test_a_session_that_is_cut_is_played_as_far_as_it_goes(
    recorded: Path, run: Run, tmp_path: Path
) -> None:
    ended = []

    def until_the_second_end(line: Line) -> Line | None:
        ended.extend([line] if isinstance(line, EndTurn) else [])
        return line if len(ended) < 2 else None

    code, out, _ = run(changed(recorded, tmp_path / "cut.mid", until_the_second_end))

    assert code == 1
    assert "turn 1 (seed 5): " in out
    assert "turn 2 (seed 8): the recording ends before it does" in out


def test_a_turn_of_which_the_model_died_is_told(recorded: Path, run: Run, tmp_path: Path) -> None:
    def without_the_end(line: Line) -> Line | None:
        return None if isinstance(line, EndTurn) and line.turn == 2 else line

    code, out, _ = run(changed(recorded, tmp_path / "died.mid", without_the_end))

    assert code == 1
    assert "turn 2 (seed 8): it was broken off" in out


def test_bytes_that_are_cut_are_refused(recorded: Path, run: Run, tmp_path: Path) -> None:
    half = tmp_path / "half.mid"
    half.write_bytes(recorded.read_bytes()[:-200])

    code, _, err = run(half)

    assert code == 2
    assert f"{half}: ends too early" in err


def test_what_is_no_session_is_refused(run: Run, tmp_path: Path) -> None:
    music, text = tmp_path / "music.mid", tmp_path / "text.mid"
    write_performance(music, [])
    text.write_text("no music")
    write_performance(tmp_path / "odd.mid", [], markers=[(0.0, "verse")])

    assert run(music)[::2] == (
        2,
        f"{music}: {'is no recording of a session'}: it does not begin "
        "with which model played it\n",
    )
    assert run(text)[0] == 2
    assert "is no line of a journal" in run(tmp_path / "odd.mid")[2]
    assert "no such file" in run(tmp_path / "none.mid")[2].lower()


def test_another_model_is_refused(recorded: Path, run: Run) -> None:
    shipped = Path(__file__).resolve().parents[3] / "models" / "small"

    code, _, err = run(recorded, "--model", str(shipped))

    assert code == 2
    assert "was played by another model" in err


@pytest.mark.parametrize(
    "line",
    [
        Opening("models/x", "abc", "fp32", "cpu", None),
        Hear(HEARD),
        BeginTurn(3, 1.1, frozenset({60, 61}), replace(PARAMETERS, scale=("c", "major")), 2.5),
        Conclude(3, None),
        Conclude(3, None, 4.5),
        Conclude(3, 2.25),
        Steer(PARAMETERS),
        EndTurn(3, HEARD, (TimedEvent(1 / 3, Pedal(True)),)),
        Recall(()),
        Return(2, 0.125),
        Took(3, 17),
    ],
)
def test_a_line_is_read_exactly_as_it_was_written(line: Line) -> None:
    assert line_of(as_text(line)) == line
    assert as_text(line).isascii()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "3", '{"is":"Quit"}', '{"is":"Hear"}', '{"is":"Hear","events":[[1]]}',
     '{"is":"Hear","events":[[1,"NoteOn"]]}', '{"is":"Steer","parameters":{"volume":3}}',
     '{"is":"Steer","parameters":{"temperature":"hot"}}', '{"is":["Hear"]}',
     '{"is":"Opening","model":"","checkpoint_sha256":"","precision":"","provider":"",'
     '"before":null,"format":2}'],
)  # fmt: skip
def test_what_is_no_line_is_refused(text: str) -> None:
    with pytest.raises(JournalError):
        line_of(text)
