"""Who watches a simulated session, and says which law was broken, by whatever means.

The witness goes by what can be seen from outside: what the player did, what the turns were told and
answered, what left on the wire, and what the brain remembers. It keeps accounts of its own.

1. What was struck is released exactly once; the pedal comes up.
2. The memory is what was heard, by both.
3. A key that the player holds is neither struck nor released.
4. No note begins after a stop was answered, none outside a turn, none too early or too late.
5. Time does not run backwards, and no turn begins in the past.
6. Commands are answered, turns begin and end; nothing hangs, nothing cuts in.
7. Only the player is heard: no echo, no garbage; and all that the player does.
8. What passes on is what was played, when it may; a clock runs while an answer does, and no longer.
"""

import math
from collections import deque
from dataclasses import dataclass, field

from daemon.messages import turns as t
from daemon.messages.brain import (
    CLOSING_S,
    LAST_PHRASE_S,
    BeginTurn,
    Conclude,
    Events,
    Recall,
    Return,
    ToBrain,
)
from daemon.messages.turns import Action, Occurrence, Part, State
from daemon.midi.latency import Latency
from daemon.midi.sending import Sending
from daemon.parameters import HeldKeys, Trigger
from daemon.stage.turns import Turns
from perceivers.events import CHORD_S, Event, NoteOff, NoteOn, Pedal, TimedEvent
from tests.support.simulation.beside import GRACE_S, REPEATS_S, WitnessBeside, is_passed
from tests.support.simulation.brain import ImprovisingBrain
from tests.support.simulation.musician import LAMP_CHANNEL
from tests.support.simulation.time_line import NS_PER_S

LATE_S = 0.1
ECHO_S = 0.03
LONGEST_TURN_S = 8.0  # the brain's own are half as long
TRACE = 60


class LawBrokenError(AssertionError):
    """A law does not hold."""


@dataclass(slots=True)
class Expected:
    """Something that the player did and that is still to be heard."""

    event: Event
    message: bytes
    time_s: float
    is_certain: bool = True


@dataclass(slots=True)
class Hands:
    """What the player is known to hold, and how long the phrase is."""

    held: set[int] = field(default_factory=set)
    freed_s: dict[int, float] = field(default_factory=dict)
    released: set[int] = field(default_factory=set)  # of those held: they count as released
    pedal: bool = False
    phrase_notes: int = 0
    played_over: int = 0  # of these notes: they may have been answered by the turn they were in
    last_s: float = 0.0

    def note(self, timed: TimedEvent) -> bool:
        """Keep account; tell whether it is something to be remembered."""
        self.last_s = timed.time_s
        match timed.event:
            case NoteOn(pitch=pitch):
                self.held.add(pitch)
                self.released.discard(pitch)
                self.phrase_notes += 1
            case NoteOff(pitch=pitch):
                self.held.discard(pitch)
                self.freed_s[pitch] = timed.time_s
                if pitch in self.released:
                    self.released.discard(pitch)
                    return False
            case Pedal(down=down):
                self.pedal = down
        return True

    def count_as_released(self, now_s: float) -> list[TimedEvent]:
        """Return what is remembered of keys that count as released while they are held."""
        events = [TimedEvent(now_s, NoteOff(pitch)) for pitch in self.held - self.released]
        self.released |= self.held
        return events

    def lifted(self, now_s: float) -> list[TimedEvent]:
        """Return what it means that the hands are gone."""
        events: list[Event] = [NoteOff(pitch) for pitch in sorted(self.held)]
        if self.pedal:
            events.append(Pedal(False))
        return [TimedEvent(now_s, event) for event in events]


@dataclass(slots=True)
class HandOver:
    """What was heard by both when a turn began, and what the player held."""

    start_s: float
    truth: list[TimedEvent]
    held: set[int]
    pedal: bool
    shifts_s: list[float] = field(default_factory=list)  # of the truth, not made yet

    def shift(self, by_s: float) -> None:
        """Let all of it have happened so much later."""
        self.start_s += by_s
        self.shifts_s.append(by_s)

    def shifted_truth(self) -> list[TimedEvent]:
        """Return the truth at its time; only here is it moved, as most of it is never asked for."""
        for by_s in self.shifts_s:
            self.truth = [TimedEvent(time_s + by_s, event) for time_s, event in self.truth]
        self.shifts_s.clear()
        return self.truth


