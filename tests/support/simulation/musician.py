"""A musician at random: phrases, pauses, commands, changes of mind, and everything that goes wrong.

`play` is a generator of pauses in seconds; between them the musician does something.
"""

import random
from collections.abc import Callable, Iterator
from typing import Protocol

from daemon.messages import turns as t
from daemon.messages.turns import Occurrence, State
from daemon.parameters import (
    Changes,
    Entry,
    HandBack,
    HeldKeys,
    Passes,
    Trigger,
    WhenPlayedOver,
)
from perceivers.events import Event, NoteOff, NoteOn, Pedal
from perceivers.midi_files import message_bytes

PLAYER_CHANNEL = 0
PERFORMER_CHANNEL = 2  # as musicians count
LAMP_CHANNEL = 16
GARBAGE = tuple(
    bytes.fromhex(text)
    for text in (
        *("", "00", "3c40", "903c", "903cff", "f8", "fe", "f4", "f100"),
        *("e00040", "f07e7ff7", "b00140", "c005", "a03c40"),
    )
)


SWITCHES = (
    (b"\xb0\x42\x7f", b"\xb0\x42\x00"),
    (b"\xc0\x07", b"\xc0\x08"),
)


class Stage(Protocol):
    """What the musician can do to the Performer and see of it."""

    @property
    def state(self) -> State: ...
    def play(self, event: Event) -> None: ...
    def send(self, message: bytes) -> None: ...
    def sit_at(self, *, is_client: bool) -> None: ...
    def command(self, command: Occurrence) -> None: ...
    def plug_input(self, plugged: bool) -> None: ...
    def plug_output(self, plugged: bool) -> None: ...
    def lose_brain(self) -> None: ...
    def start_brain(self) -> None: ...
    def replace_stage(self) -> None: ...
    def loop(self, is_loop: bool) -> None: ...


