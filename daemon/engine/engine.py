"""The engine: tokens in, logits out, with the whole context kept in caches.

It knows nothing of music. The graph's caches are bound once, each as input and as output to the
same memory, so that a step writes its own rows and copies nothing.
"""

import itertools
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daemon.engine.bound_run import BoundRun
from daemon.engine.caches.protocol import Saved
from daemon.engine.caches.set import CacheSet, device_caches, host_caches
from daemon.engine.cross_rows import RotaryAngles
from daemon.engine.graph_opening import OpenGraph, check_choice, open_graph
from daemon.engine.runtime import CPU, CUDA, check_version, has_gpu
from perceivers.errors import PerformerError
from perceivers.manifest import Manifest, read_manifest

logger = logging.getLogger(__name__)

Array = NDArray[np.float32]

MOST_AT_ONCE = 64  # tokens that a host reads in one run, if it is told to
RUN_TOKENS = 16  # of a feed: in a full context longer runs gain a third, and need 170 MB more
DEVICE_RUN_TOKENS = (1024, MOST_AT_ONCE)  # rarely the longer one
FEWEST_PER_CHUNK = 4  # measured: two or three in one run cost more than one by one


class RewindError(PerformerError, LookupError):
    """A mark lies further back than what is kept, or belongs to a past that was undone."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the stream of tokens to come back to."""

    position: int
    serial: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of all that later tokens can see."""

    position: int
    caches: tuple[Saved, ...]
    _engine: int

    @property
    def bytes(self) -> int:
        """Size of the copy."""
        return sum(saved.bytes for saved in self.caches)


class Engine:
    """A model with its memory of everything it was fed."""

    def __init__(self, manifest: Manifest, graph: OpenGraph, store: CacheSet) -> None:
        self.manifest = manifest
        self.precision = graph.precision
        self.provider = graph.provider
        self.position = 0
        self._session = graph.session
        self._store = store
        self._caches = store.all
        self._table_prefill = store.table_prefill
        self._rewind_tokens = store.rewind_tokens
        self._angles = RotaryAngles(manifest.architecture)
        on_host = store.device is None
        most = MOST_AT_ONCE if on_host else max(DEVICE_RUN_TOKENS)
        self.most_at_once = min(most, store.most_at_once)
        lengths = (RUN_TOKENS,) if on_host else DEVICE_RUN_TOKENS
        self._run_tokens = [min(length, self.most_at_once) for length in lengths]
        self._runs: dict[int, BoundRun] = {}
        self._marks: deque[Mark] = deque()
        self._serials = itertools.count()
        self._deep_from = 0

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        precision: str = "auto",
        provider: str = "auto",
        threads: int = 1,
        rewind_tokens: int = 1024,
        on_device: bool | None = None,
    ) -> "Engine":
        """Load a model folder and warm it up.

        precision: "int8", "fp32", "fp16", or "auto": fp16 on a GPU, else int8 where there is one.
        provider: "cpu", "cuda", or "auto": a GPU that can be used, else the CPU.
        rewind_tokens: how far back `rewind` goes at least.
        on_device: whether caches are kept as on a GPU; by default, on a GPU.
        Raises ModelMismatch for a folder that is not whole, PerformerError for a choice that it
        cannot serve.
        """
        check_version()
        manifest = read_manifest(folder)
        check_choice(provider, precision)
        devices = {"auto": (CUDA, CPU), "cuda": (CUDA,), "cpu": (CPU,)}[provider]
        for device in devices:
            try:
                graph = open_graph(folder, manifest, device, precision, threads)
                if device != CPU if on_device is None else on_device:
                    store = device_caches(folder, manifest, graph, rewind_tokens)
                else:
                    store = host_caches(folder, manifest, graph, rewind_tokens, MOST_AT_ONCE)
                engine = cls(manifest, graph, store)
                engine._warm_up()
            except PerformerError as error:
                if device == devices[-1]:
                    raise
                # Who has no GPU need not read of it every time; who has one wants to know.
                level = logging.INFO if has_gpu() else logging.DEBUG
                logger.log(level, "%s, so the model runs on the CPU", error)
            else:
                break
        return engine

    def feed(self, tokens: Sequence[int]) -> Array:
        """Read the next tokens; return what the model predicts after the last of them.

        tokens: (T,) token ids, T ≥ 1, any number: they are read in runs of a good length.
        Returns logits (V,), float32, a copy that stays as it is.
        Raises ValueError for no token, or one outside the vocabulary; nothing is read then.
        """
        for logits in self.feeding(tokens):
            last: Array = logits[-1]
        return last.copy()

    def feeding(self, tokens: Sequence[int]) -> Iterator[Array]:
        """Read the next tokens as `feed` does, run by run; yield what `read` returns for each.

        So who reads much can do something else in between. What is not asked for is not read.
        """
        for chunk in self._chunks(self._skip_ahead(self._checked(tokens))):
            yield self.read(chunk)

    def _chunks(self, tokens: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Split tokens into runs; the odd few go one by one, which the runtime does faster."""
        start = 0
        for length in self._run_tokens:
            while len(tokens) - start >= length:
                yield tokens[start : start + length]
                start += length
        rest = tokens[start:]
        yield from [rest] if len(rest) >= FEWEST_PER_CHUNK else rest[:, None]

    def read(self, tokens: Sequence[int] | NDArray[np.int64]) -> Array:
        """Read tokens in one run; return what the model predicts after each of them.

        tokens: (T,) token ids, 1 ≤ T ≤ `most_at_once`, each within the vocabulary: whoever calls
            this has seen to it, and `feed` is for who has not.
        Returns logits (T, V), float32, in memory that the next run of T tokens overwrites.
        """
        count = len(tokens)
        run = self._runs.get(count) or self._new_run(count)
        run.tokens[:] = tokens
        self._angles.write(self.position, run.cos, run.sin)
        for rows in self._store.rows:
            rows.make_room(count)
        if self._store.blocks:
            turns = run.cos + 1j * run.sin
            for blocks in self._store.blocks:
                blocks.append(run.tokens, turns)
        if self._store.keys is not None:
            self._store.keys.append(run.tokens, run.keys)
        logits = run()
        for rows in self._store.rows:
            rows.advance(count)
        self.position += count
        return logits

    def mark(self) -> Mark:
        """Return a mark of this place, to come back to by `rewind`."""
        oldest = self._oldest()
        while self._marks and self._marks[0].position < oldest:
            self._marks.popleft()
        mark = Mark(self.position, next(self._serials))
        self._marks.append(mark)
        return mark

    def rewind(self, mark: Mark) -> None:
        """Forget everything fed since the mark; nothing is computed anew.

        Marks made since then end. Raises RewindError, and changes nothing, when the mark has
        ended or lies further back than is kept.
        """
        if mark.position < self._oldest():
            raise RewindError(
                f"cannot rewind from token {self.position} to {mark.position}: kept is from "
                f"{self._oldest()} on; open the engine with more rewind_tokens than "
                f"{self._rewind_tokens}, or reset it and feed the tokens again"
            )
        if mark not in self._marks:
            raise RewindError(
                f"cannot rewind to the mark at token {mark.position}: an earlier rewind or a reset "
                "ended it; make marks anew after going back"
            )
        while self._marks[-1] != mark:
            self._marks.pop()
        for cache in self._caches:
            cache.rewind(mark.position)
        self.position = mark.position

    def reset(self) -> None:
        """Forget everything: the next token is the first."""
        self._marks.clear()
        self._restart_at(0)

    def snapshot(self) -> Snapshot:
        """Return a copy of all that later tokens can see, to `restore` as often as wanted."""
        saved = tuple(cache.save() for cache in self._caches)
        return Snapshot(self.position, saved, id(self))

    def restore(self, snapshot: Snapshot) -> None:
        """Be as at a snapshot of this engine, to the last bit; every mark ends.

        One can rewind to here from then on, and no further. Raises ValueError for the snapshot of
        another engine.
        """
        if snapshot._engine != id(self):  # noqa: SLF001 - its own kind
            raise ValueError("a snapshot can be restored by the engine that made it, and no other")
        for cache, saved in zip(self._caches, snapshot.caches, strict=True):
            cache.restore(saved)
        self._marks.clear()
        self.position = self._deep_from = snapshot.position

    def _oldest(self) -> int:
        """Return the earliest position that can be rewound to."""
        return max(self._deep_from, *(cache.oldest for cache in self._caches))

    def _checked(self, tokens: Sequence[int]) -> NDArray[np.int64]:
        """Return tokens as an array. Raises ValueError where the graph would fail."""
        size = self.manifest.architecture.vocabulary_size
        array = np.asarray(tokens, np.int64)
        if array.ndim != 1 or not len(array):
            raise ValueError("feed wants a sequence of one token or more")
        if array.view(np.uint64).max() >= size:  # read as unsigned, what is negative is huge
            wrong = array[(array < 0) | (array >= size)][0]
            raise ValueError(f"token must be in range 0..{size - 1}, not {wrong}")
        return array

    def _skip_ahead(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take the older part of a long feed by table; return the rest."""
        if self._table_prefill is None or len(tokens) < self._table_prefill.pays_from:
            return tokens
        skipped = self._table_prefill.skip(tokens, self.position)
        if self._store.keys is not None:
            self._store.keys.skip(tokens[:skipped])
        self._deep_from = self.position + len(tokens)
        self.position += skipped
        return tokens[skipped:]

    def _warm_up(self) -> None:
        """Run once what runs later. Raises PerformerError where the provider cannot."""
        try:
            self.feed([0] * (self._run_tokens[-1] + 1))
        except Exception as error:  # the runtime's own exceptions have no common base of their own
            reason = str(error).splitlines()[0]
            raise PerformerError(f"the graph does not run on {self.provider}: {reason}") from error
        self.reset()

    def _restart_at(self, position: int) -> None:
        for cache in self._caches:
            cache.restart(position)
        self.position = self._deep_from = position

    def _new_run(self, count: int) -> BoundRun:
        architecture = self.manifest.architecture
        run = BoundRun(self._session, architecture, self._store, count)
        self._runs[count] = run
        return run
