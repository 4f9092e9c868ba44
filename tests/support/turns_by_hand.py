"""The state machine of turns, driven by hand: what is played into it, and what it does."""

from daemon.messages import turns as t
from daemon.messages.brain import ToBrain
from daemon.messages.turns import Action, Part, State
from daemon.parameters import Parameters
from daemon.stage.turns import Turns
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent

PARAMETERS = Parameters(seed=1, silence_s=1.0, phrase_notes=2, channel=3, hand_back="cut")


def on(pitch: int, time_s: float) -> t.Heard:
    return t.Heard(TimedEvent(time_s, NoteOn(pitch, 64)))


def off(pitch: int, time_s: float) -> t.Heard:
    return t.Heard(TimedEvent(time_s, NoteOff(pitch)))


def pedal(down: bool, time_s: float) -> t.Heard:
    return t.Heard(TimedEvent(time_s, Pedal(down)))


def told(actions: list[Action]) -> list[object]:
    return [action for action in actions if isinstance(action, ToBrain)]


def states(actions: list[Action]) -> list[State]:
    return [action.state for action in actions if isinstance(action, t.Enter)]


def listening(parameters: Parameters = PARAMETERS) -> Turns:
    turns = Turns(parameters)
    turns.handle(t.Back(Part.MODEL), 0.0)
    return turns


def played(turns: Turns, pitches: tuple[int, ...] = (60, 64), from_s: float = 1.0) -> float:
    """Let the player play one note after the other; return when the last key came up."""
    now_s = from_s
    for pitch in pitches:
        turns.handle(on(pitch, now_s), now_s)
        turns.handle(off(pitch, now_s + 0.1), now_s + 0.1)
        now_s += 0.1
    return now_s


def performing(parameters: Parameters = PARAMETERS) -> Turns:
    turns = listening(parameters)
    turns.handle(t.Perform(), 10.0)
    return turns
