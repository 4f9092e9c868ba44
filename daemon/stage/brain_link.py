"""The brain's process as the stage sees it: started, spoken to, watched, and started again."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from daemon.messages.brain import BrainFailed, BrainReady, FromBrain, Quit, ToBrain
from daemon.messages.child_process import RESTARTS, SILENT_FOR_S, WITHIN_S, ChildProcess
from daemon.messages.pipe_end import end_with_parent
from daemon.settings import Settings

BrainTarget = Callable[[Connection, Settings, int], None]

_QUIT_S = 2.0


@dataclass(frozen=True, slots=True)
class BrainOver:
    """The brain's process is over; everything it said came before this."""


@dataclass(frozen=True, slots=True)
class BrainGone:
    """The brain has ended or was killed, and why."""

    reason: str
    rests_s: float = 0.0  # before another is worth a start


def run_brain(connection: Connection, settings: Settings, origin_ns: int) -> None:
    """Be the brain process."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the user's Ctrl-C is for the supervisor
    from daemon.brain import process as brain  # noqa: PLC0415 - the stage shall not load the engine

    brain.run(connection, brain.options_of(settings, origin_ns))


class BrainLink:
    """Owns the brain process. All methods belong to one thread.

    `deliver` is called from others, with what the brain says as it says it, and with `BrainOver`.
    """

    def __init__(
        self,
        settings: Settings,
        origin_ns: int,
        deliver: Callable[[FromBrain | BrainOver], None],
        target: BrainTarget = run_brain,
    ) -> None:
        self._arguments = (settings, origin_ns)
        self._failure: str | None = None
        self._child = ChildProcess("brain", target, deliver, lambda: deliver(BrainOver()))

    def start(self, now_s: float) -> None:
        """Start a brain."""
        self._failure = None
        self._child.start(now_s, *self._arguments)

    def say(self, message: ToBrain) -> None:
        """Tell the brain something; lost if it is gone."""
        self._child.send(message)

    def heard(self, said: FromBrain, now_s: float) -> None:
        """Take note of what was delivered; a brain that has failed is not kept."""
        self._child.heard(now_s, is_ready=isinstance(said, BrainReady))
        if isinstance(said, BrainFailed):
            self._fail(said.reason)
            self._child.kill(now_s)

    def watch(self, now_s: float) -> str | None:
        """Kill a brain that has fallen silent, and say so; one that still loads may take its time.

        `BrainOver` follows.
        """
        if not self._child.watch(now_s):
            return None
        return self._fail(f"the model has not answered for {SILENT_FOR_S:g} s")

    def _fail(self, reason: str) -> str:
        if self._failure is None:
            self._failure = reason
        return self._failure

    def over(self, now_s: float) -> BrainGone:
        """Let go of a brain that is over; tell why it ended and when to start another."""
        code = self._child.collect()
        reason = self._fail(f"the model process has ended (exit code {code})")
        if not self._child.is_hopeless(now_s):
            return BrainGone(reason)
        reason += f"; that was {RESTARTS} times within a minute, and the next try is in a minute"
        return BrainGone(reason, rests_s=WITHIN_S)

    def stop(self) -> None:
        """Let the brain quit; kill it if it does not."""
        self._child.end(Quit(), _QUIT_S)
