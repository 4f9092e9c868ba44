"""The grammar of the token language: which tokens may follow."""

from collections.abc import Collection

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


def _allow(mask: npt.NDArray[np.bool_], kind: v.Kind) -> None:
    mask[v.RANGES[kind].start : v.RANGES[kind].stop] = True
