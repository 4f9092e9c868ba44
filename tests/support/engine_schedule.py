"""Random schedules of all that an engine can do, against one full forward pass of what is left."""

import tracemalloc
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from daemon.engine import Engine, Mark, Snapshot
from export.verify import full_logits, random_tokens
from perceivers.model import PerceiverS

Schedule = list[tuple[str, int]]

schedules = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), st.integers(1, 12)),
        st.tuples(st.just("feed"), st.integers(1, 260)),
        st.tuples(st.just("mark"), st.just(0)),
        st.tuples(st.just("rewind"), st.integers(0, 9)),
        st.tuples(st.just("reset"), st.just(0)),
        st.tuples(st.just("snapshot"), st.just(0)),
        st.tuples(st.just("restore"), st.integers(0, 9)),
    ),
    min_size=4,
    max_size=16,
)


def distance(logits: np.ndarray, model: PerceiverS, history: list[int]) -> float:
    return float(np.abs(logits - full_logits(model, np.array(history))[-1]).max())


def play(
    engine: Engine,
    model: PerceiverS,
    schedule: Schedule,
    seed: int,
    rewind_tokens: int,
    tolerance: float,
) -> None:
    """Carry out a schedule; every feed must give the model's logits, within the tolerance."""
    engine.reset()
    random = np.random.default_rng(seed)
    history: list[int] = []
    marks: list[Mark] = []
    snapshots: list[tuple[Snapshot, list[int]]] = []

    for action, amount in schedule:
        if action == "feed":
            tokens = random.integers(0, model.architecture.vocabulary_size, amount).tolist()
            history += tokens
            assert distance(engine.feed(tokens), model, history) <= tolerance
        elif action == "mark":
            marks.append(engine.mark())
        elif action == "rewind" and marks:
            mark = marks[amount % len(marks)]
            if len(history) - mark.position <= rewind_tokens:
                engine.rewind(mark)
                history = history[: mark.position]
                marks = [other for other in marks if other.serial <= mark.serial]
        elif action == "reset":
            engine.reset()
            history, marks = [], []
        elif action == "snapshot":
            snapshots.append((engine.snapshot(), history.copy()))
        elif action == "restore" and snapshots:
            snapshot, then = snapshots[amount % len(snapshots)]
            engine.restore(snapshot)
            history, marks = then.copy(), []
        assert engine.position == len(history)


def bytes_left_behind(engine: Engine) -> int:
    """Return how much more memory there is after 1,280 steps than before, each behind a mark.

    So many come out even: what is kept of them is kept in pieces of 64 or 256. What is made once
    makes a round grow, and not the next; so the lesser of two rounds counts.
    """
    tokens = random_tokens(engine.manifest.architecture, 1280).tolist()

    def play_on() -> int:
        for token in tokens:
            engine.mark()
            engine.feed([token])
        return tracemalloc.get_traced_memory()[0]

    for _ in range(3):
        play_on()
    tracemalloc.start()
    try:
        rounds = [play_on() for _ in range(3)]
    finally:
        tracemalloc.stop()
    return min(after - before for before, after in pairwise(rounds))