class Witness:
    """Sees everything; raises LawBrokenError at the first thing that must not be."""

    def __init__(self) -> None:
        self.trace: deque[tuple[float, object]] = deque(maxlen=TRACE)
        self.turns_begun = 0
        self.sounding: dict[int, float] = {}
        self._pedal_sounds = False
        self._left_s: dict[bytes, float] = {}
        self._unsure: set[int] = set()  # strikes that the port refused, and may yet have sent
        self._expected: deque[Expected] = deque()
        self._pedal_missed = False  # then its next move may be none
        self._unanswered: dict[int, tuple[float, str]] = {}
        self._commands = 0
        self._hands = Hands()
        self._truth: list[TimedEvent] = []
        self._agreed = 0
        self._now_s = 0.0
        self._excused_until_s = 0.0  # even what the player holds may be released
        self._took_over_s = 0.0
        self._is_unplugged = False
        self._beside = WitnessBeside(lambda what: self._break(8, what))

    # Who tells what.

    def watch(self, turns: Turns, sending: Sending, latency: Latency) -> None:
        """A stage has begun; what its predecessor had in mind is gone."""
        self._beside.watch(turns, self._now_s)
        self._latency = latency
        self._latency_s = latency.of(NoteOn(60, 1)) / NS_PER_S
        self._turns = turns
        self._sending = sending
        self._hands = Hands(last_s=self._hands.last_s)
        self._truth = list(turns.history)
        self._agreed = 0
        self._planned: dict[NoteOn, list[float]] = {}
        self._forgotten_turn: int | None = None
        self._hand_overs: list[HandOver] = []
        self._begun_s = 0.0
        self._withdrawn = False
        self._handed_back_s = self._now_s
        self._ended_s = self._now_s
        self._changed_s = self._now_s
        self._stopped = False
        self._begun_when_stopped = -1
        self._took_over_s = self._excused_until_s = self._now_s
        self._excused_until_s += GRACE_S
        self._unanswered.clear()
        self.may_be_lost()

    def player_does(self, event: Event, message: bytes, now_s: float) -> None:
        """The player did this. What is just what left a moment ago passes for an echo of it."""
        self._beside.player_does(message, now_s)
        left_s = self._left_s.get(message, -math.inf)
        self._expected.append(Expected(event, message, now_s, now_s - left_s > ECHO_S))

    def may_be_lost(self) -> None:
        """What the player did and was not heard yet may never be."""
        for expected in self._expected:
            expected.is_certain = False

    def unplugged(self, is_unplugged: bool) -> None:
        self._is_unplugged = is_unplugged

    def asked(self, command: Occurrence, now_s: float) -> int:
        self._commands += 1
        self._unanswered[self._commands] = (now_s, type(command).__name__)
        return self._commands

    def answered(self, number: int, command: Occurrence) -> None:
        self._unanswered.pop(number, None)
        is_last = self.turns_begun == self._begun_when_stopped  # no turn has begun since
        if isinstance(command, t.Stop | t.Panic) and is_last:
            self._stopped = True

    def refused(self, message: bytes) -> None:
        """The port did not take a message."""
        if message[0] & 0xF0 == 0x90 and is_passed(message):
            self._beside.refused(message[1])
        elif message[0] & 0xF0 == 0x90:
            self._unsure.add(message[1])

    # What left.

    def on_wire(self, message: bytes, now_s: float) -> None:
        self.trace.append((now_s, message))
        self._clock(now_s)
        self._left_s[message] = now_s
        twins = [expected for expected in self._expected if expected.message == message]
        kind, data = message[0] & 0xF0, message[1:]
        may_be_itself = is_passed(message) and kind in (0x80, 0x90)
        for expected in twins[may_be_itself:]:
            expected.is_certain = False
        if kind == 0xF0:
            self._beside.ticked(message[0])
        elif is_passed(message):
            self._beside.passed_on(message, now_s)
        elif message[0] & 0x0F == LAMP_CHANNEL - 1:
            return
        elif kind == 0x90:
            self._struck(data[0], data[1], now_s)
        elif kind == 0x80:
            self._released(data[0], now_s)
        elif data[0] == 64:
            if data[1] and self._pedal_sounds:
                self._break(1, "the pedal goes down twice")
            self._pedal_sounds = data[1] > 0

    def _struck(self, pitch: int, velocity: int, now_s: float) -> None:
        if pitch in self.sounding:
            self._break(1, f"{pitch} is struck while it sounds")
        if pitch in self._hands.held:
            self._break(3, f"{pitch} is struck while the player holds it")
        if self._stopped or self._turns.state not in (State.PERFORMING, State.HANDING_BACK):
            self._break(4, f"{pitch} is struck in {self._turns.state}")
        due = self._planned.get(NoteOn(pitch, velocity), [])
        sounds_s = now_s + self._latency.of(NoteOn(pitch, velocity)) / NS_PER_S
        late_s = LATE_S + self._latency_s  # it waits until the key has come up
        if not any(0.0 <= sounds_s - due_s + 1e-6 <= late_s + 2e-6 for due_s in due):
            self._break(4, f"{pitch} is struck too early, too late or unplanned: {due}")
        self.sounding[pitch] = now_s
        self._unsure.discard(pitch)

    def _released(self, pitch: int, now_s: float) -> None:
        may_be_silent = pitch in self._unsure or now_s - self._took_over_s < REPEATS_S
        if self.sounding.pop(pitch, None) is None and not may_be_silent:
            self._break(1, f"{pitch} is released twice")
        if pitch in self._hands.held and now_s > self._excused_until_s:
            self._break(3, f"{pitch} is released while the player holds it")
        self._unsure.discard(pitch)

    # What the turns were told and decided.

    def decided(self, happened: Occurrence, actions: list[Action], now_s: float) -> None:
        self._clock(now_s)
        if not isinstance(happened, t.Tick) or actions:
            self.trace.append((now_s, (happened, actions)))
        self._take_note(happened, now_s)
        is_taken_back = any(isinstance(action, t.Forget) for action in actions)
        self._is_retaken = is_taken_back and not isinstance(happened, t.Reset)
        if self._is_retaken:
            self._taken_back(actions, now_s)
        for action in actions:
            if isinstance(action, ToBrain):
                self._told(happened, action, now_s)
            else:
                self._done(action, now_s)
        is_taken = isinstance(happened, t.Switched) and any(
            isinstance(action, t.Enter) and action.state is State.HANDING_BACK for action in actions
        )
        if t.SilenceAll() in actions or is_taken:
            self._hands.phrase_notes = self._hands.played_over = 0
        if isinstance(happened, t.Stop | t.Finish | t.Panic | t.Reset | t.LetGo):
            self._hands.phrase_notes = self._hands.played_over = 0

    def _told(self, happened: Occurrence, message: ToBrain, now_s: float) -> None:
        if isinstance(message, BeginTurn):
            self._begun(happened, message, now_s)
        elif isinstance(message, Conclude) and message.from_s is not None:
            self._withdraw(message.from_s, now_s)
        elif isinstance(message, Recall):
            self._agreed = 0

    def _taken_back(self, actions: list[Action], now_s: float) -> None:
        """The last answer is taken back, or with its phrase, as though it had not been."""
        for _ in range(_exchanges_taken_back(actions, self._hand_overs) - 1):
            self._hand_overs.pop()
        before = self._hand_overs.pop()
        (begin,) = [each for each in actions if isinstance(each, BeginTurn)] or [None]
        (kept,) = [each.history for each in actions if isinstance(each, t.Forget)]
        hands, self._agreed = self._hands, 0
        hands.phrase_notes = hands.played_over = 0
        if begin is None:  # how far it goes back, only the turns know
            self._truth = [*kept]
            hands.released = hands.held - self._turns._phrase.remembered
            heard = {*before.shifted_truth()}
            if not all(timed in heard or timed.time_s == now_s for timed in kept):
                self._break(2, "what is kept was not heard before the answer")
            return
        by_s = begin.start_s - before.start_s
        before.shift(by_s)
        self._truth = [*before.shifted_truth()]
        self._truth += [TimedEvent(now_s, NoteOff(pitch)) for pitch in before.held - hands.held]
        if before.pedal is not hands.pedal:
            self._truth.append(TimedEvent(now_s, Pedal(hands.pedal)))
        hands.released = hands.held - before.held
        for earlier in self._hand_overs:
            earlier.shift(by_s)

    def _done(self, action: Action, now_s: float) -> None:
        match action:
            case t.Play(events):
                self._plan(events)
            case t.Enter(State.HANDING_BACK):
                self._handed_back_s = now_s
            case t.Release():
                self._planned.clear()
            case t.SilenceAll():
                self._planned.clear()
                self._excused_until_s = now_s + GRACE_S
            case t.TurnEnded(reason=reason):
                self._planned.clear()
                self._ended_s = now_s
                if reason == "length":  # it has answered what was played over it
                    self._hands.played_over = self._hands.phrase_notes

    def _plan(self, events: Events) -> None:
        for due_s, event in events:
            if isinstance(event, NoteOn):
                if self._withdrawn:
                    self._break(4, f"{event} is planned while the gesture ends")
                self._planned.setdefault(event, []).append(due_s)

    def _withdraw(self, after_s: float, now_s: float) -> None:
        """The gesture ends: nothing begins later than its chord."""
        self._withdrawn = True
        if after_s > now_s + CHORD_S + self._latency_s:
            self._break(4, f"the gesture goes on until {after_s}")
        for due in self._planned.values():
            due[:] = [due_s for due_s in due if due_s <= after_s]

    def _take_note(self, happened: Occurrence, now_s: float) -> None:
        if isinstance(happened, t.Adjust | t.Back | t.Lost):
            self._changed_s = now_s
        if isinstance(happened, t.Stop | t.Panic):
            self._begun_when_stopped = self.turns_begun
        match happened:
            case t.Heard(timed):
                self._heard(timed, now_s)
            case t.Performed(timed):
                if self._forgotten_turn is None or self._forgotten_turn != self._turn_before:
                    self._truth.append(timed)
            case t.Reset():
                self._hand_overs.clear()
                self._truth.clear()
                self._agreed = 0
                self._forgotten_turn = self._turn_before
            case t.LetGo() | t.Lost(Part.INPUT):
                for timed in self._hands.lifted(now_s):
                    self._played(timed)

    def before(self, happened: Occurrence, now_s: float) -> None:
        self._turn_before = self._turns.turn

    def _heard(self, timed: TimedEvent, now_s: float) -> None:
        while self._expected and self._expected[0].event != timed.event:
            missed = self._expected.popleft()
            is_news = not (self._pedal_missed and isinstance(missed.event, Pedal))
            if missed.is_certain and is_news:
                self._break(7, f"{missed} was not heard")
            self._pedal_missed |= isinstance(missed.event, Pedal)
        if not self._expected:
            self._break(7, f"{timed.event} was heard, and nobody played it")
        self._expected.popleft()
        if isinstance(timed.event, Pedal):
            self._pedal_missed = False
        if not self._hands.last_s - 1e-9 <= timed.time_s <= now_s:
            self._break(5, f"{timed} is heard out of order, after {self._hands.last_s}")
        self._played(timed)

    def _played(self, timed: TimedEvent) -> None:
        if self._hands.note(timed):
            self._truth.append(timed)

    def _begun(self, happened: Occurrence, begin: BeginTurn, now_s: float) -> None:
        self.turns_begun += 1
        self._begun_s = begin.start_s
        self._stopped = self._withdrawn = False
        if begin.start_s < max(now_s, self._hands.last_s):
            self._break(5, f"a turn begins in the past, at {begin.start_s}")
        if begin.held != self._hands.held:
            self._break(3, f"the brain takes {set(begin.held)} for held, not {self._hands.held}")
        if isinstance(happened, t.Tick):
            self._came_in(now_s)
        is_first = not self._is_retaken
        if is_first and begin.parameters.held_keys == HeldKeys.WAIT and begin.held:
            self._break(6, "a turn begins before the player's keys are up")
        if is_first and begin.parameters.held_keys == HeldKeys.RELEASE:
            self._truth += self._hands.count_as_released(now_s)
        hands = self._hands
        held = hands.held - hands.released
        self._hand_overs.append(HandOver(begin.start_s, [*self._truth], held, hands.pedal))
        self._hands.phrase_notes = self._hands.played_over = 0

    def _came_in(self, now_s: float) -> None:
        parameters, hands = self._turns.parameters, self._hands
        if Trigger.SILENCE not in parameters.trigger:
            self._break(6, "silence begins a turn, and is no trigger")
        if hands.phrase_notes < parameters.phrase_notes:
            self._break(6, "a turn begins before there is a phrase")
        least_s = parameters.silence_s
        if parameters.silence_intervals is not None:
            least_s = min(least_s, parameters.silence_least_s)
        if hands.held:
            least_s = parameters.held_after_s or math.inf
        if now_s - hands.last_s < least_s - 1e-9:
            self._break(6, "a turn begins too early")

    # What must hold after each step.

    def after(self, now_s: float, brain: ImprovisingBrain | None, *, quiet: bool) -> None:
        turns = self._turns
        for asked_s, what in self._unanswered.values():
            if now_s - asked_s > GRACE_S + 1.0:
                self._break(6, f"{what} is not answered")
        if turns.turn is None:
            self._forgotten_turn = None
            self._check_rest(now_s)
        elif now_s - self._begun_s > LONGEST_TURN_S and not self._sending.lost:
            self._break(6, "a turn does not end")
        elif self._is_handed_back_too_slowly(now_s):
            self._break(6, "what was handed back does not end")
        if quiet and turns.turn is None and brain is not None and not turns.missing:
            self._check_memory(brain)
        self._check_entry(now_s)

    def _is_handed_back_too_slowly(self, now_s: float) -> bool:
        if self._turns.state is not State.HANDING_BACK or self._sending.lost:
            return False
        return now_s - self._handed_back_s > LAST_PHRASE_S + CLOSING_S + GRACE_S

    def _check_rest(self, now_s: float) -> None:
        """Between turns nothing sounds but what the player's own fingers keep from ending."""
        if self._sending.lost or now_s - self._ended_s < GRACE_S:
            return
        for pitch in self.sounding:
            freed_s = self._hands.freed_s.get(pitch, 0.0)
            if pitch not in self._hands.held and now_s - freed_s > GRACE_S:
                self._break(1, f"{pitch} hangs")
        if self._pedal_sounds:
            self._break(1, "the pedal hangs")
        self._beside.check_rest(self._hands.held, self._hands.freed_s, now_s)

    def _check_memory(self, brain: ImprovisingBrain) -> None:
        if brain.in_turn:
            self._break(2, "the brain is in a turn that is over")
        truth, memory = self._truth[self._agreed :], brain.memory[self._agreed :]
        # At one moment the order may be another; but mostly it is the same, and sorting takes long.
        if truth != memory and sorted(truth, key=_moment) != sorted(memory, key=_moment):
            extra = [timed for timed in memory if timed not in truth]
            missing = [timed for timed in truth if timed not in memory]
            self._break(2, f"remembered, not heard: {extra}; heard, not remembered: {missing}")
        self._agreed = len(self._truth)

    def _check_entry(self, now_s: float) -> None:
        turns, hands = self._turns, self._hands
        parameters = turns.parameters
        is_phrase = hands.phrase_notes - hands.played_over >= parameters.phrase_notes
        if turns.turn is not None or turns.missing or not is_phrase:
            return
        most_s = parameters.silence_s
        if hands.held:
            is_patient = parameters.held_keys == HeldKeys.WAIT
            most_s = math.inf if is_patient else parameters.held_after_s or math.inf
        silent_s = now_s - max(hands.last_s, self._ended_s)
        is_late = Trigger.SILENCE in parameters.trigger and silent_s > most_s + GRACE_S
        if is_late and self._has_waited(now_s):
            self._break(6, "it does not come in")

    def _has_waited(self, now_s: float) -> bool:
        """Whether the parts were all there, and the turns told so, for a while."""
        return now_s - max(self._ended_s, self._changed_s) > GRACE_S

    def finally_at_rest(self) -> None:
        """The daemon has ended."""
        if self.sounding and not self._is_unplugged:
            self._break(1, f"{set(self.sounding)} sound on after the end")
        if self._pedal_sounds and not self._is_unplugged:
            self._break(1, "the pedal is down after the end")
        if not self._is_unplugged:
            self._beside.check_end()

    def _clock(self, now_s: float) -> None:
        if now_s < self._now_s:
            self._break(5, "time runs backwards")
        self._now_s = now_s

    def _break(self, law: int, what: str) -> None:
        raise LawBrokenError(f"law {law}: {what}, {self._now_s:.3f} s after the start")


def _exchanges_taken_back(actions: list[Action], hand_overs: list[HandOver]) -> int:
    """Return how many: a brain that has to be told all anew is told so by what it is told."""
    for action in actions:
        if isinstance(action, Return):
            return action.turns
    begun = [action for action in actions if isinstance(action, BeginTurn)]
    recalls = [action for action in actions if isinstance(action, Recall)]
    if not begun or not recalls:
        return 1  # undo; or the brain is told nothing, which will be found
    last = hand_overs[-1]
    by_s = begun[0].start_s - last.start_s
    told = {*recalls[0].history}
    is_last = all(
        TimedEvent(time_s + by_s, event) in told for time_s, event in last.shifted_truth()
    )
    return 1 if is_last or len(hand_overs) == 1 else 2


def _moment(timed: TimedEvent) -> tuple[float, str]:
    return timed.time_s, repr(timed.event)