class Musician:
    """Plays, and does whatever a musician might do to the Performer."""

    def __init__(self, rng: random.Random, stage: Stage) -> None:
        self._rng = rng
        self._stage = stage
        self._down: set[int] = set()
        self._pedal = False
        self._deeds: tuple[tuple[float, Callable[[], Iterator[float]]], ...] = (
            (40, self._phrase),
            (30, self._wait_for_the_answer),
            (12, self._play_over_it),
            (12, self._command),
            (8, self._turn_the_knobs),
            (3, self._garble),
            (8, self._use_the_foot),
            (3, self._start_the_clock),
            (4, self._move_what_has_learnt),
            (1, self._let_go),
            (1.5, self._lose_the_brain),
            (1, self._unplug_the_output),
            (1, self._unplug_the_input),
            (0.5, self._replace_the_stage),
            (1, self._close_a_loop),
        )

    def play(self) -> Iterator[float]:
        weights = [weight for weight, _ in self._deeds]
        deeds = [deed for _, deed in self._deeds]
        while True:
            (deed,) = self._rng.choices(deeds, weights)
            yield from deed()

    def make_peace(self) -> Iterator[float]:
        """Mend everything, take the hands away and ask for silence."""
        self._stage.plug_input(True)
        self._stage.plug_output(True)
        self._stage.loop(False)
        self._stage.lose_brain()
        self._stage.start_brain()
        yield 2.0
        yield from self.take_hands_away()
        self._stage.command(t.Stop())
        yield 5.0

    def _do(self, event: Event) -> None:
        self._stage.play(event)

    def _press(self, pitch: int) -> None:
        if pitch not in self._down:
            self._down.add(pitch)
            self._do(NoteOn(pitch, self._rng.randint(1, 127)))

    def _release(self, pitch: int) -> None:
        if pitch in self._down:
            self._down.discard(pitch)
            self._do(NoteOff(pitch))

    def _put_pedal(self, down: bool) -> None:
        if down is not self._pedal:
            self._pedal = down
            self._do(Pedal(down))

    def take_hands_away(self) -> Iterator[float]:
        """Let go of every key, and of the pedal."""
        for pitch in sorted(self._down):
            self._release(pitch)
            yield self._rng.choice((0.0, 0.01))
        self._put_pedal(False)

    def _phrase(self) -> Iterator[float]:
        rng = self._rng
        if not self._down and not self._pedal and rng.random() < 0.3:
            yield 0.01  # what was played before is heard before
            self._stage.sit_at(is_client=rng.random() < 0.5)
        interval_s = rng.choice((0.06, 0.12, 0.25, 0.5, 1.0))
        for _ in range(rng.randint(1, 8)):
            chord = rng.sample(range(55, 76), rng.choice((1, 1, 1, 2, 4)))
            for pitch in chord:
                self._press(pitch)
                yield rng.choice((0.0, 0.005))
            if rng.random() < 0.2:
                self._put_pedal(not self._pedal)
            yield interval_s * rng.uniform(0.5, 1.3)
            for pitch in chord:
                if rng.random() < 0.9:
                    self._release(pitch)
        if rng.random() < 0.8:
            yield from self.take_hands_away()
        yield rng.choice((0.0, 0.1, 0.5, 1.0, 2.0, 2.0, 6.0))

    def _wait_for_the_answer(self) -> Iterator[float]:
        if self._rng.random() < 0.8:
            yield from self.take_hands_away()
        for _ in range(self._rng.randint(1, 20)):
            yield 0.3
            if self._stage.state is State.LISTENING:
                return

    def _play_over_it(self) -> Iterator[float]:
        for _ in range(20):
            if self._stage.state is State.PERFORMING:
                break
            yield 0.1
        yield self._rng.uniform(0.0, 1.0)
        deed = self._rng.choice(
            (self._touch, self._touch_the_pedal, self._phrase, self.take_hands_away)
        )
        yield from deed()

    def _touch(self) -> Iterator[float]:
        pitch = self._rng.randint(55, 75)
        self._press(pitch)
        yield self._rng.choice((0.01, 0.2, 3.0))
        self._release(pitch)

    def _touch_the_pedal(self) -> Iterator[float]:
        self._put_pedal(not self._pedal)
        yield 0.2

    def _command(self) -> Iterator[float]:
        kinds = (
            *(t.Perform, t.Perform, t.Perform, t.Stop, t.Stop, t.Finish, t.Panic, t.Reset),
            *(t.AnotherTake, t.AnotherTake, t.Undo),
        )
        for _ in range(self._rng.choice((1, 1, 1, 2, 3))):
            self._stage.command(self._rng.choice(kinds)())
            yield self._rng.choice((0.0, 0.01, 0.3, 1.0))

    def _turn_the_knobs(self) -> Iterator[float]:
        self._stage.command(t.Adjust(any_changes(self._rng)))
        yield self._rng.choice((0.0, 0.1))

    def _garble(self) -> Iterator[float]:
        for _ in range(self._rng.randint(1, 5)):
            self._stage.send(self._rng.choice(GARBAGE))
            yield self._rng.choice((0.0, 0.02))

    def _start_the_clock(self) -> Iterator[float]:
        """Let a MIDI clock run for a while: a good one, or one that is none."""
        tick_s = self._rng.choice((0.01, 0.0208, 0.05, 0.0208, 0.8, 0.0001))
        self._stage.send(self._rng.choice((b"\xfa", b"\xf2\x05\x01", b"\xf2\x7f\x7f", b"\xfb")))
        for _ in range(self._rng.randint(1, 60)):
            self._stage.send(b"\xf8")
            yield tick_s + self._rng.uniform(0.0, 0.005)

    def _use_the_foot(self) -> Iterator[float]:
        """Tap, tap twice, or stay on it, with a pedal or a program; it may bounce."""
        down, up = self._rng.choice(SWITCHES)
        for _ in range(self._rng.choice((1, 1, 2, 3))):
            for _ in range(self._rng.choice((1, 1, 3))):
                self._stage.send(down)
                yield 0.004
                self._stage.send(up)
                yield 0.004
            self._stage.send(down)
            yield self._rng.choice((0.0, 0.1, 0.1, 0.1, 1.0))
            self._stage.send(up)
            yield self._rng.choice((0.1, 0.2, 0.5, 2.0))

    def _move_what_has_learnt(self) -> Iterator[float]:
        """Turn knobs, press pedals and strike keys that are no music, as `LearntBefore` says."""
        for _ in range(self._rng.randint(1, 6)):
            place = self._rng.choice((0, 20, 64, 100, 127))
            self._stage.send(bytes((0xB0, self._rng.randint(20, 22), place)))
            if self._rng.random() < 0.2:
                self._stage.send(b"\x90\x64\x40")
                self._stage.send(b"\x90\x64\x00")
            yield self._rng.choice((0.0, 0.02, 0.3))

    def _let_go(self) -> Iterator[float]:
        self._stage.send(self._rng.choice((b"\xb0\x7b\x00", b"\xb0\x78\x00", b"\xfc", b"\xff")))
        self._down.clear()
        self._pedal = False
        yield 0.1

    def _lose_the_brain(self) -> Iterator[float]:
        self._stage.lose_brain()
        for _ in range(self._rng.randint(0, 2)):
            yield from self._phrase()
        yield self._rng.choice((0.0, 0.01, 1.0))
        self._stage.start_brain()

    def _unplug_the_output(self) -> Iterator[float]:
        self._stage.plug_output(False)
        for _ in range(self._rng.randint(0, 2)):
            yield from self._phrase()
        self._stage.plug_output(True)
        yield 1.0

    def _unplug_the_input(self) -> Iterator[float]:
        self._stage.plug_input(False)
        self._down.clear()
        self._pedal = False
        yield self._rng.choice((0.1, 1.0, 5.0))
        self._stage.plug_input(True)

    def _replace_the_stage(self) -> Iterator[float]:
        self._stage.replace_stage()
        self._down.clear()
        self._pedal = False
        yield 0.5
        self._stage.start_brain()

    def _close_a_loop(self) -> Iterator[float]:
        yield from self.take_hands_away()
        yield 0.05  # what was struck before there was a loop would be proof against it
        self._stage.loop(True)
        for _ in range(3):
            yield from self._phrase()
        self._stage.loop(False)


