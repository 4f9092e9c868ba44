"""What `perceivers.keys_down` says after each token of whole sequences, in torch.

B batch, T tokens, P pitches, R rows of the table. A pedal that is pressed while it is down counts
as pressed anew, as a key does.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from perceivers import keys_down as table
from perceivers import vocabulary as v

UNKNOWN = -1


class KeyState(NamedTuple):
    """What is down after some tokens; UNKNOWN where nothing is."""

    step: Tensor  # (B,) steps of 10 ms so far
    struck: Tensor  # (B, P) the step at which a key that is down was struck
    loudness: Tensor  # (B, P) the velocity bin that it was struck with
    velocity: Tensor  # (B,) the velocity bin of the next key
    pedal: Tensor  # (B,) the step at which a pedal that is down was pressed


def nothing_down(batch: int, device: torch.device | None = None) -> KeyState:
    """Return the state before the first token."""
    each = torch.full((batch,), UNKNOWN, device=device)
    of_keys = torch.full((batch, v.PITCHES), UNKNOWN, device=device)
    return KeyState(torch.zeros_like(each), of_keys, of_keys, each, each)


def state_after(tokens: Tensor, state: KeyState) -> KeyState:
    """Return the state after tokens (B, T), T may be 0."""
    if not tokens.shape[1]:
        return state
    told = _told(tokens, state)
    return _state_at_the_end(told, _held(told, state), state)


def count_rows(
    tokens: Tensor, state: KeyState, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, KeyState]:
    """Return how often each row of the table counts after each of tokens (B, T), T ≥ 1.

    Returns counts (B, T, R) of type `dtype` (bfloat16 holds them exactly), and the state after the
    last token.
    """
    told = _told(tokens, state)
    held = _held(told, state)
    counts = torch.zeros(*tokens.shape, table.KEY_ROWS, dtype=dtype, device=tokens.device)
    _count_keys(counts, held, told.step)
    _count(counts, told.velocity, table.VELOCITY + told.velocity)
    _count(counts, told.pedal, table.PEDAL + _age(told.step - told.pedal))
    return counts, _state_at_the_end(told, held, state)


class _Told(NamedTuple):
    """What each of some tokens says, and what is known after it; each (B, T)."""

    pitch: Tensor
    is_on: Tensor
    is_off: Tensor
    step: Tensor
    velocity: Tensor
    pedal: Tensor


def _told(tokens: Tensor, state: KeyState) -> _Told:
    shift = (tokens - v.TIME_SHIFT + 1) * _is_kind(tokens, v.Kind.TIME_SHIFT)
    step = state.step[:, None] + shift.cumsum(1)
    velocity = _last(tokens - v.VELOCITY, _is_kind(tokens, v.Kind.VELOCITY), state.velocity)
    down, up = (_is_kind(tokens, kind) for kind in (v.Kind.PEDAL_DOWN, v.Kind.PEDAL_UP))
    pedal = _last(torch.where(down, step, UNKNOWN), down | up, state.pedal)
    is_on, is_off = (_is_kind(tokens, kind) for kind in (v.Kind.NOTE_ON, v.Kind.NOTE_OFF))
    pitch = torch.where(is_off, tokens - v.NOTE_OFF, tokens - v.NOTE_ON)
    return _Told(pitch.where(is_on | is_off, 0), is_on, is_off, step, velocity, pedal)


def _is_kind(tokens: Tensor, kind: v.Kind) -> Tensor:
    found = v.RANGES[kind]
    return (tokens >= found.start) & (tokens < found.stop)


def _where(condition: Tensor, place: Tensor) -> Tensor:
    return torch.where(condition, place, UNKNOWN)


def _last(values: Tensor, is_said: Tensor, before: Tensor) -> Tensor:
    """Return the newest value said at each place (B, T), or what was so before (B,)."""
    place = torch.arange(values.shape[1], device=values.device)
    newest = _where(is_said, place).cummax(1).values
    return torch.where(newest < 0, before[:, None], values.gather(1, newest.clamp(min=0)))


class _Held(NamedTuple):
    """Keys that are down, each from one stroke to what ends it; each (K,)."""

    row: Tensor
    pitch: Tensor
    since: Tensor  # the place of the token after which it is down
    until: Tensor  # the place of the token after which it is not, or T
    struck: Tensor  # the step
    loudness: Tensor


def _held(told: _Told, state: KeyState) -> _Held:
    """Return every key that is down after some token.

    They are few: a table of all pitches at all places would be filled with next to nothing.
    """
    row, pitch = (state.struck >= 0).nonzero(as_tuple=True)
    before = _Held(
        row,
        pitch,
        torch.zeros_like(row),
        torch.zeros_like(row),
        state.struck[row, pitch],
        state.loudness[row, pitch],
    )
    row, place = (told.is_on | told.is_off).nonzero(as_tuple=True)
    pitch, step, velocity = (each[row, place] for each in (told.pitch, told.step, told.velocity))
    strokes = _Held(row, pitch, place, place, step, velocity)
    is_on = torch.cat((torch.ones_like(before.row, dtype=torch.bool), told.is_on[row, place]))
    events = _Held(*(torch.cat(pair) for pair in zip(before, strokes, strict=True)))
    # Those of one key one behind the other, as they come: what follows a stroke ends it.
    of_key, order = (events.row * v.PITCHES + events.pitch).sort(stable=True)
    events, is_on = _Held(*(values[order] for values in events)), is_on[order]
    until = torch.full_like(events.until, told.step.shape[1])
    until[:-1] = events.since[1:].where(of_key[1:] == of_key[:-1], until[:-1])
    return _Held(*(values[is_on] for values in events._replace(until=until)))


def _state_at_the_end(told: _Told, held: _Held, before: KeyState) -> KeyState:
    """Return the state after the last token."""
    struck, loudness = (torch.full_like(before.struck, UNKNOWN) for _ in range(2))
    last = held.until == told.step.shape[1]
    struck[held.row[last], held.pitch[last]] = held.struck[last]
    loudness[held.row[last], held.pitch[last]] = held.loudness[last]
    return KeyState(told.step[:, -1], struck, loudness, told.velocity[:, -1], told.pedal[:, -1])


def _count_keys(counts: Tensor, held: _Held, step: Tensor) -> None:
    """Count the keys that are down, with their ages and velocities."""
    lasting = held.until - held.since
    which = torch.repeat_interleave(lasting)
    first = lasting.cumsum(0) - lasting
    place = held.since[which] + torch.arange(len(which), device=which.device) - first[which]
    row = held.row[which]
    age = _age(step[row, place] - held.struck[which])
    counts[row, place, table.KEY + held.pitch[which] * table.AGES + age] = 1.0
    loud = held.loudness[which]
    known = loud >= 0
    places = (row[known], place[known], table.STRUCK + loud[known])
    counts.index_put_(places, counts.new_ones(()), accumulate=True)


def _count(counts: Tensor, value: Tensor, rows: Tensor) -> None:
    """Count one row at each place (B, T) where a value is known."""
    row, time = (value >= 0).nonzero(as_tuple=True)
    counts[row, time, rows[row, time]] = 1.0


def _age(steps: Tensor) -> Tensor:
    edges = torch.tensor(table.AGE_EDGES_STEPS, device=steps.device)
    return torch.bucketize(steps, edges, right=True)
