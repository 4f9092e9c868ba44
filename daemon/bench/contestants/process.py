"""A contestant's process as the coordinator sees it: one question, one answer.

The protocol is that of `daemon/bench/contestants/protocol.py`.
"""

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any

from perceivers.errors import PerformerError

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
CLOSED_WITHIN_S = 10.0


class ContestProcess:
    """A program that answers questions until it is closed."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        """Start it and wait until it is ready. Raises PerformerError if it does not get ready."""
        self.name = name
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own programs, the user's Pythons
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | ONE_THREAD,
            )
        except OSError as error:
            raise PerformerError(f"{name}: cannot start {command[0]}: {error.strerror}") from error
        try:
            self.about = self._read()
        except PerformerError:
            self.close()
            raise

    def times_ms(self, context: int, steps: int) -> list[float]:
        """Return the processor time of each of `steps` steps after `context` tokens."""
        times: list[float] = self._ask({"context": context, "steps": steps})["ms"]
        return times

    def logits(self, tokens: Sequence[int]) -> list[float]:
        """Return the logits after these tokens."""
        logits: list[float] = self._ask({"tokens": list(tokens)})["logits"]
        return logits

    def close(self) -> None:
        """End the process; it ends by itself when nothing more is asked."""
        self._pipes()[0].close()
        try:
            self._process.wait(CLOSED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pipes()[1].close()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        asking = self._pipes()[0]
        try:
            asking.write(json.dumps(question) + "\n")
            asking.flush()
        except BrokenPipeError:
            pass  # it ended; reading says how
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = self._pipes()[1].readline()
        if not line:
            code = self._process.wait()
            raise PerformerError(
                f"{self.name}: ended with exit code {code}; what it said stands above"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _pipes(self) -> tuple[Any, Any]:
        return self._process.stdin, self._process.stdout
