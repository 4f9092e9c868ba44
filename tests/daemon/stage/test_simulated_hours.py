"""Hours with a random musician: every law after every step, and every law broken on purpose.

The sessions are always the same unless SIMULATION_SEED names others; a failure ends with the seed
that plays it again.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from daemon.messages import turns as t
from daemon.messages.brain import BeginTurn, EndTurn, Hear, Return
from daemon.messages.turns import State
from daemon.midi.latency import Latency
from daemon.midi.listener import Listener
from daemon.midi.loop_guard import LoopGuard
from daemon.midi.schedule import Schedule
from daemon.parameters import Parameters
from daemon.stage.instrument import Instrument
from daemon.stage.turns import Turns
from perceivers.events import NoteOff, NoteOn
from tests.support.simulation.laws import LawBrokenError
from tests.support.simulation.session import Session
from tests.support.simulation.stage import SimulatedStage

FIRST_SEED = int(os.environ.get("SIMULATION_SEED", "0"))
SESSIONS = int(os.environ.get("SIMULATION_SESSIONS", "100"))  # `make test-fast` plays a few
TURNS = 100
PARTS = 10
SESSIONS_TO_FIND_IT = 10


@pytest.mark.parametrize("part", range(PARTS))  # so that several processes share them
def test_in_ten_thousand_turns_no_law_is_broken(part: int) -> None:
    sessions = range(FIRST_SEED + part, FIRST_SEED + SESSIONS, PARTS)

    begun = sum(Session(number).run(TURNS) for number in sessions)

    assert begun >= len(sessions) * TURNS > 0


class Changing(Turns):
    """Turns of which the answers are changed."""

    def handle(self, happened: t.Occurrence, now_s: float) -> list[t.Action]:
        actions = super().handle(happened, now_s)
        changed = [self.change(action, happened) for action in actions]
        return [action for action in changed if action is not None]

    def change(self, action: t.Action, happened: t.Occurrence) -> t.Action | None:
        return action


class DeafToItself(Changing):
    """Forgets what it has played itself."""

    def change(self, action: t.Action, happened: t.Occurrence) -> t.Action | None:
        if isinstance(action, EndTurn):
            return replace(action, performed=action.performed[:-1])
        return action


class DeafToThePlayer(Changing):
    """Does not hear what the player releases."""

    def change(self, action: t.Action, happened: t.Occurrence) -> t.Action | None:
        if isinstance(action, EndTurn):
            return replace(action, heard=())
        if isinstance(action, Hear):
            return Hear(tuple(timed for timed in action.events if timed.event != NoteOff(60)))
        return action


class Unstoppable(Changing):
    """Says that it stops, and does not."""

    def change(self, action: t.Action, happened: t.Occurrence) -> t.Action | None:
        return None if isinstance(happened, t.Stop) and action == t.Release() else action


class Talkative(Changing):
    """Does not withdraw what it had in mind when it hands back."""

    def change(self, action: t.Action, happened: t.Occurrence) -> t.Action | None:
        return None if isinstance(action, t.Withdraw) else action


class Lingering(Turns):
    """Waits for ever for what it handed back to end."""

    @property
    def next_deadline_s(self) -> float | None:
        return None if self.turn is not None else super().next_deadline_s


class Intrusive(Changing):
    """Says that a key that is held counts as released, and does not tell the brain."""

    def change(self, action: t.Action, happened: t.Occurrence) -> t.Action | None:
        is_hidden = isinstance(action, Hear) and not isinstance(happened, t.Heard)
        return None if is_hidden else action


class Grudging(Changing):
    """Says that a take was rejected, and does not let the brain forget it."""

    def change(self, action: t.Action, happened: t.Occurrence) -> t.Action | None:
        return None if isinstance(action, Return) else action


class Slow(Changing):
    """Shifts the time before another take by too little."""

    def change(self, action: t.Action, happened: t.Occurrence) -> t.Action | None:
        return replace(action, by_s=action.by_s * 0.9) if isinstance(action, Return) else action


class Hasty(Changing):
    """Begins in the past."""

    def change(self, action: t.Action, happened: t.Occurrence) -> t.Action | None:
        if isinstance(action, BeginTurn):
            return replace(action, start_s=action.start_s - 0.2)
        return action


class Blind(Changing):
    """Does not tell which keys the player holds when it begins."""

    def change(self, action: t.Action, happened: t.Occurrence) -> t.Action | None:
        if isinstance(action, BeginTurn):
            return replace(action, held=frozenset())
        return action


class Shy(Turns):
    """Waits for ever."""

    next_deadline_s = None


class Impatient(Turns):
    """Comes in before its time."""

    def handle(self, happened: t.Occurrence, now_s: float) -> list[t.Action]:
        return super().handle(happened, now_s + 0.05 * isinstance(happened, t.Tick))


class Endless(Changing):
    """Never ends a turn whose plan is complete."""

    def change(self, action: t.Action, happened: t.Occurrence) -> t.Action | None:
        return None if action == t.ReleaseAfterPlan() else action


class Forgetful(Schedule):
    """Does not release the lowest of the notes that it shall let go of."""

    def release(self, now_ns: int, *, even_held: bool = False) -> None:
        self._channel_of.pop(min(self._channel_of, default=None), None)
        super().release(now_ns, even_held=even_held)


class HeavyFooted(Schedule):
    """Leaves the pedal down."""

    def release(self, now_ns: int, *, even_held: bool = False) -> None:
        self._pedal_channel = None
        super().release(now_ns, even_held=even_held)


class Stammering(Schedule):
    """Strikes a key again without releasing it."""

    def _strike(self, event: NoteOn, message: Any, now_ns: int) -> Any:
        self._channel_of.pop(event.pitch, None)
        return super()._strike(event, message, now_ns)


class Rude(Schedule):
    """Does not care which keys the player holds."""

    def hold(self, held: frozenset[int], now_ns: int) -> None: ...


class Tardy(Schedule):
    """Strikes however late it is."""

    def __init__(self, late_after_ns: int, latency: Latency) -> None:
        super().__init__(10**12, latency)


class Credulous(LoopGuard):
    """Takes its own echo for the player."""

    def is_echo(self, message: bytes, arrival_ns: int) -> bool:
        return False


class Deaf(Listener):
    """Hears no key 60 come up."""

    def take(self, now_ns: int) -> Any:
        taken = super().take(now_ns)
        return super().take(now_ns) if taken is not None and taken[1] == NoteOff(60) else taken


class LeavingIn(Instrument):
    """Does not let go at the instrument when the player is gone."""

    def player_is_gone(self) -> None: ...


class Deafening(Instrument):
    """Lets the player through at any time."""

    def follows(self, parameters: Parameters, state: State, assignments: Any) -> bool:
        return super().follows(replace(parameters, thru="always"), state, assignments)


class Ticking(Changing):
    """Does not end its clock."""

    def change(self, action: t.Action, happened: t.Occurrence) -> t.Action | None:
        return None if action == t.StopClock() else action


class Unanswering(SimulatedStage):
    """Does not say when it has panicked."""

    def _panicked(self) -> None: ...


def stage_with(**makers: Any) -> type[SimulatedStage]:
    made = {name: staticmethod(maker) for name, maker in makers.items()}
    return type("BrokenStage", (SimulatedStage,), made)


@pytest.mark.parametrize(
    ("laws", "stage"),
    [
        ("1", stage_with(make_schedule=Forgetful)),
        ("1", stage_with(make_schedule=HeavyFooted)),
        ("1", stage_with(make_schedule=Stammering)),
        ("2", stage_with(make_turns=DeafToItself)),
        ("2", stage_with(make_turns=DeafToThePlayer)),
        ("3", stage_with(make_schedule=Rude)),
        ("3", stage_with(make_turns=Blind)),
        ("46", stage_with(make_turns=Unstoppable)),
        ("4", stage_with(make_turns=Talkative)),
        ("6", stage_with(make_turns=Lingering)),
        ("2", stage_with(make_turns=Intrusive)),
        ("2", stage_with(make_turns=Grudging)),
        ("2", stage_with(make_turns=Slow)),
        ("4", stage_with(make_schedule=Tardy)),
        ("5", stage_with(make_turns=Hasty)),
        ("6", stage_with(make_turns=Shy)),
        ("256", stage_with(make_turns=Impatient)),  # it takes releases for later, too
        ("6", stage_with(make_turns=Endless)),
        ("6", Unanswering),
        ("178", stage_with(make_guard=Credulous)),  # what passes on goes round for ever
        ("7", stage_with(make_listener=Deaf)),
        ("8", stage_with(make_instrument=LeavingIn)),
        ("8", stage_with(make_instrument=Deafening)),
        ("8", stage_with(make_turns=Ticking)),
    ],
)
def test_a_law_that_is_broken_on_purpose_is_found_broken(
    laws: Sequence[str], stage: type[SimulatedStage]
) -> None:
    def play() -> None:
        for seed in range(SESSIONS_TO_FIND_IT):
            Session(seed, stage).run(TURNS)

    with pytest.raises(LawBrokenError, match=f"law [{laws}]: "):
        play()


def test_a_failure_says_how_to_play_it_again() -> None:
    with pytest.raises(LawBrokenError, match=r"play it again: Session\(3\)") as failure:
        Session(3, stage_with(make_schedule=Tardy, make_turns=Unstoppable)).run(TURNS)

    again = [*str(failure.value).splitlines()]
    with pytest.raises(LawBrokenError) as second:
        Session(3, stage_with(make_schedule=Tardy, make_turns=Unstoppable)).run(TURNS)
    assert str(second.value).splitlines() == again
