"""One question after the other to the daemon, each with an answer, if only that there is none."""

import itertools
import json
from typing import Any

from daemon.control.commands import Result
from daemon.control.sockets import ClientKeys, CommandClient
from perceivers.errors import PerformerError

_ANSWERS_WITHIN_S = 3.0  # the daemon gives up on itself after two

Reply = dict[str, Any]


def refusal(message: str) -> Reply:
    """Return the reply of a daemon that does not do as it was asked."""
    return {"ok": False, "error": {"code": "refused", "field": None, "message": message}}


class Asker:
    """Asks one thing after the other; a question that nobody answered spoils none after it."""

    def __init__(self, address: str, keys: ClientKeys | None) -> None:
        self._address = address
        self._keys = keys
        self._inner: CommandClient | None = None
        self._numbers = itertools.count(1)

    def ask(self, request: Result) -> Reply:
        """Return the reply, or a refusal where there is none."""
        try:
            if self._inner is None:
                self._inner = CommandClient(self._address, self._keys)
            number = next(self._numbers)
            frame = json.dumps(request | {"id": number}).encode()
            reply: Reply = json.loads(self._inner.ask(frame, _ANSWERS_WITHIN_S))
        except (PerformerError, ValueError) as error:
            self.close()
            return refusal(str(error))
        return reply

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._inner is not None:
            self._inner.close()
            self._inner = None


def to_connect(address: str) -> str:
    """Return where to connect to what is bound at an address."""
    for everywhere, here in (("*", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("[::]", "[::1]")):  # noqa: S104
        address = address.replace(f"//{everywhere}:", f"//{here}:")
    return address
