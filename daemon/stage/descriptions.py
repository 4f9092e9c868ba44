"""What the stage tells the world, as the objects that go to the control socket. Pure functions."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from daemon.messages import turns as t
from daemon.messages.brain import BrainReady, Events, Pulse
from daemon.messages.journal import Opening
from daemon.parameters import Changes
from daemon.stage.turns import Turns
from perceivers.events import NoteOff, NoteOn, TimedEvent

Told = dict[str, Any]
PortNames = tuple[str | None, str | None]  # of input and output; None: there is no port


def played(part: str, timed: TimedEvent) -> Told:
    """Describe one event of the `player` or the `performer`."""
    return {"by": part, **_timed(timed)}


def planned(turn: int | None, events: Events) -> Told:
    """Describe what is to be played, before it is."""
    return {"turn": turn, "events": [_timed(timed) for timed in events]}


def withdrawn(turn: int | None, actions: Sequence[t.Action]) -> Told | None:
    """Describe what will not be played after all; None where that is nothing.

    After `after_s` nothing that was planned until now will begin or end, while what sounds goes on
    and its end is planned anew; null: what sounds is released as well, and all of it now.
    """
    after_s = [action.after_s for action in actions if isinstance(action, t.Withdraw)]
    is_cut = any(isinstance(action, t.Release | t.SilenceAll) for action in actions)
    if not after_s and not is_cut:
        return None
    entered = [action.reason for action in actions if isinstance(action, t.Enter)]
    reason = "panic" if t.SilenceAll() in actions else entered[-1] if entered else "cut"
    return {"turn": turn, "reason": reason, "after_s": None if is_cut else after_s[-1]}


def held(keys: Sequence[int], *, pedal: bool) -> Told:
    """Describe what a client holds."""
    return {"held": [*keys], "pedal": pedal}


def _timed(timed: TimedEvent) -> Told:
    event = timed.event
    told: Told = {"at_s": timed.time_s}
    if isinstance(event, NoteOn):
        return told | {"event": "note_on", "pitch": event.pitch, "velocity": event.velocity}
    if isinstance(event, NoteOff):
        return told | {"event": "note_off", "pitch": event.pitch}
    return told | {"event": "pedal", "down": event.down}


def turn_ended(ended: t.TurnEnded) -> Told:
    """Describe a turn that is over. Times in milliseconds; null: there was no such moment."""
    return {
        "turn": ended.turn,
        "reason": ended.reason,
        "notes": ended.notes,
        "duration_s": ended.duration_s,
        "decision_ms": _milliseconds(ended.decision_s),
        "first_note_ms": _milliseconds(ended.first_note_s),
    }


def _milliseconds(time_s: float | None) -> float | None:
    return None if time_s is None else round(time_s * 1000, 3)


def state(turns: Turns, now_s: float) -> Told:
    """Describe what the Performer is doing, and what the clock of the session says."""
    return {
        "time_s": now_s,
        "state": turns.state.value,
        "turn": turns.turn,
        "missing": {part.value: reason for part, reason in turns.missing.items()},
    }


def metrics(
    turns: Turns, pulse: Pulse | None, lateness_ms: Sequence[float], counts: Mapping[str, int]
) -> Told:
    """Describe how the Performer does."""
    return {
        "state": turns.state.value,
        "context_tokens": pulse.position if pulse else None,
        "lag_tokens": pulse.lag_tokens if pulse else None,
        "step_ms": round(pulse.step_ms, 3) if pulse else None,
        "lead_ms": _milliseconds(pulse.lead_s) if pulse else None,
        "send_late_ms_p50": _quantile(lateness_ms, 50),
        "send_late_ms_p99": _quantile(lateness_ms, 99),
        "counts": dict(counts),
    }


def _quantile(values: Sequence[float], percent: int) -> float | None:
    if len(values) < 2:
        return None
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 3)


def info(
    model: BrainReady | None,
    ports: PortNames,
    counts: Mapping[str, int],
    presets: Mapping[str, Changes],
) -> Told:
    """Describe what the Performer runs on, its presets, and what it counted since the start."""
    return {
        "model": asdict(model) if model else None,
        "input": ports[0],
        "output": ports[1],
        "counts": dict(counts),
        "presets": {name: dict(changes) for name, changes in presets.items()},
    }


def opening(model: BrainReady) -> Opening:
    """Say by what a recording is played."""
    return Opening(
        model.model, model.checkpoint_sha256, model.precision, model.provider, before=None
    )


def ready_lines(model: BrainReady, ports: PortNames, addresses: tuple[str, str]) -> list[str]:
    """Say in a few lines what is ready and where, and how much it can play."""
    has_ports = ports[0] is not None
    return [
        f"listening on {ports[0]!r}, playing on {ports[1]!r}"
        if has_ports
        else "listening and playing on the page; MIDI ports are taken as soon as there are any",
        f"model {model.model}: {model.parameters_million:.1f} M parameters, remembers "
        f"{model.context} tokens",
        f"{model.provider}, {model.precision}, {model.step_ms:.2f} ms per step{_pace(model)}, "
        f"loaded in {model.load_s:.1f} s",
        *filter(None, [model.advice]),
        f"commands at {addresses[0]}, events at {addresses[1]}",
    ]


def _pace(model: BrainReady) -> str:
    """Say how many notes a second can be played, if that was measured."""
    if model.notes_per_s is None or model.full_notes_per_s is None:
        return ""
    return (
        f": {model.notes_per_s:.0f} notes a second, "
        f"about {model.full_notes_per_s:.0f} with a full memory"
    )
