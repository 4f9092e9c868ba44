"""What carries commands out by writing them down."""

import threading
from collections.abc import Callable

from daemon.control.commands import Answers, Result
from daemon.control.replies import changed, chosen
from daemon.control.requests import Request
from daemon.messages import turns as t
from daemon.parameters import TABLE, Parameters, with_changes

PATIENCE_S = 20.0  # for what will happen; nothing waits this long


class FakePerformer:
    """Carries requests out by writing down what they become, and answers as the table says."""

    def __init__(self) -> None:
        self.done: list[t.Commanded] = []
        self.current = Parameters()
        self.may_stop = threading.Event()
        self.may_stop.set()
        self.on_state: Callable[[], Result] = lambda: {"state": "LISTENING"}

    def carry_out(self, request: Request) -> Result:
        command = request.happening()
        if isinstance(command, t.Stop):
            assert self.may_stop.wait(PATIENCE_S)
        if isinstance(command, t.Adjust):
            self.current = with_changes(self.current, command.changes)
        elif command is not None:
            self.done.append(command)
        match request.command.answers:
            case Answers.PARAMETERS:
                return chosen(self.current, request.values.get("names", ()))
            case Answers.CHANGED:
                return changed(self.current, [name for name in request.values if name in TABLE])
            case Answers.INFO:
                return {"model": "none"}
            case _:
                return self.on_state()
