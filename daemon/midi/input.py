"""From MIDI bytes to what the player does, and when; the thread that polls the input port."""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from daemon.messages.turns import (
    Clocked,
    Control,
    ControlKind,
    LetGo,
    Moved,
    ProgramChanged,
    Switched,
)
from daemon.midi.hands import Hands
from daemon.midi.ports import PRESENCE_S, InputPort
from perceivers.events import Event, NoteOff, NoteOn, Pedal, PedalSwitch
from perceivers.midi_numbers import (
    CHANNEL_PRESSURE,
    CLOCK,
    CONTROL_CHANGE,
    HIGHEST_VALUE,
    LAST_CONTROLLER,
    NOTE_OFF,
    NOTE_ON,
    NOTES_OFF,
    PROGRAM_CHANGE,
    RESET_CONTROLLERS,
    SONG_POSITION,
    SOUND_OFF,
    START,
    STOP,
    SUSTAIN,
    SYSTEM,
    SYSTEM_RESET,
)

logger = logging.getLogger(__name__)

POLL_S = 0.001
QUIET_POLL_S = 0.01  # when nobody plays: looking costs more than all else at rest
QUIET_AFTER_NS = 1_000_000_000
_MAX_DRIFT = 2e-4  # two clocks agree to 100 parts in a million each
_MAX_CORRECTION_NS = 100_000_000


Played = Event | LetGo | Switched | Moved | ProgramChanged | Clocked


@dataclass(frozen=True, slots=True)
class Switch:
    """What stands for a footswitch, and is no music: a controller, a key, a program.

    `presets`: whether other programs are to be told, for the presets that they stand for.
    """

    controller: int | None = None
    key: int | None = None
    program: int | None = None
    presets: bool = False


@dataclass(frozen=True, slots=True)
class Mapped:
    """The controls that do something, and are no music; and whether the next that moves is one."""

    controls: frozenset[Control] = frozenset()
    is_learning: bool = False

    def has(self, control: Control) -> bool:
        """Tell whether a control that moves is to be told."""
        return self.is_learning or control in self.controls


@dataclass(frozen=True, slots=True)
class PlayersPart:
    """Which of what comes in is the player's; everything else is not heard."""

    channel: int | None = None  # 0 to 15; None: all
    lowest_key: int = 0
    highest_key: int = HIGHEST_VALUE

    def has(self, channel: int, key: int | None) -> bool:
        """Tell whether a key on a channel is the player's, or what is said of a whole channel."""
        is_in_range = key is None or self.lowest_key <= key <= self.highest_key
        return is_in_range and self.channel in (None, channel)


EVERYTHING = PlayersPart()


