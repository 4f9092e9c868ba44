"""What the turn-taking is told and what it answers, one frozen type for each.

All times are seconds of the session.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from daemon.messages.brain import Events, PlanComplete, Planned, ToBrain
from daemon.parameters import Changes
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
class Clocked:
    """A tick of a MIDI clock; or, with `sixteenths`, where in the song the next tick will be."""

    sixteenths: int | None = None
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Switched:
    """The player's footswitch, or what stands for it, went down or up."""

    down: bool
    at_s: float = 0.0
    stays: bool = True  # until it is told to move again; otherwise it is up again at once


class ControlKind(StrEnum):
    """What of the player's device moves."""

    CONTROLLER = "controller"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Control:
    """A controller or key of the player's device, on whichever channel."""

    kind: ControlKind
    number: int


@dataclass(frozen=True, slots=True)
class Moved:
    """A control that is mapped, or is to be, has moved to a place from 0 to 127."""

    control: Control
    place: int
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ProgramChanged:
    """The player's device has changed to another program, counted from 0."""

    program: int
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Commanded:
    """Somebody commands something: which, the class says, and its fields with what arguments."""


@dataclass(frozen=True, slots=True)
class Perform(Commanded):
    """Begin a turn, with the parameters in force but for these."""

    changes: Changes = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stop(Commanded):
    """End the turn."""


@dataclass(frozen=True, slots=True)
class Finish(Commanded):
    """Hand the turn back as the parameter `hand_back` says."""


@dataclass(frozen=True, slots=True)
class AnotherTake(Commanded):
    """Take the last answer back, and give another from the same hand-over."""

    but_one: bool = False  # the last answer but one: the last was begun by mistake


@dataclass(frozen=True, slots=True)
class Undo(Commanded):
    """Take the last answer back, and the phrase before it."""


@dataclass(frozen=True, slots=True)
class Panic(Commanded):
    """Be silent, whatever it takes."""


@dataclass(frozen=True, slots=True)
class Reset(Commanded):
    """Forget all that was played."""


@dataclass(frozen=True, slots=True)
class Adjust(Commanded):
    """These parameters have these values from now on."""

    changes: Changes


@dataclass(frozen=True, slots=True)
class Capture(Commanded):
    """Keep what was played last under a name: so many seconds, or the last exchange."""

    name: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Preset(Commanded):
    """The parameters of the preset of this name have its values from now on."""

    name: str


@dataclass(frozen=True, slots=True)
class Shutdown(Commanded):
    """The process shall end, whoever asked for it."""


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


Occurrence = (
    Commanded
    | Clocked
    | Heard
    | LetGo
    | ProgramChanged
    | Switched
    | Tick
    | Planned
    | PlanComplete
    | Performed
    | Released
    | Lost
    | Back
)


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
class Withdraw:
    """Forget what was planned for later than a moment; what sounds goes on."""

    after_s: float


@dataclass(frozen=True, slots=True)
class StartClock:
    """Let others follow a clock: its first beat at a moment, and how long a beat is."""

    first_s: float
    beat_s: float


@dataclass(frozen=True, slots=True)
class StopClock:
    """There is no clock any more that others could follow."""


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
class Changed:
    """Publish that these parameters were set."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keep:
    """What was played last is to be kept under a name: so many seconds, or the last exchange."""

    name: str
    last_s: float | None


@dataclass(frozen=True, slots=True)
class Forget:
    """Whoever keeps what was played so far shall keep this instead (not in its recording)."""

    history: Events = ()


@dataclass(frozen=True, slots=True)
class Refuse:
    """The command cannot be carried out, and why."""

    reason: str


ToOutput = Play | Hold | Withdraw | Release | ReleaseAfterPlan | SilenceAll | StartClock | StopClock
Action = (
    ToBrain | ToOutput
    | Enter | TurnEnded | Changed | Forget | Keep | Refuse
)  # fmt: skip
