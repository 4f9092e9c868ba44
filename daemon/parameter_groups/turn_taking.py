"""When an answer begins and when it ends."""

from dataclasses import dataclass
from enum import StrEnum

from daemon.parameter_groups.choosing import Choosing
from daemon.parameter_groups.rows import Applies, parameter


class LengthUnit(StrEnum):
    """What the length of an answer counts."""

    SECONDS = "seconds"
    NOTES = "notes"
    BARS = "bars"  # of the MIDI clock
    MATCH = "match"  # as long as the player's last phrase
    OPEN = "open"  # until it is handed back


class Trigger(StrEnum):
    """What hands the turn to the Performer; the command `perform` always does."""

    SILENCE = "silence"
    COMMAND = "command"


class Entry(StrEnum):
    """At which moment an answer begins, once it is the Performer's turn."""

    AT_ONCE = "at_once"
    IN_TIME = "in_time"
    BEAT = "beat"  # of the MIDI clock
    BAR = "bar"


@dataclass(frozen=True, slots=True)
class TurnTaking(Choosing):
    """Length, triggers, and the moment of the entry."""

    length: float = parameter(
        15.0,
        "s, notes, bars",
        "how long an answer is, in what length_unit counts",
        applies=Applies.NEXT_TOKEN,
        minimum=1.0,
        maximum=3600.0,
    )
    length_unit: str = parameter(
        LengthUnit.SECONDS.value,
        "",
        "what length counts; match: as long as the player's phrase; open: until handed back",
        applies=Applies.NEXT_TOKEN,
        choices=tuple(LengthUnit),
    )
    trigger: tuple[str, ...] = parameter(
        (Trigger.SILENCE.value,),
        "",
        "what starts an answer, beside the command perform, which always does",
        applies=Applies.AT_ONCE,
        choices=tuple(Trigger),
    )
    silence_intervals: float | None = parameter(
        2.0,
        "intervals",
        "how many of the player's own intervals a pause lasts before the answer; null: silence_s",
        applies=Applies.AT_ONCE,
        minimum=0.5,
        maximum=16.0,
        optional=True,
    )
    silence_least_s: float = parameter(
        0.7,
        "s",
        "the shortest pause that is an end, however quick the music",
        applies=Applies.AT_ONCE,
        minimum=0.1,
        maximum=10.0,
    )
    silence_s: float = parameter(
        1.5,
        "s",
        "with every key up, the longest that it waits before the answer",
        applies=Applies.AT_ONCE,
        minimum=0.1,
        maximum=10.0,
    )
    held_after_s: float | None = parameter(
        4.0,
        "s",
        "a chord that is held for so long is an end as well; null: never",
        applies=Applies.AT_ONCE,
        minimum=1.0,
        maximum=60.0,
        optional=True,
    )
    phrase_notes: int = parameter(
        3,
        "notes",
        "how much the player must have played before silence counts",
        applies=Applies.AT_ONCE,
        minimum=1,
        maximum=1000,
    )
    entry: str = parameter(
        Entry.AT_ONCE.value,
        "",
        "when an answer begins: at once, on your own pulse, or on a beat or bar of the MIDI clock",
        applies=Applies.NEXT_TURN,
        choices=tuple(Entry),
    )
    beats_per_bar: int = parameter(
        4,
        "beats",
        "how many beats of the MIDI clock make a bar",
        applies=Applies.NEXT_TURN,
        minimum=1,
        maximum=16,
    )
