"""What stage and supervisor say to each other, one frozen type for each message."""

from dataclasses import dataclass

from daemon.messages.brain import Events, ToBrain, Took
from daemon.messages.journal import Opening
from daemon.settings import Settings
from perceivers.events import TimedEvent


@dataclass(frozen=True, slots=True)
class StageOptions:
    """What a stage is started with."""

    settings: Settings
    origin_ns: int  # the monotonic instant that is second 0 of the session
    history: Events  # what was played before this stage was started
    verbose: bool = False


@dataclass(frozen=True, slots=True)
class Beat:
    """From the stage, several times a second: it lives."""


@dataclass(frozen=True, slots=True)
class Ready:
    """From the stage: all is there; and what it runs on, in a few lines for the user."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StageFailed:
    """From the stage: it cannot go on, for a reason that the user can mend."""

    reason: str


@dataclass(frozen=True, slots=True)
class Happened:
    """From the stage: the `player` or the `performer` did this."""

    part: str
    timed: TimedEvent


@dataclass(frozen=True, slots=True)
class PlayedBy:
    """From the stage: this model plays from now on."""

    opening: Opening


@dataclass(frozen=True, slots=True)
class Noted:
    """From the stage: the brain was told this, or said when it took it in."""

    time_s: float
    line: ToBrain | Took


@dataclass(frozen=True, slots=True)
class Captured:
    """From the stage: the last seconds, or the last exchange, are to be kept under this name."""

    name: str
    last_s: float | None


@dataclass(frozen=True, slots=True)
class HandedBack:
    """From the stage: a turn is over."""


@dataclass(frozen=True, slots=True)
class Forgot:
    """From the stage: what was played so far is to be forgotten (not its recording), but this."""

    history: Events = ()


@dataclass(frozen=True, slots=True)
class StopStage:
    """To the stage: let go of everything and end."""


FromStage = (
    Beat | Ready | StageFailed | Happened | PlayedBy | Noted | Captured | HandedBack | Forgot
)
