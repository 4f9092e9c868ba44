"""Copying: the longest run that a performance shares with a corpus, found exactly."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perceivers.encoder import encode
from perceivers.errors import PerformerError
from perceivers.midi_files import Track, read_performance, write_performance
from training.data.preparation import prepare
from training.evaluation.continuations.cuts import quantised
from training.evaluation.metrics.copying import (
    copying_report,
    index_of_store,
    main,
    pitches_of_notes,
    pitches_of_tokens,
    shared_share,
)
from training.evaluation.metrics.corpus_index import CorpusIndex, sorted_suffixes
from training.evaluation.metrics.notes import TooFewNotes, notes_of

STARTER = Path(__file__).resolve().parents[4] / "training" / "starter"
PIECES = sorted(STARTER.rglob("*.mid"))[:3]

# Few pitches, so that runs of every length are shared.
pieces = st.lists(st.lists(st.integers(58, 62), min_size=1, max_size=25), min_size=1, max_size=4)


def slowly(corpus: list[list[int]], query: list[int]) -> int:
    """Return the notes of the longest shared run, by trying every pair of places."""
    best = 0
    for piece in corpus:
        for i in range(len(query)):
            for j in range(len(piece)):
                length = 0
                while (
                    i + length + 1 < len(query)
                    and j + length + 1 < len(piece)
                    and query[i + length + 1] - query[i + length]
                    == piece[j + length + 1] - piece[j + length]
                ):
                    length += 1
                best = max(best, length)
    return best + 1


def index_of(corpus: list[list[int]]) -> CorpusIndex:
    return CorpusIndex.build((str(n), np.array(piece)) for n, piece in enumerate(corpus))


@settings(deadline=None)
@given(pieces, st.lists(st.integers(50, 70), min_size=2, max_size=25))
def test_the_longest_run_is_the_one_that_trying_everything_finds(
    corpus: list[list[int]], query: list[int]
) -> None:
    found = index_of(corpus).longest_shared(np.array(query))

    assert found.notes == slowly(corpus, query)
    piece = corpus[int(found.piece)][found.piece_start : found.piece_start + found.notes]
    played = query[found.start : found.start + found.notes]
    assert [pitch + found.transposition for pitch in piece] == played


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60))
def test_suffixes_are_sorted(text: list[int]) -> None:
    array = np.array(text, dtype=np.uint8)

    order = sorted_suffixes(array).tolist()

    assert order == sorted(range(len(text)), key=lambda place: text[place:])


def test_a_run_does_not_go_from_one_piece_into_the_next() -> None:
    found = index_of([[60, 62, 64], [66, 68, 70]]).longest_shared(np.arange(60, 72, 2))

    assert found.notes == 3


def test_of_equal_runs_the_one_that_is_transposed_least_is_named() -> None:
    corpus = [[50, 51, 53, 56], [61, 62, 64, 67], [70, 71, 73, 76]]

    found = index_of(corpus).longest_shared(np.array([60, 61, 63, 66]))

    assert (found.piece, found.transposition, found.notes) == ("1", -1, 4)


def test_the_share_of_ngrams_counts_those_that_the_corpus_has() -> None:
    index = index_of([[60, 62, 64, 65, 67]])
    lengths = index.shared_lengths(np.array([70, 72, 74, 75, 90]))

    assert lengths.tolist() == [3, 2, 1, 0]
    assert shared_share(lengths, 2) == 3 / 4
    assert shared_share(lengths, 4) == 1 / 2
    assert shared_share(lengths, 5) == 0.0
    with pytest.raises(TooFewNotes):
        shared_share(lengths, 6)


def test_too_little_to_compare_is_refused() -> None:
    with pytest.raises(PerformerError, match="no notes to look for copies in"):
        index_of([[]])
    with pytest.raises(PerformerError, match="1 notes; copying is told of two or more"):
        index_of([[60, 61]]).longest_shared(np.array([60]))


def test_tokens_and_notes_give_the_same_sequence() -> None:
    events = read_performance(PIECES[0])
    start_s = events[0].time_s
    shifted = [event._replace(time_s=event.time_s - start_s) for event in events]

    tokens = np.array(encode(shifted), dtype=np.uint16)

    played = pitches_of_notes(notes_of(quantised(events)))
    assert pitches_of_tokens(tokens).tolist() == played.tolist()
    assert len(played) > 500


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return token files of three real pieces."""
    midi = tmp_path_factory.mktemp("midi")
    rows = ["path,split,dataset,capture"]
    for number, piece in enumerate(PIECES):
        (midi / f"{number}.mid").write_bytes(piece.read_bytes())
        rows.append(f"{number}.mid,{'test' if number == 2 else 'train'},asap,disklavier")
    (midi / "MANIFEST.csv").write_text("\n".join(rows) + "\n")
    out = tmp_path_factory.mktemp("tokens")
    prepare(midi, out, workers=1, quiet=True)
    return out


