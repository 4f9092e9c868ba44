"""What controllers and keys of the player's device have learnt to do, kept from day to day."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from daemon.control.commands import Result
from daemon.control.mapping import Assignment
from daemon.control.mapping_file import MappingFile
from daemon.control.requests import Request
from daemon.messages.turns import Commanded, Control
from daemon.midi.parser import Mapped, MidiParser
from daemon.parameters import Parameters

Publish = Callable[[str, Mapping[str, Any]], None]


class Learnt:
    """Learns, does what was learnt, and sees to it that the input lets it pass for no music."""

    def __init__(self, file: MappingFile, parser: Callable[[], MidiParser]) -> None:
        """Know what the file says.

        parser: returns the parser of the input as it is now; it is another when the port is back.
        """
        self._file = file
        self._parser = parser
        self._mappings = file.read()
        self._tell_input()

    @property
    def assignments(self) -> Sequence[Assignment]:
        """What controllers and keys do."""
        return self._mappings.assignments

    def moved(
        self, control: Control, place: int, parameters: Parameters, publish: Publish
    ) -> list[Commanded]:
        """Return what is to happen as a control has moved; or learn it, if something is learnt."""
        if self._mappings.take(control):
            self._changed(publish)
            return []
        return self._mappings.moved(control, place, parameters)

    def answer(self, request: Request, publish: Publish) -> Result:
        """Carry out `learn`, `unlearn` or `mappings`. Raises CommandError for what cannot be."""
        match request.command.name:
            case "learn":
                self._mappings.learn(request.values)
                self._tell_input()
            case "unlearn":
                self._mappings.unlearn(request.values.get("target"))
                self._changed(publish)
        return self._mappings.described()

    def _changed(self, publish: Publish) -> None:
        self._tell_input()
        self._file.write(self._mappings)
        publish("mappings", self._mappings.described())

    def _tell_input(self) -> None:
        is_learning = self._mappings.learning is not None
        self._parser().mapped = Mapped(self._mappings.controls, is_learning)
