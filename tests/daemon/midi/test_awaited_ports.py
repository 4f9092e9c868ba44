"""Ports that are not there yet."""

import pytest

from daemon.midi import awaited_ports
from daemon.midi.awaited_ports import AwaitedInput, AwaitedOutput, open_ports
from daemon.midi.ports import NoMidiError
from daemon.settings import MidiSettings
from perceivers.errors import PortNotFound
from tests.support.midi_ports import RecordingOutput, ScriptedInput

STRIKE = b"\x90\x3c\x40"


class System:
    """A MIDI system that is there when a test says so."""

    def __init__(self) -> None:
        self.is_there = False
        self.refusal: PortNotFound | None = None
        self.keyboard, self.wire = ScriptedInput(), RecordingOutput()

    def _found(self) -> None:
        if not self.is_there:
            raise NoMidiError("no MIDI system")

    def open_input(self, name: str, wanted: str | None) -> ScriptedInput:
        self._found()
        if self.refusal is not None:
            raise self.refusal
        return self.keyboard

    def open_output(self, name: str, wanted: str | None) -> RecordingOutput:
        self._found()
        self.wire.closed = False
        return self.wire


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    system = System()
    monkeypatch.setattr(awaited_ports, "open_input", system.open_input)
    monkeypatch.setattr(awaited_ports, "open_output", system.open_output)
    monkeypatch.setattr(awaited_ports, "may_have_midi", lambda: system.is_there)
    return system


def test_without_a_midi_system_there_are_none_where_that_is_allowed(system: System) -> None:
    with pytest.raises(NoMidiError):
        open_ports(MidiSettings(), may_be_missing=False)

    keyboard, wire = open_ports(MidiSettings(), may_be_missing=True)

    assert (keyboard.name, wire.name) == (None, None)
    wire.send(STRIKE)
    assert keyboard.receive() is None
    assert keyboard.is_present()
    assert wire.is_present()
    assert wire.reopen()
    keyboard.close()
    wire.close()


def test_they_are_taken_as_soon_as_there_is_a_system(system: System) -> None:
    keyboard, wire = open_ports(MidiSettings(), may_be_missing=True)
    wire.send(STRIKE)
    system.is_there = True
    system.keyboard.waiting.append((STRIKE, 0.0))

    assert keyboard.is_present()

    assert (keyboard.name, wire.name) == ("script", "recorder")
    assert keyboard.receive() == (STRIKE, 0.0)
    wire.send(STRIKE)
    assert system.wire.sent == [STRIKE]  # the first was heard by nobody
    system.wire.plugged = system.keyboard.plugged = False
    assert not wire.is_present()
    assert not keyboard.is_present()
    keyboard.close()
    wire.close()
    assert system.keyboard.closed
    assert system.wire.closed


def test_where_one_port_cannot_be_had_none_is_taken(system: System) -> None:
    keyboard, wire = open_ports(MidiSettings(input="Roland"), may_be_missing=True)
    system.is_there = True
    system.refusal = PortNotFound("MIDI input 'Roland' not found")

    assert keyboard.is_present()

    assert (keyboard.name, wire.name) == (None, None)
    assert system.wire.closed
    system.refusal = None
    keyboard.is_present()
    assert (keyboard.name, wire.name) == ("script", "recorder")


def test_a_port_of_a_name_that_is_not_there_is_an_error_all_the_same(system: System) -> None:
    system.is_there = True
    system.refusal = PortNotFound("MIDI input 'Roland' not found")

    with pytest.raises(PortNotFound, match="Roland"):
        open_ports(MidiSettings(input="Roland"), may_be_missing=True)


def test_where_there_is_a_system_its_ports_are_taken_at_once(system: System) -> None:
    system.is_there = True

    ports = open_ports(MidiSettings(), may_be_missing=True)

    assert ports == (system.keyboard, system.wire)
    assert not isinstance(ports[0], AwaitedInput)
    assert not isinstance(ports[1], AwaitedOutput)
