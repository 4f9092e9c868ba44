"""The grammar of the token language: which tokens may follow."""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from perceivers import vocabulary as v
from perceivers.score import MAX_EVENTS_AT_ONE_INSTANT, ScoreState

Mask = npt.NDArray[np.bool_]


def mask_of(*kinds: v.Kind) -> Mask:
    """Return the mask (VOCABULARY_SIZE,) of every token of these kinds."""
    mask = np.zeros(v.VOCABULARY_SIZE, dtype=np.bool_)
    for kind in kinds:
        mask[v.RANGES[kind].start : v.RANGES[kind].stop] = True
    return mask


_NOTE_ONS = mask_of(v.Kind.NOTE_ON)
_TAGS = mask_of(v.Kind.TAG)
_END = mask_of(v.Kind.EOS)
_TIME = mask_of(v.Kind.TIME_SHIFT)
_BEFORE_A_VELOCITY = mask_of(v.Kind.TIME_SHIFT, v.Kind.VELOCITY)
_ANY = mask_of(v.Kind.TIME_SHIFT, v.Kind.VELOCITY, v.Kind.NOTE_ON)


def allowed_tokens(
    state: ScoreState,
    *,
    untouchable: Collection[int] = (),
    may_end: bool = False,
) -> Mask:
    """Return which tokens may follow, as a new mask of shape (VOCABULARY_SIZE,).

    No note-off for a silent pitch, no note-on for a sounding one or before any velocity is known,
    no pedal-down while down, nothing but a time-shift (or an end) after
    MAX_EVENTS_AT_ONE_INSTANT events at one instant, no velocity directly after a velocity, never
    PAD, BOS or a tag. Pitches in `untouchable` (keys that the player holds) are neither struck nor
    released. EOS only if `may_end` and no key is down.
    """
    if state.ended:
        return _END.copy()
    if state.events_at_step >= MAX_EVENTS_AT_ONE_INSTANT:
        mask = _TIME.copy()
    else:
        busy = state.sounding.union(untouchable)
        # With every key down, a velocity has nothing left to announce.
        if state.last_kind is v.Kind.VELOCITY and len(busy) < v.PITCHES:
            return _without_note_ons(_NOTE_ONS.copy(), busy)
        mask = _what_sounds_may_change(state, busy, state.sounding.difference(untouchable))
    mask[v.EOS] = may_end and not state.sounding
    return mask


def _what_sounds_may_change(state: ScoreState, busy: set[int], releasable: set[int]) -> Mask:
    if state.velocity_bin is None:
        mask = _BEFORE_A_VELOCITY.copy()
    else:
        mask = _without_note_ons(_ANY.copy(), busy)
        mask[v.VELOCITY + state.velocity_bin] = False
    for pitch in releasable:
        mask[v.NOTE_OFF + pitch] = True
    mask[v.PEDAL_UP if state.pedal_down else v.PEDAL_DOWN] = True
    return mask


def _without_note_ons(mask: Mask, busy: set[int]) -> Mask:
    for pitch in busy:
        mask[v.NOTE_ON + pitch] = False
    return mask


class GrammarWalk:
    """Walks once along the tokens of a piece, and tells which might have stood at each place."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = tokens
        self._state = ScoreState()
        self._read = 0

    def allowed(self, start: int, stop: int) -> Mask:
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
                row[:] = _TAGS
            else:
                row[:] = allowed_tokens(self._state, may_end=True)
        return rows