def any_changes(rng: random.Random) -> Changes:
    """Return parameters of the turn-taking as chance has them."""
    return {
        "channel": PERFORMER_CHANNEL,
        "trigger": rng.choice(((Trigger.SILENCE,), (*Trigger,), (Trigger.COMMAND,))),
        "silence_s": rng.choice((0.1, 0.3, 1.2, 3.0)),
        "silence_intervals": rng.choice((None, 1.0, 2.0, 5.0)),
        "silence_least_s": rng.choice((0.1, 0.5)),
        "held_after_s": rng.choice((None, 1.0, 3.0)),
        "entry": rng.choice((*Entry,)).value,
        "phrase_notes": rng.choice((1, 3, 6)),
        "trigger_controller": rng.choice((None, 66)),
        "beats_per_bar": rng.choice((1, 3, 4)),
        "trigger_program": rng.choice((None, 7)),
        "preset_programs": rng.random() < 0.5,
        "temperature": rng.choice((0.5, 1.0)),
        "when_played_over": rng.choice((*WhenPlayedOver,)).value,
        "held_keys": rng.choice((*HeldKeys,)).value,
        "hand_back": rng.choice((*HandBack,)).value,
        "thru": rng.choice((*Passes,)).value,
        "half_pedal": rng.random() < 0.5,
        "clock_out": rng.random() < 0.3,
        "lamp_controller": rng.choice((None, 80)),
        "lamp_channel": LAMP_CHANNEL,
        "lamp_mappings": rng.random() < 0.3,
    }


def bytes_of(event: Event) -> bytes:
    """Return the message that says what the player did."""
    return message_bytes(event, PLAYER_CHANNEL)
