"""One piano for several: who holds which keys, and the pedal. Pure."""

from collections.abc import Hashable

from perceivers.events import Event, NoteOff, NoteOn, Pedal


class Hands:
    """Makes one pianist of several sources, such as channels of a port or clients.

    A key is down, and so is the pedal, while any source holds it.
    """

    def __init__(self) -> None:
        self._holding: dict[int, set[Hashable]] = {}
        self._on_pedal: set[Hashable] = set()

    def does(self, source: Hashable, event: Event) -> Event | None:
        """Take note of what a source does; return what that is for the piano, None for nothing."""
        if isinstance(event, NoteOn):
            return self._strike(source, event)
        if isinstance(event, NoteOff):
            return self._release(source, event)
        return self._put_pedal(source, event)

    def holds(self, source: Hashable, pitch: int) -> bool:
        """Tell whether a source holds a key."""
        return source in self._holding.get(pitch, ())

    def _strike(self, source: Hashable, event: NoteOn) -> NoteOn | None:
        holding = self._holding.setdefault(event.pitch, set())
        doubled = bool(holding - {source})
        holding.add(source)
        return None if doubled else event

    def _release(self, source: Hashable, event: NoteOff) -> NoteOff | None:
        holding = self._holding.get(event.pitch, set())
        holding.discard(source)
        if holding:
            return None
        self._holding.pop(event.pitch, None)
        return event

    def _put_pedal(self, source: Hashable, event: Pedal) -> Pedal | None:
        was_down = bool(self._on_pedal)
        if event.down:
            self._on_pedal.add(source)
        else:
            self._on_pedal.discard(source)
        return None if bool(self._on_pedal) is was_down else event

    def held_by(self, source: Hashable) -> tuple[list[int], bool]:
        """Return the keys that a source holds, and whether it holds the pedal."""
        keys = sorted(pitch for pitch, holding in self._holding.items() if source in holding)
        return keys, source in self._on_pedal

    def let_go(self, source: Hashable) -> list[Event]:
        """Take a source's hands away; return what comes up by that."""
        keys, pedal = self.held_by(source)
        lifted: list[Event] = [NoteOff(pitch) for pitch in keys]
        if pedal:
            lifted.append(Pedal(down=False))
        return [event for each in lifted if (event := self.does(source, each)) is not None]

    def clear(self) -> list[Event]:
        """Take all hands away; return what comes up by that."""
        lifted: list[Event] = [NoteOff(pitch) for pitch in sorted(self._holding)]
        if self._on_pedal:
            lifted.append(Pedal(down=False))
        self._holding.clear()
        self._on_pedal.clear()
        return lifted
