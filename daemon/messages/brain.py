"""What stage and brain say to each other, one frozen type for each message.

Times are seconds of the session: since the monotonic instant that both were started with.
"""

from dataclasses import dataclass

from daemon.parameters import Parameters
from perceivers.events import TimedEvent

Events = tuple[TimedEvent, ...]

CLOSING_S = 2.0
"""How long keys have to come up by themselves, once nothing new is to begin in an answer."""
HAND_OVERS = 2
"""To the beginnings of so many turns, the last ones, the brain can return."""
LAST_PHRASE_S = 2.0
"""How long an answer that is to end at its next rest may take to come to one."""


@dataclass(frozen=True, slots=True)
class Hear:
    """To the brain: the player did this. Also while a turn lasts (releases, pedal)."""

    events: Events


@dataclass(frozen=True, slots=True)
class BeginTurn:
    """To the brain: perform from `start_s` on; nothing planned may lie before it."""

    turn: int
    start_s: float
    held: frozenset[int]  # pitches whose keys the player holds: not to be struck or released
    parameters: Parameters
    phrase_s: float = 0.0  # how long the player's last phrase was; 0: there was none
    bar_s: float = 2.0  # how long a bar is
    grid_from_s: float = 0.0  # where the clock has a sixteenth, and how long one is
    grid_s: float = 0.0  # 0: there is no clock


@dataclass(frozen=True, slots=True)
class Conclude:
    """To the brain: begin nothing new, let the keys come up; what it then says is another plan.

    What was planned for later than `from_s` is not played: from there on it plans anew, and has
    CLOSING_S for it. Without a moment all stays planned, and it concludes at the next rest, at
    `by_s` at the latest.
    """

    turn: int
    from_s: float | None
    by_s: float | None = None  # None in older recordings: LAST_PHRASE_S after what is planned


@dataclass(frozen=True, slots=True)
class Steer:
    """To the brain: from the next token on, use these parameters."""

    parameters: Parameters


@dataclass(frozen=True, slots=True)
class EndTurn:
    """To the brain: the turn is over, and this is what was really sent, in order of time.

    The brain makes its memory agree: what was planned and not sent is forgotten. `heard` is what
    the player did meanwhile that it was not told as it happened, because it did not concern it.
    """

    turn: int
    performed: Events
    heard: Events = ()


@dataclass(frozen=True, slots=True)
class Recall:
    """To the brain: forget everything, then take `history` as heard (empty: a fresh start)."""

    history: Events


@dataclass(frozen=True, slots=True)
class Return:
    """To the brain, between turns: go back to before the last turn, or the last but one.

    Everything since is forgotten, and what came before counts as so much later.
    """

    turns: int
    by_s: float


@dataclass(frozen=True, slots=True)
class Quit:
    """To the brain: end."""


ToBrain = Hear | BeginTurn | Conclude | Steer | EndTurn | Recall | Return | Quit


@dataclass(frozen=True, slots=True)
class BrainReady:
    """From the brain: the model is loaded and warm."""

    model: str
    provider: str  # as the runtime reports it
    precision: str
    parameters_million: float
    context: int
    step_ms: float  # median of one token at warm-up, in an empty memory
    load_s: float
    notes_per_s: float | None = None  # that can be played, in an empty memory
    full_notes_per_s: float | None = None  # in a full one, estimated
    advice: str | None = None  # where these are too few: what to choose instead
    checkpoint_sha256: str = ""  # of what the model was exported from


@dataclass(frozen=True, slots=True)
class Planned:
    """From the brain: events to be sent at their times."""

    turn: int
    events: Events
    plan: int = 0  # of this turn: how often it was told to plan anew


@dataclass(frozen=True, slots=True)
class PlanComplete:
    """From the brain: nothing more will be planned in this turn."""

    turn: int
    reason: str  # "length", "ending" or "stopped"
    plan: int = 0  # as in Planned


@dataclass(frozen=True, slots=True)
class Took:
    """From the brain: what it was told in this turn it took in after so many steps of planning.

    One for each message between BeginTurn and EndTurn, and for EndTurn, in their order.
    """

    turn: int
    steps: int


@dataclass(frozen=True, slots=True)
class Pulse:
    """From the brain, at least once a second: it lives, and this is how it does."""

    position: int  # tokens in memory
    lag_tokens: int  # heard, not yet fed
    step_ms: float  # median of the last steps
    lead_s: float | None  # planned ahead of now; None outside a turn


@dataclass(frozen=True, slots=True)
class BrainFailed:
    """From the brain: it cannot go on, and why, in one line."""

    reason: str


FromBrain = BrainReady | Planned | PlanComplete | Took | Pulse | BrainFailed
