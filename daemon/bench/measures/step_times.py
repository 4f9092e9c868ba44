"""How long the engine takes for a token, against the time to read what the token needs.

Several engines are measured in turn, round by round, each at every length of context, and the
memory is read between their steps: so what else the machine does meets all of them alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median, quantiles

from tqdm import tqdm

from daemon.bench.contestants.protocol import random_tokens, timed_ms
from daemon.bench.measures.bandwidth import BYTES_OF_MEMORY, Reader
from daemon.engine import Engine
from daemon.engine.step_bytes import step_bytes

CHUNKS = (1, 2, 4, 8, 16, 32, 64)
RUNS_OF_A_CHUNK = 3  # in a round


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one precision at one length of context."""

    precision: str
    context: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    least_ms: float
    """Least median of a round."""
    greatest_ms: float
    """Greatest median of a round."""
    step_bytes: int
    """Weights and rows of caches that a step reads."""
    floor_ms: float
    """Time to read as many bytes, read again and again; median over rounds."""
    ratio: float
    """Median step over floor of the same round; median over rounds."""
    memory_floor_ms: float
    """Time to read as many bytes of a buffer far larger than the processor's caches."""
    fill_ms: float
    """Time to read the whole context at once, from an empty engine; median over rounds."""
    tokens_per_s: dict[int, float]
    """Speed of reading after this context, by tokens in a run."""


@dataclass(slots=True)
class _Cell:
    """One engine at one length of context, and what every round found."""

    engine: Engine
    context: int
    rounds_ms: list[list[float]] = field(default_factory=list)
    fills_ms: list[float] = field(default_factory=list)
    floors_ms: list[float] = field(default_factory=list)
    chunks_ms: dict[int, list[float]] = field(
        default_factory=lambda: {chunk: [] for chunk in CHUNKS}
    )

    def measure(self, reader: Reader, steps: int) -> None:
        """Measure one round."""
        engine = self.engine
        vocabulary_size = engine.manifest.architecture.vocabulary_size
        engine.reset()
        tokens = random_tokens(vocabulary_size, self.context)
        self.fills_ms.append(timed_ms(partial(engine.feed, tokens)) if tokens else 0.0)
        new = random_tokens(vocabulary_size, steps, seed=1)
        self.rounds_ms.append([timed_ms(partial(engine.read, [token])) for token in new])
        self.floors_ms.append(reader.read_ms(self.step_bytes(steps)))
        for chunk, times in self.chunks_ms.items():
            tokens = random_tokens(vocabulary_size, chunk, seed=chunk)
            times += [timed_ms(partial(engine.read, tokens)) for _ in range(RUNS_OF_A_CHUNK)]

    def step_bytes(self, steps: int) -> int:
        """Return the bytes that the middle one of `steps` steps reads."""
        return step_bytes(self.engine.manifest, self.engine.precision, self.context + steps // 2)

    def forget(self) -> None:
        """Drop what was found so far: the first round warms up."""
        self.rounds_ms.clear()
        for times in (self.fills_ms, self.floors_ms, *self.chunks_ms.values()):
            times.clear()

    def row(self, steps: int, memory_bytes_per_ms: float) -> Row:
        """Sum up all rounds."""
        medians = [median(times) for times in self.rounds_ms]
        cuts = quantiles((ms for times in self.rounds_ms for ms in times), n=100)
        pairs = zip(medians, self.floors_ms, strict=True)
        size = self.step_bytes(steps)
        return Row(
            precision=self.engine.precision,
            context=self.context,
            p50_ms=cuts[49],
            p95_ms=cuts[94],
            p99_ms=cuts[98],
            least_ms=min(medians),
            greatest_ms=max(medians),
            step_bytes=size,
            floor_ms=median(self.floors_ms),
            ratio=median(ms / floor_ms for ms, floor_ms in pairs),
            memory_floor_ms=size / memory_bytes_per_ms,
            fill_ms=median(self.fills_ms),
            tokens_per_s={
                chunk: 1000 * chunk / median(times) for chunk, times in self.chunks_ms.items()
            },
        )


def measure(
    engines: Sequence[Engine], contexts: Sequence[int], rounds: int, steps: int
) -> tuple[list[Row], float]:
    """Measure `rounds` rounds of `steps` steps each, after one round that is not counted.

    Returns rows, and the bytes that one thread reads from memory in a second.
    """
    reader = Reader()
    speeds = []
    cells = [_Cell(engine, context) for engine in engines for context in contexts]
    for turn in tqdm(range(1 + rounds), desc="measuring", unit="round"):
        speeds.append(BYTES_OF_MEMORY / reader.read_ms(BYTES_OF_MEMORY))
        for cell in cells:
            cell.measure(reader, steps)
            if not turn:
                cell.forget()
    bytes_per_ms = median(speeds)
    return [cell.row(steps, bytes_per_ms) for cell in cells], 1000 * bytes_per_ms
