"""The stage: the light process that owns MIDI, time, turns and control.

Here its parts are put together, started in order and stopped in the reverse order.
"""

import contextlib
import gc
import logging
import os
import queue
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, MutableSequence
from multiprocessing.connection import Connection
from pathlib import Path

from daemon.control.mapping_file import MappingFile
from daemon.control.server import ControlServer
from daemon.log import set_up_logging
from daemon.messages.pipe_end import PipeEnd
from daemon.messages.stage import StageFailed, StageOptions, StopStage
from daemon.midi.awaited_ports import open_ports
from daemon.midi.input import InputThread
from daemon.midi.latency import NS_PER_MS, latency_of
from daemon.midi.listener import Listener
from daemon.midi.loop_guard import LoopGuard
from daemon.midi.output import Output
from daemon.midi.parser import PlayersPart
from daemon.midi.ports import OutputPort, open_output
from daemon.midi.reports import Report
from daemon.midi.schedule import Schedule
from daemon.settings import MidiSettings, Settings
from daemon.stage.brain_link import BrainLink, BrainTarget
from daemon.stage.core import Core
from daemon.stage.inbox import End, Inbox, ThreadFailed, asking, playing_into, presence_into
from daemon.stage.surroundings import NS_PER_S
from daemon.stage.turns import Turns
from perceivers.errors import PerformerError

logger = logging.getLogger(__name__)

_SWITCH_INTERVAL_S = 0.0005  # a thread that is due waits no longer than this for one that works
_FAREWELL_S = 1.0
_CONNECT_S = 1.5


class SessionClock:
    """Seconds since the start of the session, from the monotonic clock that all processes share."""

    def __init__(self, origin_ns: int) -> None:
        self._origin_ns = origin_ns

    def now_s(self) -> float:
        """Return the seconds since the start of the session."""
        return self.seconds(time.monotonic_ns())

    def seconds(self, time_ns: int) -> float:
        """Return a moment of the monotonic clock as seconds of the session."""
        return (time_ns - self._origin_ns) / NS_PER_S

    def nanoseconds(self, time_s: float) -> int:
        """Return seconds of the session as a moment of the monotonic clock."""
        return self._origin_ns + round(time_s * NS_PER_S)


def run_stage(
    connection: Connection,
    footprint: MutableSequence[int],
    options: StageOptions,
    brain_target: BrainTarget,
) -> None:
    """Be the stage process: until the supervisor says so, or is gone."""
    set_up_logging(options.verbose)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    inbox: Inbox = queue.SimpleQueue()
    _end_by_signal(inbox)
    _end_by_failed_thread(inbox)
    supervisor = PipeEnd("supervisor", connection, lambda message: inbox.put(_end(message)))
    supervisor.start()
    exit_code = 0
    try:
        _play(options, footprint, brain_target, inbox, supervisor)
    except PerformerError as error:
        supervisor.send(StageFailed(str(error)))
        exit_code = 2
    except Exception:
        logger.exception("the stage has failed")
        exit_code = 1
    supervisor.close(_FAREWELL_S)
    logging.shutdown()
    os._exit(exit_code)  # no thread that hangs shall keep the process


def run_silencer(footprint: MutableSequence[int], settings: Settings) -> None:
    """Be the process that releases what a killed stage has left sounding, and does no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(PerformerError):
        midi = settings.midi
        port = open_output(midi.client_out, midi.output)
        with _output(port, settings, footprint, LoopGuard(0), lambda _: None):
            time.sleep(_CONNECT_S)  # a patchbay may connect what has appeared


def _output(
    port: OutputPort,
    settings: Settings,
    footprint: MutableSequence[int],
    guard: LoopGuard,
    tell: Callable[[Report], None],
) -> Output:
    """Play to a port; what a predecessor left sounding is the first that is released there."""
    late_after_ns = round(settings.timing.late_after_ms * NS_PER_MS)
    schedule = Schedule(late_after_ns, latency_of(settings.midi))
    output = Output(port, schedule, guard, tell, footprint)
    output.take_over()
    return output


def _play(
    options: StageOptions,
    footprint: MutableSequence[int],
    brain_target: BrainTarget,
    inbox: Inbox,
    supervisor: PipeEnd,
) -> None:
    settings = options.settings
    clock = SessionClock(options.origin_ns)
    guard = LoopGuard(round(settings.midi.loop_guard_ms * NS_PER_MS))
    turns = Turns(
        settings.performer,
        options.history,
        first_seed=secrets.randbits(64),
        presets=settings.presets,
        latency_s=settings.midi.most_latency_s,
    )
    brain = BrainLink(settings, options.origin_ns, inbox.put, brain_target)
    with contextlib.ExitStack() as stack:
        input_port, port = open_ports(settings.midi, may_be_missing=settings.page.enabled)
        output = stack.enter_context(_output(port, settings, footprint, guard, inbox.put))
        listener = Listener(input_port, guard, _players_part(settings.midi), output.pass_on)
        kept = settings.midi.mappings
        mapping_file = MappingFile(None if kept is None else Path(kept))
        core = Core(turns, clock, inbox, listener, output, mapping_file)
        control = ControlServer(settings.control, asking(inbox), now_s=clock.now_s)
        server = stack.enter_context(control)
        stack.callback(brain.stop)
        gc.collect()
        gc.freeze()
        gc.disable()  # the core collects when nothing sounds
        heard = playing_into(inbox, clock.seconds)
        present = presence_into(inbox, listener.port)
        stack.enter_context(InputThread(listener, heard, present))
        core.run(brain, server, supervisor.send)
    core.drain()


def _players_part(midi: MidiSettings) -> PlayersPart:
    channel = None if midi.input_channel is None else midi.input_channel - 1
    return PlayersPart(channel, midi.input_lowest_key, midi.input_highest_key)


def _end(message: StopStage | None) -> End:
    return End("the supervisor is gone" if message is None else "the supervisor asks for it")


def _end_by_signal(inbox: Inbox) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the user's Ctrl-C is for the supervisor
    signal.signal(signal.SIGTERM, lambda *_: inbox.put(End("SIGTERM")))


def _end_by_failed_thread(inbox: Inbox) -> None:
    """Let the failure of any thread be a failure of the core."""

    def hook(failure: threading.ExceptHookArgs) -> None:
        name = failure.thread.name if failure.thread else "a"
        if failure.exc_value is not None:
            inbox.put(ThreadFailed(name, failure.exc_value))

    threading.excepthook = hook