def test_a_transposed_copy_of_a_training_piece_is_found(tokens: Path) -> None:
    index = index_of_store(tokens)
    piece = pitches_of_notes(notes_of(quantised(read_performance(PIECES[1]))))

    found = index.longest_shared(piece[200:300] - 5)

    assert index.pieces == ("0.mid", "1.mid")  # no piece of the test split
    assert (found.notes, found.piece, found.piece_start) == (100, "1.mid", 200)
    assert found.transposition == -5


def test_an_index_is_kept_and_made_anew_for_other_tokens(tokens: Path, tmp_path: Path) -> None:
    cache = tmp_path / "index.npz"

    made = index_of_store(tokens, cache)
    written = cache.stat().st_mtime_ns
    kept = index_of_store(tokens, cache)

    assert cache.stat().st_mtime_ns == written
    assert (kept.pieces, kept.intervals) == (made.pieces, made.intervals)
    assert np.array_equal(kept.order, made.order)
    assert np.array_equal(kept.starts, made.starts)
    with pytest.raises(PerformerError, match="no notes"):
        index_of_store(tokens, cache, ["another data set"])
    assert CorpusIndex.load(cache, "another key") is None
    cache.write_bytes(cache.read_bytes()[:2000])
    assert index_of_store(tokens, cache).pieces == made.pieces
    assert cache.stat().st_size > 2000


def continuation_folder(folder: Path) -> Path:
    """Write a folder whose model copies 64 notes of a training piece; its pianist is another."""
    copied, own = (
        [event for event in quantised(read_performance(piece)) if event.time_s < 12.0]
        for piece in (PIECES[0], PIECES[2])
    )
    for side, events in (("model", copied), ("human", own)):
        write_performance(folder / f"000-{side}.mid", [Track(side, 0, tuple(events))])
    item = {
        "number": 0, "source": "2.mid", "dataset": "asap", "group": "2", "cut_s": 0.0, "seed": 0,
        "primer": "000-primer.mid", "model": "000-model.mid", "human": "000-human.mid",
        "played": "played/000-primer.mid",
    }  # fmt: skip
    (folder / "index.json").write_text(json.dumps({"items": [item]}))
    return folder


def test_a_report_sets_the_model_beside_the_pianist(
    tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = continuation_folder(tmp_path)

    report = copying_report(folder, index_of_store(tokens), quiet=True)

    model, human = report["items"][0]["model"], report["items"][0]["human"]
    assert model["piece"] == "0.mid"
    assert model["notes"] == report["model"]["longest"] > 30 > human["notes"]
    assert report["longest_run"]["difference"] == model["notes"] - human["notes"]
    assert report["shared_16"]["model"] == 1.0 > report["shared_16"]["human"]
    out = tmp_path / "copying.json"
    words = [str(folder), "--tokens", str(tokens), "--cache", str(tmp_path / "i.npz")]
    assert main([*words, "--json", str(out)]) == 0
    assert json.loads(out.read_text()) == report
    assert f"longest {model['notes']}" in capsys.readouterr().out
    assert main([str(tmp_path / "nowhere"), *words[1:]]) == 2


def test_a_place_that_cannot_hold_the_index_is_told(tokens: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(PerformerError, match=r"cannot be written \(.*\); keep the index elsewhere"):
        index_of_store(tokens, tmp_path / "file" / "index.npz")
