"""A player at the daemon's keyboard: real music, at its own pace or as fast as asked for."""

import itertools
import time
from collections.abc import Iterable, Sequence

from daemon.midi.ports import OutputPort
from perceivers.encoder import StreamEncoder
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import message_bytes

FAST_S = 0.001  # between messages that shall only be there; much faster, and receivers lose some


class Player:
    """Plays on and on, and counts the tokens that the daemon makes of it."""

    def __init__(self, keyboard: OutputPort, music: Iterable[TimedEvent]) -> None:
        self.tokens = 0
        """Of what was played; about, for the daemon has a clock of its own."""
        self._keyboard = keyboard
        self._music = itertools.cycle(music)
        self._encoder = StreamEncoder()
        self._started_s = time.monotonic()
        self._sounding: set[int] = set()
        self._pedal_down = False

    def play_tokens(self, count: int, every_s: float = FAST_S) -> None:
        """Play until so many tokens more were said, with so much time between messages."""
        stop = self.tokens + count
        while self.tokens < stop:
            self._play(next(self._music))
            time.sleep(every_s)

    def play(self, passage: Sequence[TimedEvent], for_s: float) -> None:
        """Play a passage in its own time, again and again, and let go at the end."""
        started_s = time.monotonic()
        for again in itertools.count():
            offset_s = again * passage[-1].time_s
            for timed in passage:
                due_s = offset_s + timed.time_s
                if due_s >= for_s:
                    self.let_go()
                    time.sleep(max(0.0, started_s + for_s - time.monotonic()))
                    return
                time.sleep(max(0.0, started_s + due_s - time.monotonic()))
                self._play(timed)

    def let_go(self) -> None:
        """Lift every finger and the foot."""
        for pitch in sorted(self._sounding):
            self._play(TimedEvent(0.0, NoteOff(pitch)))
            time.sleep(FAST_S)
        if self._pedal_down:
            self._play(TimedEvent(0.0, Pedal(False)))

    def _play(self, timed: TimedEvent) -> None:
        match timed.event:
            case NoteOn(pitch=pitch):
                self._sounding.add(pitch)
            case NoteOff(pitch=pitch):
                self._sounding.discard(pitch)
            case Pedal(down=down):
                self._pedal_down = down
        self._keyboard.send(message_bytes(timed.event, 0))
        now_s = time.monotonic() - self._started_s
        self.tokens += len(self._encoder.feed(TimedEvent(now_s, timed.event)))
