"""What reaches the core of the stage through its one inbox, and how others ask it."""

import queue
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from daemon.control.commands import Result
from daemon.control.requests import Request
from daemon.messages.brain import FromBrain
from daemon.messages.turns import (
    Back,
    Clocked,
    Heard,
    LetGo,
    Lost,
    Moved,
    Part,
    ProgramChanged,
    Switched,
)
from daemon.midi.parser import Played
from daemon.midi.ports import InputPort
from daemon.midi.reports import Report
from daemon.stage.brain_link import BrainOver
from perceivers.errors import PerformerError
from perceivers.events import TimedEvent

_ANSWER_WITHIN_S = 2.0

Outcome = Result | PerformerError


@dataclass(frozen=True, slots=True)
class Asked:
    """A command from outside; its outcome goes into `reply`."""

    request: Request
    reply: "queue.SimpleQueue[Outcome]" = field(default_factory=queue.SimpleQueue)


@dataclass(frozen=True, slots=True)
class ThreadFailed:
    """A thread has ended with an error."""

    name: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class End:
    """The stage shall end."""

    reason: str


FromInput = Heard | LetGo | Switched | Moved | ProgramChanged | Clocked | Lost | Back
Item = (
    FromInput
    | Report | FromBrain | BrainOver | Asked | ThreadFailed | End
)  # fmt: skip
Inbox = queue.SimpleQueue[Item]


def playing_into(inbox: Inbox, seconds: Callable[[int], float]) -> Callable[[int, Played], None]:
    """Return what takes in what is played, at its moment of the clock that `seconds` reads."""

    def heard(time_ns: int, played: Played) -> None:
        if isinstance(played, LetGo):
            inbox.put(played)
        elif isinstance(played, Switched | Moved | ProgramChanged | Clocked):
            inbox.put(replace(played, at_s=seconds(time_ns)))
        else:
            inbox.put(Heard(TimedEvent(seconds(time_ns), played)))

    return heard


def presence_into(inbox: Inbox, port: InputPort) -> Callable[[bool], None]:
    """Return what takes in whether the input port is there."""

    def present(is_present: bool) -> None:
        gone = Lost(Part.INPUT, f"MIDI input {port.name!r} is gone")
        inbox.put(Back(Part.INPUT) if is_present else gone)

    return present


class BusyError(PerformerError):
    """The core has not answered in time."""


def asking(inbox: Inbox) -> Callable[[Request], Result]:
    """Return what carries a request out: it asks the core, from any thread, and waits for it."""

    def ask(request: Request) -> Result:
        asked = Asked(request)
        inbox.put(asked)
        try:
            outcome = asked.reply.get(timeout=_ANSWER_WITHIN_S)
        except queue.Empty:
            raise BusyError(f"no answer within {_ANSWER_WITHIN_S:g} s; try again") from None
        if isinstance(outcome, PerformerError):
            raise outcome
        return outcome

    return ask
