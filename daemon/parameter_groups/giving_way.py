"""How the Performer gives way to the player, and what becomes of the keys that the player holds."""

from dataclasses import dataclass
from enum import StrEnum

from daemon.parameter_groups.rows import Applies, parameter
from daemon.parameter_groups.turn_taking import TurnTaking


class WhenPlayedOver(StrEnum):
    """What an answer does when the player strikes a key during it."""

    YIELD = "yield"
    OVERLAP = "overlap"
    DUCK = "duck"
    IGNORE = "ignore"


class HeldKeys(StrEnum):
    """What becomes of keys that the player still holds when an answer is to begin."""

    KEEP = "keep"
    WAIT = "wait"
    RELEASE = "release"


class HandBack(StrEnum):
    """How an answer ends that is taken back before its end."""

    NATURAL = "natural"
    CUT = "cut"
    PHRASE = "phrase"


@dataclass(frozen=True, slots=True)
class GivingWay(TurnTaking):
    """Playing over an answer, held keys, and the hand-back."""

    when_played_over: str = parameter(
        WhenPlayedOver.YIELD.value,
        "",
        "what it does when you play during an answer: end it, go on, go on softer, take no notice",
        applies=Applies.NEXT_TOKEN,
        choices=tuple(WhenPlayedOver),
    )
    ending_s: float = parameter(
        3.0,
        "s",
        "so long before its end an answer begins to slow down and to soften; 0: it just stops",
        applies=Applies.NEXT_TOKEN,
        minimum=0.0,
        maximum=30.0,
    )
    held_keys: str = parameter(
        HeldKeys.KEEP.value,
        "",
        "keys you still hold as it begins: they stay down, it waits for them, they count as up",
        applies=Applies.NEXT_TURN,
        choices=tuple(HeldKeys),
    )
    hand_back: str = parameter(
        HandBack.NATURAL.value,
        "",
        "how it ends when you take the turn: its keys come up, all is cut, or at its next rest",
        applies=Applies.NEXT_TOKEN,
        choices=tuple(HandBack),
    )
