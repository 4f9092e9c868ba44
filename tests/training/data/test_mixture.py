"""How often a piece is drawn."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from perceivers.errors import PerformerError
from training.data.mixture import Mixture, rehearsed, weighted_lengths
from training.data.token_store import Piece, TokenStore, write_index

DRAWS = 4000


def store_of(folder: Path, first: int, **lengths: int) -> TokenStore:
    """Return one piece for each data set; its tokens are all of one number, counted from first."""
    parts = [np.full(length, first + i) for i, length in enumerate(lengths.values())]
    folder.mkdir()
    np.concatenate(parts).astype("<u2").tofile(folder / "s.bin")
    ends = np.cumsum(list(lengths.values())).tolist()
    write_index(
        folder,
        [
            Piece(f"{name}.mid", "train", name, "s.bin", end - length, length, 1, 1.0)
            for (name, length), end in zip(lengths.items(), ends, strict=True)
        ],
    )
    return TokenStore(folder, "train")


def shares(mixture: Mixture) -> dict[int, float]:
    rng = np.random.default_rng(0)
    counts = Counter(int(mixture.draw(rng)[0]) for _ in range(DRAWS))
    return {number: count / DRAWS for number, count in counts.items()}


@pytest.mark.parametrize(("factors", "expected"), [
    ({}, (0.6, 0.3, 0.1)),
    ({"rolls": 0.25}, (0.6 / 0.775, 0.075 / 0.775, 0.1 / 0.775)),
    ({"rolls": 0.0, "rest": 3.0}, (2 / 3, 0.0, 1 / 3)),
])  # fmt: skip
def test_pieces_are_drawn_by_length_and_weight(
    tmp_path: Path, factors: dict[str, float], expected: tuple[float, ...]
) -> None:
    store = store_of(tmp_path / "t", 0, asap=600, rolls=300, rest=100)

    found = shares(Mixture([(store, weighted_lengths(store, factors))]))

    # four deviations of a share of one half among so many draws
    assert [found.get(i, 0.0) for i in range(3)] == pytest.approx(expected, abs=0.032)


def test_a_share_is_rehearsed_however_much_music_there_is(tmp_path: Path) -> None:
    store = store_of(tmp_path / "new", 0, mine=50, others=50)
    starter = store_of(tmp_path / "old", 10, asap=9000)
    weights = weighted_lengths(store, {"mine": 3.0})

    found = shares(Mixture(rehearsed(store, weights, starter, 0.3)))

    assert found == pytest.approx({0: 0.525, 1: 0.175, 10: 0.3}, abs=0.032)


def test_an_unknown_data_set_is_refused_with_those_there_are(tmp_path: Path) -> None:
    store = store_of(tmp_path / "t", 0, asap=600, rolls=300)

    with pytest.raises(
        PerformerError, match=r"--weight roll=0.5: no data set of this name; there are asap, rolls"
    ):
        weighted_lengths(store, {"roll": 0.5})


def test_weights_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    store = store_of(tmp_path / "t", 0, asap=600, rolls=300)

    with pytest.raises(PerformerError, match=r"--weight is 0 for each of asap, rolls"):
        weighted_lengths(store, {"asap": 0.0, "rolls": 0.0})
