"""The report: drawn and told from figures, kept part by part, made from a real model."""

import argparse
import json
import re
import shutil
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perceivers.errors import PerformerError
from tests.support.make_model import make_checkpoint, make_model_folder
from training.evaluation.likelihood.figures import Scores, summary
from training.evaluation.metrics.distances import compare
from training.evaluation.metrics.mgeval import mgeval_compatible
from training.evaluation.metrics.notes import Notes, make_notes
from training.evaluation.report.charts import Frame, Mark, Row, dot_chart, piano_roll
from training.evaluation.report.kept_stages import KeptStages
from training.evaluation.report.making import make_report
from training.evaluation.report.page import Part, Shown, page, write_report
from training.evaluation.report.request import (
    ReportRequest,
    add_report_options,
    report_request,
)
from training.evaluation.two_sample.judgement import Pair, two_sample_test

STARTER = Path(__file__).resolve().parents[4] / "training" / "starter"
ALONE = ("--only", "likelihood")
VOID = {"br", "meta"}


class Reader(HTMLParser):
    """Reads a page; fails where a tag is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src") and value]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def melody(seed: int, notes: int = 40) -> Notes:
    rng = np.random.default_rng(seed)
    onset_s = np.cumsum(rng.uniform(0.1, 0.5, notes))
    rows = [
        (
            float(s),
            float(s + rng.uniform(0.1, 0.6)),
            int(rng.integers(40, 90)),
            int(rng.integers(20, 110)),
        )
        for s in onset_s
    ]
    return make_notes(rows, [(1.0, 3.0)])


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    """Return figures as the parts make them."""
    rng = np.random.default_rng(0)
    targets = rng.integers(7, 300, 900)
    scores = [Scores(rng.normal(2.0, 0.3, 900), targets, piece) for piece in range(3)]
    groups = [str(number // 2) for number in range(12)]
    model = [melody(number) for number in range(12)]
    human = [melody(100 + number) for number in range(12)]
    pairs = [
        Pair(group, melody(200), mine, theirs)
        for group, mine, theirs in zip(groups, model, human, strict=True)
    ]
    return {
        "settings": {"model": "models/<odd> & small", "seed": 0, "parameters": {"top_p": "0.9"}},
        "likelihood": summary(scores),
        "two_sample": two_sample_test(pairs, quiet=True, repeats={"logistic": 1}),
        "metrics": compare(model, human, groups, np.random.default_rng(0)),
        "mgeval": mgeval_compatible(model, human),
        "seconds": {"metrics": 1.25},
    }


@pytest.fixture(scope="module")
def shown() -> list[Shown]:
    def part(name: str, seed: int) -> Part:
        return Part(name, melody(seed), f"continuations/ü {name}.mid")

    return [
        Shown("a/<b>.mid", 12.5, seed, (part("primer", 1), part("model", 2), part("pianist", 3)))
        for seed in (7, 8)
    ]


def test_the_page_tells_every_figure_and_needs_nothing_from_outside(
    figures: dict[str, Any], shown: list[Shown], tmp_path: Path
):
    write_report(tmp_path, figures, shown)

    assert json.loads((tmp_path / "report.json").read_text()) == figures
    found = Reader((tmp_path / "index.html").read_text())
    text = " ".join(found.text)
    assert found.tags.count("svg") == 2 + 2 + 2 + 2 * 3  # likelihood, test, distances, rolls
    assert all(not re.match(r"[a-z]+:|/", link) for link in found.links)
    assert found.links[0] == "continuations/%C3%BC%20primer.mid"
    assert "models/<odd> & small" in text
    assert "a/<b>.mid, from 12.50 s, seed 8" in text
    auc = figures["two_sample"]["model_against_human"]["logistic"]["auc"]
    told = f"{auc['value']:.3f} ({auc['low']:.3f} … {auc['high']:.3f})"
    assert told in text
    for feature, metrics in figures["metrics"].items():
        assert feature.replace("_", " ") in text
        assert f"{metrics['overlap_area']['floor']:.3f}" in text
    assert f"{figures['likelihood']['bits_per_note']['value']:.3f}" in text


@pytest.mark.parametrize("left_out", ["likelihood", "two_sample", "metrics", "mgeval"])
def test_a_part_that_was_not_made_is_left_out(figures: dict[str, Any], left_out: str):
    some = {name: part for name, part in figures.items() if name != left_out}

    whole, fewer = Reader(page(figures, ())), Reader(page(some, ()))

    assert fewer.tags.count("h2") == whole.tags.count("h2") - 1


def test_a_chart_shows_values_where_they_lie_on_the_axis():
    rows = [
        Row("low", (Mark(0.0, 0.0, 0.25),)),
        Row("high & <wide>", (Mark(1.0), Mark(0.5, series=1)), (0.25, 0.75)),
        Row("unknown", (Mark(None),)),
    ]

    drawn = ET.fromstring(dot_chart(rows, "AUC", ("a", "b"), 0.5, (0.0, 1.0)))

    dots = [dot for dot in drawn.iter("circle") if dot.find("title") is not None]
    low, high, middle = (float(dot.get("cx", "nan")) for dot in dots)
    assert middle == pytest.approx((low + high) / 2, abs=0.1)
    (goal,) = (path.get("d", "") for path in drawn.iter("path") if path.get("class") == "goal")
    assert goal.startswith(f"M{middle:.1f} ")
    (band,) = (rect for rect in drawn.iter("rect") if rect.get("class") == "band")
    assert float(band.get("width", "nan")) == pytest.approx((high - low) / 2, abs=0.1)
    assert "high & <wide>" in [text.text for text in drawn.iter("text")]
    assert dot_chart([Row("unknown", (Mark(None),))], "none") == ""
    assert "4.3" in dot_chart([Row("one", (Mark(4.3),))], "a single value has an axis too")


def test_a_roll_shows_each_note_at_its_pitch_and_time():
    notes = make_notes([(0.0, 2.0, 60, 10), (5.0, 10.0, 71, 120)], [(2.5, 5.0)])
    frame = Frame.around([notes])

    drawn = ET.fromstring(piano_roll(notes, frame, "two notes", 0))

    soft, loud, pedal = (
        path.get("d", "") for path in drawn.iter("path") if "grid" not in str(path.get("class"))
    )
    assert (frame.lowest, frame.highest, frame.seconds) == (60, 71, 10.0)
    assert soft.startswith("M0.0 ")
    assert soft.endswith("h200.0")
    assert loud.startswith("M500.0 ")
    assert loud.endswith("h500.0")
    assert float(soft.split()[1].partition("h")[0]) > float(loud.split()[1].partition("h")[0])
    assert pedal.startswith("M250.0 ")


def test_a_part_is_kept_until_what_it_depends_on_changes(tmp_path: Path):
    made: list[str] = []

    def make(name: str) -> dict[str, Any]:
        made.append(name)
        return {"by": name}

    def run(key: dict[str, Any], name: str) -> dict[str, Any]:
        return KeptStages(tmp_path, tell=lambda _line: None).run("part", key, lambda: make(name))

    assert run({"seed": 1}, "first") == run({"seed": 1}, "again") == {"by": "first"}
    assert run({"seed": 2}, "other") == {"by": "other"}
    (tmp_path / "part.json").write_text('{"key": ')
    assert run({"seed": 2}, "after damage") == {"by": "after damage"}
    assert made == ["first", "other", "after damage"]


def request_of(*words: str) -> ReportRequest:
    parser = argparse.ArgumentParser()
    for option, kind in (("--model", Path), ("--midi", Path), ("--split", str)):
        parser.add_argument(option, type=kind)
    parser.add_argument("--datasets", default="")
    add_report_options(parser)
    return report_request(parser.parse_args(words))


def test_what_cannot_be_reported_is_refused_before_any_work(tmp_path: Path):
    checkpoint = make_checkpoint(tmp_path / "best.pt")
    words = ("--report", str(tmp_path / "out"), "--model", str(checkpoint))

    (tmp_path / "file").write_text("no folder")
    inside = request_of(*words, "--report", str(tmp_path / "file"), "--midi", str(STARTER), *ALONE)
    with pytest.raises(PerformerError, match="choose another"):
        make_report(inside, dict, {})
    with pytest.raises(PerformerError, match="needs --midi"):
        request_of(*words)
    with pytest.raises(PerformerError, match="only a model folder can play"):
        request_of(*words, "--midi", str(STARTER))
    alone = request_of(*words, "--midi", str(STARTER), *ALONE)
    assert not alone.continues
    assert not (tmp_path / "out").exists()


@pytest.fixture
def midi(tmp_path: Path) -> Path:
    """Return a folder of five pieces to learn from."""
    folder = tmp_path / "midi"
    folder.mkdir()
    paths = sorted(STARTER.rglob("*.mid"))[:5]
    for path in paths:
        shutil.copy(path, folder / path.name)
    rows = [f"{path.name},train,five" for path in paths]
    (folder / "MANIFEST.csv").write_text("\n".join(["path,split,dataset", *rows]))
    return folder


@pytest.mark.processes
def test_a_report_is_made_from_a_model_and_goes_on_where_it_was(
    midi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("training.evaluation.report.making.SHOWN", 1)  # sound takes a while
    model = make_model_folder(tmp_path / "model")
    words = ("--report", str(tmp_path / "out"), "--model", str(model), "--midi", str(midi))
    asked = (*words, "--continuations", "4", "--notes", "20", "--split", "train", "--seed", "3")
    asked = (*asked, "--set", "temperature", "0.8", "--without", "two_sample", "metrics")
    scored: list[int] = []

    def likelihood() -> dict[str, Any]:
        scored.append(1)
        tokens = np.arange(200)
        return summary([Scores(tokens / 100, tokens + 7, 0), Scores(tokens / 90, tokens + 7, 1)])

    figures = make_report(request_of(*asked), likelihood, {"every": 1})
    again = make_report(request_of(*asked), likelihood, {"every": 1})

    assert figures == again == json.loads((tmp_path / "out" / "report.json").read_text())
    assert scored == [1]
    assert figures["settings"]["parameters"] == {"temperature": "0.8"}
    assert figures.keys() >= {"likelihood", "mgeval", "repetition", "copying", "sound", "seconds"}
    assert figures["copying"]["human"]["median"] >= 20  # the training split itself was continued
    assert not figures.keys() & {"two_sample", "metrics"}
    found = Reader((tmp_path / "out" / "index.html").read_text())
    midi = [link for link in found.links if link.endswith(".mid")]
    assert len(midi) == 3 + 2  # each alone, and the answers with their primer
    assert all((tmp_path / "out" / link).is_file() for link in found.links)
    assert "seed 3" in " ".join(found.text)
