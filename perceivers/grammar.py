"""The grammar of the token language: which tokens may follow."""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from perceivers import vocabulary as v
from perceivers.score import MAX_EVENTS_AT_ONE_INSTANT, ScoreState


def allowed_tokens(
    state: ScoreState,
    *,
    untouchable: Collection[int] = (),
    may_end: bool = False,
) -> npt.NDArray[np.bool_]:
    """Return which tokens may follow, as a mask of shape (VOCABULARY_SIZE,).

    No note-off for a silent pitch, no note-on for a sounding one or before any velocity is known,
    no pedal-down while down, nothing but a time-shift (or an end) after
    MAX_EVENTS_AT_ONE_INSTANT events at one instant, no velocity directly after a velocity, never
    PAD, BOS or a tag. Pitches in `untouchable` (keys that the player holds) are neither struck nor
    released. EOS only if `may_end` and no key is down.
    """
    mask = np.zeros(v.VOCABULARY_SIZE, dtype=np.bool_)
    if state.ended:
        mask[v.EOS] = True
        return mask
    expects_note = state.last_kind is v.Kind.VELOCITY
    crowded = state.events_at_step >= MAX_EVENTS_AT_ONE_INSTANT
    if not crowded and state.velocity_bin is not None:
        _allow(mask, v.Kind.NOTE_ON)
        for pitch in state.sounding.union(untouchable):
            mask[v.NOTE_ON + pitch] = False
        if expects_note and not mask.any():
            expects_note = False  # every key is down: a velocity has nothing left to announce
    if expects_note:
        return mask
    _allow(mask, v.Kind.TIME_SHIFT)
    if not crowded:
        _allow(mask, v.Kind.VELOCITY)
        if state.velocity_bin is not None:
            mask[v.VELOCITY + state.velocity_bin] = False
        for pitch in state.sounding.difference(untouchable):
            mask[v.NOTE_OFF + pitch] = True
        mask[v.PEDAL_UP if state.pedal_down else v.PEDAL_DOWN] = True
    mask[v.EOS] = may_end and not state.sounding
    return mask


class GrammarWalk:
    """Walks once along the tokens of a piece, and tells which might have stood at each place."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = tokens
        self._state = ScoreState()
        self._read = 0

    def allowed(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """Return which tokens may stand at the places start … stop - 1: (places, V).

        A piece begins with BOS and a tag, and may end wherever no key is down. Places come in
        ascending order over all calls.
        """
        rows = np.zeros((stop - start, v.VOCABULARY_SIZE), dtype=np.bool_)
        for place in range(start, stop):
            while self._read < place:
                self._state.advance(int(self._tokens[self._read]))
                self._read += 1
            row = rows[place - start]
            if place == 0:
                row[v.BOS] = True
            elif self._state.last_kind is v.Kind.BOS:
                _allow(row, v.Kind.TAG)
            else:
                row[:] = allowed_tokens(self._state, may_end=True)
        return rows


def _allow(mask: npt.NDArray[np.bool_], kind: v.Kind) -> None:
    mask[v.RANGES[kind].start : v.RANGES[kind].stop] = True
