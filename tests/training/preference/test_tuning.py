"""A model that learns from pairs prefers the pianists, and stays a model of music."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perceivers.checkpoint import load_checkpoint
from perceivers.errors import PerformerError
from perceivers.vocabulary import NOTE_OFF, NOTE_ON, TIME_SHIFT
from tests.support.make_model import TINY, make_checkpoint
from tests.support.small_runs import prepare_chords
from training.preference.pairs import Pair
from training.preference.tuning import PreferenceOptions, prefer

OPTIONS = PreferenceOptions(rate=0.1, context=96, answer=24, precision="fp32", held_out=0.25)


def pairs(count: int = 24) -> list[Pair]:
    """Return pairs whose pianist plays short notes and whose model plays long ones."""
    found = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        primer, short, long = (
            np.concatenate([_note(int(pitch), steps) for pitch in rng.integers(50, 70, size=8)])
            for steps in (10, 10, 60)
        )
        found.append(Pair(primer, short, long, group=str(seed % 8)))
    return found


def _note(pitch: int, steps: int) -> list[int]:
    return [NOTE_ON + pitch, TIME_SHIFT + steps, NOTE_OFF + pitch]


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_chords(tmp_path_factory.mktemp("chords"))


@pytest.mark.slow
def test_it_learns_to_prefer_pianists_it_has_not_met(tmp_path: Path, tokens: Path) -> None:
    init = make_checkpoint(tmp_path / "init.pt", TINY)

    options = replace(OPTIONS, epochs=6, most_loss=5.0)
    seen = prefer(init, pairs(), tokens, tmp_path / "own.pt", options)

    assert seen[0].margin == pytest.approx(0.0, abs=1e-3)
    assert seen[-1].margin > 1.0
    assert seen[-1].preferred == 1.0
    written = load_checkpoint(tmp_path / "own.pt")
    assert written.progress["preference_steps"] == 24
    assert written.resume == {}


def test_it_stops_before_unseen_music_is_too_dear(
    tmp_path: Path, tokens: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init = make_checkpoint(tmp_path / "init.pt", TINY)

    seen = prefer(
        init, pairs(), tokens, tmp_path / "own.pt", replace(OPTIONS, rate=5.0, most_loss=1e-6)
    )

    assert seen[-1].nats_per_token > seen[0].nats_per_token
    assert not (tmp_path / "own.pt").exists()
    assert "too dear" in capsys.readouterr().out


def test_too_few_pairs_and_wrong_options_are_refused(tmp_path: Path, tokens: Path) -> None:
    init = make_checkpoint(tmp_path / "init.pt", TINY)

    with pytest.raises(PerformerError, match="too few"):
        prefer(init, pairs(2), tokens, tmp_path / "own.pt", OPTIONS)
    with pytest.raises(PerformerError, match="--beta must be above 0; --epochs"):
        prefer(init, pairs(), tokens, tmp_path / "own.pt", replace(OPTIONS, beta=0, epochs=0))
