"""A line protocol by which programs are timed beside each other, each in a process of its own.

A contestant writes one JSON object as soon as it is ready, and then answers each line that it
reads by one line: `{"context": n, "steps": k}` by the times of k steps after n tokens, and, where
contestants hold the same model, `{"tokens": [...]}` by the logits after these tokens. It needs
nothing but the standard library, so that a program in a foreign environment can speak it too.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from functools import partial
from random import Random
from typing import Any, Protocol, TextIO

STEPPED_AT_THE_END = 4  # tokens of a question for logits that are read one by one


class Contestant(Protocol):
    """What a program does that takes part."""

    def about(self) -> dict[str, Any]:
        """Return what it is: versions, settings; `contexts` where it has a context of its own."""
        ...

    def times_ms(self, context: int, steps: int) -> list[float]:
        """Return the processor time of each of `steps` steps, the first after `context` tokens."""
        ...


class Stream(Protocol):
    """A model that reads tokens and remembers them."""

    def fill(self, tokens: Sequence[int]) -> None:
        """Forget everything, then read the first tokens of a stream."""
        ...

    def step(self, token: int) -> Iterable[float]:
        """Read the next token; return the logits of the one after it."""
        ...


class StreamContestant:
    """A contestant made of a stream: it knows the answer to both questions."""

    def __init__(self, stream: Stream, vocabulary_size: int, about: dict[str, Any]) -> None:
        self._stream = stream
        self._vocabulary_size = vocabulary_size
        self._about = about

    def about(self) -> dict[str, Any]:
        """Return what it is."""
        return self._about

    def times_ms(self, context: int, steps: int) -> list[float]:
        """Return the processor time of each of `steps` steps, the first after `context` tokens."""
        tokens = random_tokens(self._vocabulary_size, context + steps)
        self._stream.fill(tokens[:context])
        return [timed_ms(partial(self._stream.step, token)) for token in tokens[context:]]

    def logits(self, tokens: Sequence[int]) -> list[float]:
        """Return the logits after `tokens`, the last of them read one by one."""
        self._stream.fill(tokens[:-STEPPED_AT_THE_END])
        for token in tokens[-STEPPED_AT_THE_END:]:
            logits = self._stream.step(token)
        return [float(value) for value in logits]


def answer(contestant: Contestant, source: TextIO = sys.stdin, target: TextIO = sys.stdout) -> None:
    """Say that the contestant is ready, then answer lines until there are no more.

    What other people's code prints meanwhile goes to the error stream.
    """
    with redirect_stdout(sys.stderr):
        _write(target, contestant.about())
        for line in source:
            asked = json.loads(line)
            if "context" in asked:
                _write(target, {"ms": contestant.times_ms(asked["context"], asked["steps"])})
            elif isinstance(contestant, StreamContestant):
                _write(target, {"logits": contestant.logits(asked["tokens"])})


def random_tokens(vocabulary_size: int, count: int, seed: int = 0) -> list[int]:
    """Return reproducible tokens, the same in every program."""
    return Random(seed).choices(range(vocabulary_size), k=count)  # noqa: S311 - no secrets


def timed_ms(step: Callable[[], object]) -> float:
    """Return the processor time that one step takes of this thread."""
    start_s = time.thread_time()
    step()
    return 1000 * (time.thread_time() - start_s)


def _write(target: TextIO, content: dict[str, Any]) -> None:
    target.write(json.dumps(content) + "\n")
    target.flush()
