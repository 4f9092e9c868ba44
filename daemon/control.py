"""The control thread: takes commands, has them carried out, and tells the world what happens."""

from typing import Protocol

from daemon.commands import Result
from daemon.parameters import Parameters


class CommandHandler(Protocol):
    """What carries the commands out.

    The control thread calls these, one at a time. A method that cannot do as asked raises a
    PerformerError: its message goes to the client as `refused`. What is returned goes to the client
    as the result and must be JSON: finite numbers, text, booleans, None, lists, dicts.
    """

    def perform(self, parameters: Parameters) -> Result:
        """Begin a turn with these parameters: those in force, changed for this turn alone."""
        ...

    def stop(self) -> Result:
        """End the turn; return once no further note-on can leave."""
        ...

    def panic(self) -> Result:
        """Silence everything; return once the messages that do it have been sent."""
        ...

    def reset(self) -> Result:
        """Forget what was played."""
        ...

    def state(self) -> Result:
        """Say what the Performer is doing."""
        ...

    def info(self) -> Result:
        """Say what the Performer runs on."""
        ...

    def parameters(self) -> Parameters:
        """Return the parameters in force."""
        ...

    def set_parameters(self, parameters: Parameters) -> None:
        """Put these parameters in force."""
        ...

    def shutdown(self) -> Result:
        """Ask the daemon to end; return without waiting for the end."""
        ...
