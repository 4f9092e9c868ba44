"""The thread that polls the input port."""

import queue

import pytest

from daemon.midi.input import InputThread
from daemon.midi.listener import Listener
from daemon.midi.loop_guard import LoopGuard
from daemon.midi.parser import Played
from perceivers.events import NoteOff, NoteOn
from tests.support.midi_ports import ScriptedInput

MS = 1_000_000
WAIT_S = 5.0


@pytest.mark.slow
def test_the_thread_reports_what_is_played_and_whether_the_port_is_there() -> None:
    port = ScriptedInput()
    guard = LoopGuard(30 * MS)
    heard: queue.SimpleQueue[tuple[int, Played]] = queue.SimpleQueue()
    present: queue.SimpleQueue[bool] = queue.SimpleQueue()
    listener = Listener(port, guard)

    with InputThread(listener, lambda *played: heard.put(played), present.put):
        port.waiting.extend([(bytes((0x90, 60, 64)), 0.0), (bytes((0x80, 60, 0)), 0.25)])
        (on_ns, on), (off_ns, off) = heard.get(timeout=WAIT_S), heard.get(timeout=WAIT_S)
        port.plugged = False
        assert present.get(timeout=WAIT_S) is False
        port.plugged = True
        assert present.get(timeout=WAIT_S) is True

    assert (on, off) == (NoteOn(60, 64), NoteOff(60))
    assert on_ns <= off_ns
    assert port.closed
