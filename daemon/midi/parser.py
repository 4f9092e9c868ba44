"""From MIDI bytes to what the player does."""

from collections import Counter
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
from daemon.midi.loop_guard import canonical
from perceivers.events import Event, NoteOff, NoteOn, Pedal, PedalSwitch
from perceivers.midi_numbers import (
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
    SYSTEM_RESET,
)

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

    def releases(self, message: bytes) -> bool:
        """Tell whether a message releases a key that is down."""
        off = canonical(message)
        is_off = len(off) == 3 and off[0] & 0xF0 == NOTE_OFF
        return is_off and self._hands.holds(off[0] & 0x0F, off[1])

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