class MidiParser:
    """Reads MIDI messages of any channel, or of one part, as the playing of one pianist.

    `switch` and `mapped` may be set anew at any time, from any thread; what they name is heard
    wherever it comes from.
    `counts` tells how many messages were malformed, how many say nothing about playing, and how
    many are of another part.
    """

    def __init__(self, part: PlayersPart = EVERYTHING) -> None:
        self.part = part
        self.counts: Counter[str] = Counter()
        self.switch = Switch()
        self.mapped = Mapped()
        self._foot = PedalSwitch()
        self._pedal = PedalSwitch()
        self._hands = Hands()  # of the channels: layered sounds send each key on several

    def parse(self, message: bytes) -> Played | None:
        """Return what one complete message says; None if that is nothing for a pianist."""
        if not message or message[0] < NOTE_OFF:
            self.counts["malformed"] += 1
            return None
        if message[0] in (STOP, SYSTEM_RESET):
            return self._let_go()
        if message[0] in (CLOCK, START, SONG_POSITION):
            return self._clock(message)
        kind, channel = message[0] & 0xF0, message[0] & 0x0F
        if kind == PROGRAM_CHANGE:
            return self._program(message[1:])
        if kind not in (NOTE_OFF, NOTE_ON, CONTROL_CHANGE):
            self.counts["ignored"] += 1
            return None
        if len(message) != 3 or max(message[1:]) > HIGHEST_VALUE:
            self.counts["malformed"] += 1
            return None
        if kind == CONTROL_CHANGE:
            return self._control(channel, message[1], message[2])
        return self._key(channel, message[1], message[2] if kind == NOTE_ON else 0)

    def _clock(self, message: bytes) -> Clocked | None:
        if message[0] == CLOCK:
            return Clocked()
        if message[0] == START:
            return Clocked(sixteenths=0)
        if len(message) != 3 or max(message[1:]) > HIGHEST_VALUE:
            self.counts["malformed"] += 1
            return None
        return Clocked(sixteenths=message[1] + 128 * message[2])

    def _program(self, data: bytes) -> Switched | ProgramChanged | None:
        if len(data) != 1 or data[0] > HIGHEST_VALUE:
            self.counts["malformed"] += 1
            return None
        if data[0] == self.switch.program:
            return Switched(down=True, stays=False)
        if self.switch.presets:
            return ProgramChanged(data[0])
        self.counts["ignored"] += 1
        return None

    def _key(self, channel: int, key: int, velocity: int) -> Played | None:
        if key == self.switch.key:
            return Switched(velocity > 0)
        control = Control(ControlKind.KEY, key)
        if control in self.mapped.controls or (velocity and self.mapped.is_learning):
            return Moved(control, velocity)
        if not self.part.has(channel, key):
            self.counts["other_part"] += 1
            return None
        return self._hands.does(channel, NoteOn(key, velocity) if velocity else NoteOff(key))

    def _control(
        self, channel: int, controller: int, value: int
    ) -> Pedal | LetGo | Switched | Moved | None:
        if controller == self.switch.controller:
            moved = self._foot.feed(value)
            return None if moved is None else Switched(moved.down)
        control = Control(ControlKind.CONTROLLER, controller)
        if controller <= LAST_CONTROLLER and self.mapped.has(control):
            return Moved(control, value)
        if not self.part.has(channel, None):
            self.counts["other_part"] += 1
            return None
        if controller == SUSTAIN:
            return self._pedal.feed(value)
        if controller == RESET_CONTROLLERS:
            return self._pedal.feed(0)
        if controller in (SOUND_OFF, NOTES_OFF):
            return self._let_go()
        self.counts["ignored"] += 1
        return None

    def _let_go(self) -> LetGo:
        self._hands.clear()
        self._pedal.feed(0)
        return LetGo()


class InputClock:
    """Tells when a message was played, from its distance to the one before.

    The distances come from the system and are exact; the moment of arrival is late by whatever
    held this process up. So the sum of the distances is anchored to the earliest arrival. The
    anchor may creep, for two clocks never agree; it never puts a message into the future, nor
    far into the past.
    """

    def __init__(self) -> None:
        self._sum_ns = 0
        self._anchor_ns: int | None = None
        self._arrival_ns = 0
        self._last_ns = 0

    def time_ns(self, delta_s: float, arrival_ns: int) -> int:
        """Return the moment of a message; moments never run backwards."""
        self._sum_ns += round(delta_s * 1e9)
        candidate_ns = arrival_ns - self._sum_ns
        if self._anchor_ns is None or candidate_ns - self._anchor_ns > _MAX_CORRECTION_NS:
            self._anchor_ns = candidate_ns
        else:
            creep_ns = round((arrival_ns - self._arrival_ns) * _MAX_DRIFT)
            self._anchor_ns = min(self._anchor_ns + creep_ns, candidate_ns)
        self._arrival_ns = arrival_ns
        self._last_ns = max(self._last_ns, self._anchor_ns + self._sum_ns)
        return self._last_ns


