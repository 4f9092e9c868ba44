"""What is down, token by token and for whole sequences."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from perceivers import keys_down as table
from perceivers import vocabulary as v
from perceivers.key_counts import count_rows, nothing_down, state_after
from perceivers.keys_down import KeysDown

C4, LOUD = 60, 20


def rows_after(*tokens: int) -> list[int]:
    keys = KeysDown()
    for token in tokens:
        keys.read(token)
    return sorted(keys.rows())


def counted(tokens: list[int]) -> np.ndarray:
    """Return the counts (T, R) of the host's reader."""
    keys, counts = KeysDown(), np.zeros((len(tokens), table.KEY_ROWS), np.float32)
    for place, token in enumerate(tokens):
        keys.read(token)
        for row in keys.rows():
            counts[place, row] += 1
    return counts


def test_a_key_that_is_down_is_told_with_age_and_velocity() -> None:
    struck = (v.VELOCITY + LOUD, v.NOTE_ON + C4)

    assert rows_after(*struck) == sorted(
        [table.KEY + C4 * table.AGES, table.STRUCK + LOUD, table.VELOCITY + LOUD]
    )
    assert table.KEY + C4 * table.AGES + 5 in rows_after(*struck, v.shift_token(50))
    assert rows_after(*struck, v.NOTE_OFF + C4) == [table.VELOCITY + LOUD]


def test_the_oldest_age_has_no_end() -> None:
    minutes = [v.shift_token(100)] * 300

    assert rows_after(v.NOTE_ON + C4, *minutes) == [table.KEY + C4 * table.AGES + table.AGES - 1]


def test_a_pedal_that_is_down_is_told_with_its_age() -> None:
    assert rows_after(v.PEDAL_DOWN, v.shift_token(3)) == [table.PEDAL + 1]
    assert rows_after(v.PEDAL_DOWN, v.PEDAL_UP) == []


def test_a_key_struck_while_it_is_down_is_struck_anew() -> None:
    again = (v.NOTE_ON + C4, v.shift_token(100), v.NOTE_ON + C4)

    assert rows_after(*again) == [table.KEY + C4 * table.AGES]


def test_a_copy_goes_its_own_way() -> None:
    keys = KeysDown()
    keys.read(v.NOTE_ON + C4)
    twin = keys.copy()

    twin.read(v.NOTE_OFF + C4)

    assert keys.rows()
    assert not twin.rows()


some_tokens = st.lists(
    st.one_of(
        st.integers(0, v.VOCABULARY_SIZE - 1),
        st.sampled_from([v.NOTE_ON + C4, v.NOTE_OFF + C4, v.PEDAL_DOWN, v.PEDAL_UP]),
        st.integers(v.TIME_SHIFT, v.TIME_SHIFT + 99),
        st.integers(v.VELOCITY, v.VELOCITY + 31),
    ),
    min_size=1,
    max_size=60,
)


@given(some_tokens, st.data())
def test_whole_sequences_are_counted_as_token_by_token(
    tokens: list[int], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(tokens) - 1))
    sequence = torch.tensor(tokens)[None].repeat(2, 1)

    before = state_after(sequence[:, :cut], nothing_down(2))
    counts, after = count_rows(sequence[:, cut:], before)

    assert np.array_equal(counts[1].numpy(), counted(tokens)[cut:])
    whole = state_after(sequence, nothing_down(2))
    assert all(torch.equal(one, other) for one, other in zip(after, whole, strict=True))
