"""What reaches the core of the stage through its one inbox, beside what the turns are told."""

import queue
from dataclasses import dataclass, field

from daemon.brain_link import FromBrainOf
from daemon.commands import Result
from daemon.input import Played
from daemon.output import Report
from daemon.turn_messages import Input
from perceivers.errors import PerformerError

Outcome = Result | PerformerError


@dataclass(frozen=True, slots=True)
class FromInput:
    """The player did this, at this moment of the monotonic clock."""

    time_ns: int
    played: Played


@dataclass(frozen=True, slots=True)
class InputPresent:
    """Whether the input port is there."""

    present: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """A command from outside; its outcome goes into `reply`."""

    command: Input
    reply: "queue.SimpleQueue[Outcome]" = field(default_factory=queue.SimpleQueue)


@dataclass(frozen=True, slots=True)
class AskState:
    """What is the Performer doing?"""

    reply: "queue.SimpleQueue[Outcome]" = field(default_factory=queue.SimpleQueue)


@dataclass(frozen=True, slots=True)
class AskInfo:
    """What does the Performer run on?"""

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


Question = Ask | AskState | AskInfo
Item = FromInput | InputPresent | Report | FromBrainOf | Question | ThreadFailed | End
Inbox = queue.SimpleQueue[Item]
