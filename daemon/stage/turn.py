"""What is known of a turn that lasts: who did what in it, what the brain was told, and how it ends.

Pure, like the turns: times are seconds of the session, and come in.
"""

import math
from dataclasses import dataclass, field
from enum import Enum, auto

from daemon.messages import turns as t
from daemon.messages.brain import CLOSING_S, LAST_PHRASE_S, Conclude, EndTurn
from daemon.messages.turns import Action
from daemon.parameters import HandBack, Parameters
from perceivers.events import CHORD_S, NoteOff, NoteOn, TimedEvent


class Ending(Enum):
    """How far a turn has come to its end."""

    NOT_YET = auto()
    BY_ITSELF = auto()  # it was taken back: what it began comes to its end
    CUT = auto()  # nothing of it is played any more


@dataclass(slots=True)
class Turn:
    """What is known of the turn that lasts."""

    number: int
    parameters: Parameters
    trigger_s: float
    decision_s: float | None
    latency_s: float = 0.0  # of the instrument: what sounds before that has left already
    known_to_brain: bool = True
    complete: bool = False
    forget: bool = False  # what was played until its end, when it has ended
    end_reason: str = ""
    ending: Ending = Ending.NOT_YET
    cut_at_s: float = math.inf  # by then what ends by itself must have ended
    plan: int = 0  # how often the brain was told to plan anew
    first_note_s: float | None = None
    performed: list[TimedEvent] = field(default_factory=list)
    heard: list[TimedEvent] = field(default_factory=list)  # and told to the brain as it happened
    unheeded: list[TimedEvent] = field(default_factory=list)  # told to it at the end of the turn
    _unheeded_keys: set[int] = field(default_factory=set)
    _last_onset_s: float = -math.inf

    def hear(self, timed: TimedEvent, *, heed: bool) -> bool:
        """Take down what the player did; tell whether the brain is to be told now.

        It is not told of a strike that nobody heeds, nor of that key's release.
        """
        event = timed.event
        if isinstance(event, NoteOn) and not heed:
            self._unheeded_keys.add(event.pitch)
        is_unheeded = isinstance(event, NoteOn | NoteOff) and event.pitch in self._unheeded_keys
        if isinstance(event, NoteOff):
            self._unheeded_keys.discard(event.pitch)
        if is_unheeded or self.ending is Ending.CUT:
            self.unheeded.append(timed)
            return False
        self.heard.append(timed)
        return True

    def play(self, timed: TimedEvent) -> None:
        """Take down what was sent."""
        self.performed.append(timed)
        if not isinstance(timed.event, NoteOn):
            return
        if timed.time_s - self._last_onset_s > CHORD_S:
            self._last_onset_s = timed.time_s
        if self.first_note_s is None:
            self.first_note_s = timed.time_s - self.trigger_s

    def is_played(self, plan: int) -> bool:
        """Tell whether what this plan says is still to be played."""
        return plan == self.plan and self.ending is not Ending.CUT

    def hand_back(self, reason: str, now_s: float) -> list[Action]:
        """Let it end as its parameters say."""
        if self.parameters.hand_back == HandBack.CUT:
            return self.cut(reason)
        self.end_reason = reason
        self.ending = Ending.BY_ITSELF
        if self.parameters.hand_back == HandBack.PHRASE:
            by_s = now_s + LAST_PHRASE_S
            self.cut_at_s = by_s + CLOSING_S
            return [] if self.complete else [Conclude(self.number, None, by_s)]
        chord_until_s = self._last_onset_s + CHORD_S  # the present chord is struck whole
        from_s = max(now_s + self.latency_s, chord_until_s)
        self.cut_at_s = from_s + CLOSING_S
        self.plan += 1
        self.complete = False
        return [t.Withdraw(from_s), Conclude(self.number, from_s)]

    def cut(self, reason: str) -> list[Action]:
        """Let all that sounds be released now."""
        self.end_reason = reason
        self.ending = Ending.CUT
        return [t.Release()]

    def told_at_the_end(self) -> EndTurn:
        """Return what the brain is told when it is over."""
        return EndTurn(self.number, tuple(self.performed), tuple(self.unheeded))

    def summary(self, now_s: float) -> t.TurnEnded:
        """Return what the world is told when it is over."""
        notes = sum(isinstance(timed.event, NoteOn) for timed in self.performed)
        return t.TurnEnded(
            self.number,
            self.end_reason,
            notes,
            now_s - self.trigger_s,
            self.decision_s,
            self.first_note_s,
        )
