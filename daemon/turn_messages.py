"""What the turn-taking is told and what it answers, one frozen type for each.

All times are seconds of the session.
"""

from dataclasses import dataclass
from enum import StrEnum

from daemon.messages import Events, PlanComplete, Planned, ToBrain
from daemon.parameters import Parameters
from perceivers.events import TimedEvent


class State(StrEnum):
    """What the Performer is doing."""

    STARTING = "starting"  # the model is being loaded
    LISTENING = "listening"  # nothing was played since the last turn
    CAPTURING = "capturing"  # the player plays
    ARMED = "armed"  # every key is up; a little more silence, and the turn begins
    PERFORMING = "performing"
    HANDING_BACK = "handing_back"  # the turn is over, and what sounds is being released
    DEGRADED = "degraded"  # a part is missing
    STOPPING = "stopping"


class Part(StrEnum):
    """What the Performer cannot do without."""

    MODEL = "model"
    INPUT = "input"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Heard:
    """The player did this."""

    event: TimedEvent


@dataclass(frozen=True, slots=True)
class LetGo:
    """Another device asks for silence: every key and the pedal count as released."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Perform:
    """Somebody asks for a turn, with these parameters or else with those in force."""

    parameters: Parameters | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody asks that the turn end."""


@dataclass(frozen=True, slots=True)
class Panic:
    """Somebody asks for silence, whatever it takes."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Somebody asks that all that was played be forgotten."""


@dataclass(frozen=True, slots=True)
class Adjust:
    """These parameters are in force from now on."""

    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Performed:
    """This event of the Performer's really left."""

    event: TimedEvent


@dataclass(frozen=True, slots=True)
class Released:
    """Nothing of the Performer's is planned or sounds; every earlier `Performed` was told."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A part is gone."""

    part: Part
    reason: str


@dataclass(frozen=True, slots=True)
class Back:
    """A part is there (again)."""

    part: Part


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The process is about to end."""


Input = (
    Heard | LetGo | Tick | Perform | Stop | Panic | Reset | Adjust | Planned | PlanComplete
    | Performed | Released | Lost | Back | Shutdown
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tell:
    """Say this to the brain."""

    message: ToBrain


@dataclass(frozen=True, slots=True)
class Play:
    """Send these events at their times."""

    events: Events
    channel: int  # 0 to 15


@dataclass(frozen=True, slots=True)
class Hold:
    """These keys are the player's: they are neither struck nor released."""

    pitches: frozenset[int]


@dataclass(frozen=True, slots=True)
class Release:
    """Forget what was not yet sent and let go of all that sounds, now; `Released` follows."""


@dataclass(frozen=True, slots=True)
class ReleaseAfterPlan:
    """Let go of all that sounds once the plan has been sent; `Released` follows."""


@dataclass(frozen=True, slots=True)
class SilenceAll:
    """Release, and tell every channel to be silent; `Released` follows."""


@dataclass(frozen=True, slots=True)
class Enter:
    """Publish a change of state."""

    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """Publish what became of a turn."""

    turn: int
    reason: str
    notes: int
    duration_s: float
    decision_s: float | None  # from the player's last key release to the trigger
    first_note_s: float | None  # from the trigger to the first note-on that left


@dataclass(frozen=True, slots=True)
class Refuse:
    """The command cannot be carried out, and why."""

    reason: str


Action = Tell | Play | Hold | Release | ReleaseAfterPlan | SilenceAll | Enter | TurnEnded | Refuse