class LoopGuard:
    """Recognises own output that comes back as input. Shared by the two port threads."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._sent: deque[tuple[bytes, int]] = deque(maxlen=256)
        self.last_sent_ns = 0
        """When something was sent last."""

    def sent(self, message: bytes, now_ns: int) -> None:
        """Remember a message; to be called just before it leaves."""
        self.last_sent_ns = now_ns
        self._sent.append((_canonical(message), now_ns))

    def is_echo(self, message: bytes, arrival_ns: int) -> bool:
        """Tell whether this very message left a moment ago."""
        canonical = _canonical(message)
        for sent, sent_ns in reversed(self._sent.copy()):
            if arrival_ns - sent_ns >= self._window_ns:
                return False
            if sent == canonical and sent_ns <= arrival_ns:
                return True
        return False

    def is_own_strike(self, note: NoteOn, now_ns: int) -> bool:
        """Tell whether this very note was struck a moment ago, on whatever channel."""
        for sent, sent_ns in reversed(self._sent.copy()):
            if now_ns - sent_ns >= self._window_ns:
                return False
            if sent[0] & 0xF0 == NOTE_ON and sent[1:] == bytes((note.pitch, note.velocity)):
                return True
        return False


def _sounds(message: bytes) -> bool:
    """Tell whether a message is one of a channel, and whole."""
    if not message or not NOTE_OFF <= message[0] < SYSTEM:
        return False
    is_short = message[0] & 0xF0 in (PROGRAM_CHANGE, CHANNEL_PRESSURE)
    return len(message) == (2 if is_short else 3) and max(message[1:]) <= HIGHEST_VALUE


def _canonical(message: bytes) -> bytes:
    """Return the one form of a note-off; anything else unchanged."""
    if len(message) == 3:
        kind, channel = message[0] & 0xF0, message[0] & 0x0F
        if kind == NOTE_OFF or (kind == NOTE_ON and message[2] == 0):
            return bytes((NOTE_OFF | channel, message[1], 0))
    return message


class Listener:
    """Turns what a port receives into what the player did. No thread, no clock of its own."""

    def __init__(
        self,
        port: InputPort,
        guard: LoopGuard,
        part: PlayersPart = EVERYTHING,
        pass_on: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        """`pass_on` is called with each message that sounds, whoever's part it is."""
        self.port = port
        self._pass_on = pass_on
        self.parser = MidiParser(part)
        self.echoes = 0
        self._guard = guard
        self._clock = InputClock()
        self._last_received_ns = 0

    def is_quiet(self, now_ns: int) -> bool:
        """Tell whether nobody has played for a while, on either port."""
        last_ns = max(self._last_received_ns, self._guard.last_sent_ns)
        return now_ns - last_ns > QUIET_AFTER_NS

    def take(self, now_ns: int) -> tuple[int, Played] | None:
        """Return the next thing played and its moment; None when nothing is waiting."""
        while (received := self.port.receive()) is not None:
            message, delta_s = received
            time_ns = self._clock.time_ns(delta_s, now_ns)
            if message[:1] != bytes((CLOCK,)):  # that somebody counts does not say that he plays
                self._last_received_ns = now_ns
            if self._guard.is_echo(message, now_ns):
                self.echoes += 1
                continue
            played = self.parser.parse(message)
            if not isinstance(played, Switched | Moved | ProgramChanged) and _sounds(message):
                self._pass_on(message)
            if played is not None:
                return time_ns, played
        return None

    def is_echo(self, event: Event, now_ns: int) -> bool:
        """Tell, of what came by another way, whether it is own output that came back.

        A client may play what it hears of the output port, and on another channel. Only strikes
        are told: the release of a key that is up says nothing.
        """
        is_echo = isinstance(event, NoteOn) and self._guard.is_own_strike(event, now_ns)
        self.echoes += is_echo
        return is_echo

    def lost(self) -> None:
        """Start afresh: the port is gone, and so are the keys that were down."""
        before = self.parser
        self.parser = MidiParser(before.part)
        self.parser.counts, self.parser.switch = before.counts, before.switch
        self.parser.mapped = before.mapped
        self._clock = InputClock()


class InputThread:
    """Polls the port and reports what is played and whether the port is there.

    `heard(time_ns, played)` and `present(bool)` are called from this thread and must not block.
    """

    def __init__(
        self,
        listener: Listener,
        heard: Callable[[int, Played], None],
        present: Callable[[bool], None],
    ) -> None:
        self._listener = listener
        self._heard = heard
        self._present = present
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="input", daemon=True)

    def __enter__(self) -> "InputThread":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(timeout=2.0)
        if self._thread.is_alive():
            logger.error("the input thread did not stop")
        else:
            self._listener.port.close()

    def _run(self) -> None:
        is_present = True
        check_at = time.monotonic() + PRESENCE_S
        while not self._stopping.is_set():
            if is_present:
                self._drain()
            time.sleep(QUIET_POLL_S if self._listener.is_quiet(time.monotonic_ns()) else POLL_S)
            if time.monotonic() >= check_at:
                check_at += PRESENCE_S
                is_present = self._watch(is_present)

    def _drain(self) -> None:
        while (taken := self._listener.take(time.monotonic_ns())) is not None:
            self._heard(*taken)

    def _watch(self, was_present: bool) -> bool:
        port = self._listener.port
        is_present = port.is_present() if was_present else port.reopen()
        if is_present != was_present:
            if not is_present:
                self._listener.lost()
            self._present(is_present)
        return is_present
