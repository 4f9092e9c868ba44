import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from perceivers import vocabulary as v


def test_the_kinds_lie_one_behind_the_other_and_cover_every_token():
    ranges = list(v.RANGES.values())

    assert ranges[0].start == 0
    assert all(a.stop == b.start for a, b in pairwise(ranges))
    assert ranges[-1].stop == v.VOCABULARY_SIZE


def test_the_token_numbers_are_those_that_trained_models_know():
    # A change here makes every checkpoint and token file useless: it needs a new fingerprint and a
    # line in the change log.
    assert (v.PAD, v.BOS, v.EOS) == (0, 1, 2)
    assert [v.tag_of(source) for source in v.Source] == [3, 4, 5, 6]
    assert (v.NOTE_ON, v.NOTE_OFF, v.TIME_SHIFT, v.VELOCITY) == (7, 135, 263, 363)
    assert (v.PEDAL_DOWN, v.PEDAL_UP, v.VOCABULARY_SIZE) == (395, 396, 397)


@pytest.mark.parametrize("kind", list(v.Kind))
def test_kind_of_says_the_kind_of_the_first_and_the_last_token_of_a_range(kind: v.Kind):
    tokens = v.RANGES[kind]

    assert v.kind_of(tokens.start) is kind
    assert v.kind_of(tokens.stop - 1) is kind


@pytest.mark.parametrize("kind", list(v.Kind))
def test_is_kind_says_of_every_token_what_kind_of_says(kind: v.Kind):
    for numbers in (np.arange(v.VOCABULARY_SIZE), np.arange(v.VOCABULARY_SIZE, dtype=np.uint16)):
        assert v.is_kind(numbers, kind).tolist() == [v.kind_of(t) is kind for t in numbers.tolist()]


def test_only_time_shifts_let_time_pass():
    passed = v.steps_passed(np.arange(v.VOCABULARY_SIZE))

    assert passed[v.shift_token(1)] == 1
    assert passed[v.shift_token(v.MAX_SHIFT_STEPS)] == v.MAX_SHIFT_STEPS
    assert np.count_nonzero(passed) == v.MAX_SHIFT_STEPS


@pytest.mark.parametrize("token", [-1, v.VOCABULARY_SIZE, 10_000])
def test_a_number_outside_the_vocabulary_is_refused(token: int):
    with pytest.raises(ValueError, match=f"0..{v.VOCABULARY_SIZE - 1}, not {token}"):
        v.kind_of(token)


def test_shift_tokens_say_their_steps():
    assert v.shift_token(1) == v.TIME_SHIFT
    assert v.shift_token(v.MAX_SHIFT_STEPS) == v.RANGES[v.Kind.TIME_SHIFT].stop - 1
    for steps in (0, v.MAX_SHIFT_STEPS + 1):
        with pytest.raises(ValueError, match=f"not {steps}"):
            v.shift_token(steps)


def test_every_velocity_comes_back_within_half_a_bin():
    for velocity in range(1, 128):
        bin_index = v.velocity_bin(velocity)

        assert 0 <= bin_index < v.VELOCITY_BINS
        assert 1 <= v.velocity_of(bin_index) <= 127
        assert abs(v.velocity_of(bin_index) - velocity) <= v.VELOCITIES_PER_BIN // 2


@pytest.mark.processes
def test_the_fingerprint_is_the_same_in_every_process():
    code = "from perceivers.vocabulary import fingerprint; print(fingerprint())"

    elsewhere = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert elsewhere.stdout.strip() == v.fingerprint()


@pytest.mark.parametrize(
    ("name", "value"), [("STEPS_PER_SECOND", 50), ("VELOCITY_BINS", 16), ("_SIZES", ())]
)
def test_another_vocabulary_has_another_fingerprint(
    name: str, value: object, monkeypatch: pytest.MonkeyPatch
):
    before = v.fingerprint()

    monkeypatch.setattr(v, name, value)

    assert v.fingerprint() != before
