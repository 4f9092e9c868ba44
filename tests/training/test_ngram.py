import math

import numpy as np
import pytest

from perceivers.vocabulary import VOCABULARY_SIZE
from training.ngram import count, interpolated, nll_by_order, packed


def witten_bell(train: list[list[int]], context: tuple[int, ...], token: int) -> float:
    """Return the probability of a token, straight from the definition."""
    below = 1.0 / VOCABULARY_SIZE if not context else witten_bell(train, context[1:], token)
    if context == ():
        followers = [found for piece in train for found in piece]
    else:
        size = len(context)
        followers = [
            piece[i + size]
            for piece in train
            for i in range(len(piece) - size)
            if tuple(piece[i : i + size]) == context
        ]
    if not followers:
        return below
    kinds = len(set(followers))
    return (followers.count(token) + kinds * below) / (len(followers) + kinds)


def test_estimates_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    train = [rng.integers(0, 5, size) for size in (40, 3, 25)]
    piece = rng.integers(0, 6, 30)
    lists = [found.tolist() for found in train]

    estimates = np.full(len(piece), 1.0 / VOCABULARY_SIZE)
    for order in (1, 2, 3):
        estimates = interpolated(estimates, piece, order, count(train, order))

        expected = [
            witten_bell(lists, tuple(piece[max(0, i - order + 1) : i].tolist()), int(token))
            for i, token in enumerate(piece)
        ]
        assert estimates == pytest.approx(expected)


def test_the_probabilities_of_all_tokens_add_up_to_one():
    train = [np.array([1, 2, 3, 1, 2, 4, 1, 2])]
    total = 0.0
    counts = [count(train, order) for order in (1, 2, 3)]
    for token in range(VOCABULARY_SIZE):
        piece = np.array([1, 2, token])
        estimates = np.full(3, 1.0 / VOCABULARY_SIZE)
        for order in (1, 2, 3):
            estimates = interpolated(estimates, piece, order, counts[order - 1])
        total += estimates[-1]

    assert total == pytest.approx(1.0)


def test_no_ngram_reaches_across_the_border_of_two_pieces():
    counts = count([np.array([1, 2]), np.array([3, 4])], 2)

    assert counts.grams.tolist() == sorted(
        packed(np.array(pair), 2)[0] for pair in ((1, 2), (3, 4))
    )


def test_what_repeats_itself_becomes_certain_with_the_order():
    loop = np.array([5, 6, 5, 7] * 200)

    nll = list(nll_by_order([loop], [loop], 3))

    assert nll[0] == pytest.approx(1.5 * math.log(2), abs=0.05)
    assert nll[1] == pytest.approx(0.5 * math.log(2), abs=0.05)
    assert nll[2] < 0.05
