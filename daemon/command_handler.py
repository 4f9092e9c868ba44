"""Carries commands from the control thread to the core and its answers back."""

import queue

from daemon import turn_messages as t
from daemon.commands import Result
from daemon.inbox import Ask, AskInfo, AskState, End, Inbox, Question
from daemon.parameters import Parameters
from daemon.turns import Turns
from perceivers.errors import PerformerError

_ANSWER_WITHIN_S = 2.0


class BusyError(PerformerError):
    """The core has not answered in time."""


class StageCommands:
    """What the control thread calls; each call waits for the core."""

    def __init__(self, inbox: Inbox, turns: Turns) -> None:
        self._inbox = inbox
        self._turns = turns

    def perform(self, parameters: Parameters) -> Result:
        """Begin a turn with these parameters."""
        return self._ask(Ask(t.Perform(parameters)))

    def stop(self) -> Result:
        """End the turn; once this returns, no further note-on leaves."""
        return self._ask(Ask(t.Stop()))

    def panic(self) -> Result:
        """Silence everything; once this returns, the messages that do it have left."""
        return self._ask(Ask(t.Panic()))

    def reset(self) -> Result:
        """Forget what was played."""
        return self._ask(Ask(t.Reset()))

    def state(self) -> Result:
        """Say what the Performer is doing."""
        return self._ask(AskState())

    def info(self) -> Result:
        """Say what the Performer runs on."""
        return self._ask(AskInfo())

    def parameters(self) -> Parameters:
        """Return the parameters in force."""
        return self._turns.parameters  # replaced whole, never changed: any thread may read it

    def set_parameters(self, parameters: Parameters) -> None:
        """Put these parameters in force."""
        self._ask(Ask(t.Adjust(parameters)))

    def shutdown(self) -> Result:
        """Ask the daemon to end."""
        self._inbox.put(End("asked for by a command"))
        return {}

    def _ask(self, question: Question) -> Result:
        self._inbox.put(question)
        try:
            outcome = question.reply.get(timeout=_ANSWER_WITHIN_S)
        except queue.Empty:
            raise BusyError(f"no answer within {_ANSWER_WITHIN_S:g} s; try again") from None
        if isinstance(outcome, PerformerError):
            raise outcome
        return outcome
