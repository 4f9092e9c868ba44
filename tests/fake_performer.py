"""A handler of commands that only writes them down."""

import threading
from collections.abc import Callable

from daemon.commands import Result
from daemon.parameters import Parameters

PATIENCE_S = 20.0  # for what will happen; nothing waits this long


class FakePerformer:
    """Carries commands out by writing them down."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self.current = Parameters()
        self.may_stop = threading.Event()
        self.may_stop.set()
        self.on_state: Callable[[], Result] = lambda: {"state": "LISTENING"}

    def perform(self, parameters: Parameters) -> Result:
        self.done.append(parameters)
        return {"turn": len(self.done)}

    def stop(self) -> Result:
        assert self.may_stop.wait(PATIENCE_S)
        self.done.append("stop")
        return {}

    def panic(self) -> Result:
        self.done.append("panic")
        return {}

    def reset(self) -> Result:
        self.done.append("reset")
        return {}

    def state(self) -> Result:
        return self.on_state()

    def info(self) -> Result:
        return {"model": "none"}

    def parameters(self) -> Parameters:
        return self.current

    def set_parameters(self, parameters: Parameters) -> None:
        self.current = parameters

    def shutdown(self) -> Result:
        self.done.append("shutdown")
        return {}
