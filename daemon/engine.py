"""The engine: tokens in, logits out, with the whole context kept in caches.

It knows nothing of music. The graph's caches are bound once, each as input and as output to the
same memory, so that a step writes its own rows and copies nothing.
"""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from daemon.bound_run import BoundRun
from daemon.cross_rows import RotaryAngles, cross_rows, table_places
from daemon.runtime import Session, check_version, open_session, share
from daemon.window_cache import SavedRows, WindowCache
from perceivers.errors import ModelMismatch, PerformerError
from perceivers.manifest import EXPORT_AGAIN, CacheTensor, Manifest, read_manifest

Array = NDArray[np.float32]

MOST_TOKENS_PER_RUN = 64  # longer chunks gain nothing and answer later
FEWEST_PER_CHUNK = 4  # measured: two or three in one run cost more than one by one
LOOKED_UP_AT_ONCE = 1024
PROVIDERS = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "int8", "fp32", "fp16")  # auto is the first that a folder has


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
    caches: tuple[SavedRows, ...]
    _engine: int

    @property
    def bytes(self) -> int:
        """Size of the copy."""
        return sum(saved.bytes for saved in self.caches)


class Engine:
    """A model with its memory of everything it was fed."""

    def __init__(
        self,
        manifest: Manifest,
        session: Session,
        tables: Array,
        precision: str,
        rewind_tokens: int,
    ) -> None:
        self.manifest = manifest
        self.precision = precision
        self.provider: str = session.get_providers()[0]  # what really runs, whatever was asked for
        self.position = 0
        self._session = session
        self._tables = tables
        self._places = table_places(manifest.caches)
        self._rewind_tokens = rewind_tokens
        self._angles = RotaryAngles(manifest.architecture)
        float_type = np.float16 if precision == "fp16" else np.float32
        self._caches = _group_caches(manifest, rewind_tokens, float_type)
        self.most_at_once = min(
            MOST_TOKENS_PER_RUN, *(cache.most_at_once for cache in self._caches)
        )
        self._deep_tokens = (
            1 + manifest.architecture.reach
        )  # read in full at the end of a long feed
        self._fewest_skipped = max(rewind_tokens, self.most_at_once)
        self._bound = {
            tensor.name: share(buffer)
            for cache in self._caches
            for tensor, buffer in zip(cache.tensors, cache.buffers, strict=True)
        }
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
    ) -> "Engine":
        """Load a model folder and warm it up.

        precision: "int8", "fp32", or "auto": int8 where the folder has it.
        provider: "cpu", "cuda", or "auto": the best that the folder has a graph for.
        rewind_tokens: how far back `rewind` goes at least.
        Raises ModelMismatch for a folder that is not whole, PerformerError for a choice that it
        cannot serve.
        """
        check_version()
        manifest = read_manifest(folder)
        _check_provider(provider)
        chosen = _choose_precision(folder, manifest, precision)
        path = folder / manifest.graphs[chosen].name
        session = open_session(path, threads=threads)
        _check_session(path, session, manifest)
        tables = np.load(folder / manifest.tables.name, allow_pickle=False)
        engine = cls(manifest, session, tables, chosen, rewind_tokens)
        engine.feed([0] * (engine.most_at_once + 1))
        engine.reset()
        return engine

    def feed(self, tokens: Sequence[int]) -> Array:
        """Read the next tokens, at least one; return the logits (V,) of the token after them."""
        rest = self._skip_ahead(self._checked(tokens))
        for chunk in self._chunks(rest):
            logits = self.read(chunk)
        last: Array = logits[-1].copy()
        return last

    def _chunks(self, tokens: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Split tokens into runs; the odd few go one by one, which the runtime does faster."""
        for start in range(0, len(tokens), self.most_at_once):
            chunk = tokens[start : start + self.most_at_once]
            yield from [chunk] if len(chunk) >= FEWEST_PER_CHUNK else chunk[:, None]

    def read(self, tokens: Sequence[int] | NDArray[np.int64]) -> Array:
        """Read up to `most_at_once` tokens in one run; return the logits (T, V) after each.

        The logits are overwritten by the next run of as many tokens.
        """
        count = len(tokens)
        run = self._runs.get(count) or self._new_run(count)
        run.tokens[:] = tokens
        self._angles.write(self.position, run.cos, run.sin)
        for cache in self._caches:
            cache.make_room(count)
        logits = run()
        for cache in self._caches:
            cache.advance(count)
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
        """Take the older part of a long feed into the cross-attentions only; return the rest.

        What a cross-attention keeps of a token depends on nothing but token and position. What
        the self-attentions keep depends on at most the sum of (window - 1) tokens before: with
        that many read in full, every row that a later token can see is the exact one.
        """
        skipped = len(tokens) - self._deep_tokens
        if skipped < self._fewest_skipped:
            return tokens
        start = self.position + skipped
        for cache in self._caches:
            if cache.tensors[0].kind == "cross":
                self._append_crosses(cache, tokens[:skipped])
            else:
                cache.restart(start)
        self.position = start
        self._deep_from = start + self._deep_tokens
        return tokens[skipped:]

    def _append_crosses(self, cache: WindowCache, tokens: NDArray[np.int64]) -> None:
        """Look up and append the rows of tokens; those that would be out of sight are left out."""
        first = max(0, len(tokens) - (cache.window - 1))
        if first:
            cache.restart(self.position + first)
        places = [self._places[tensor.name] for tensor in cache.tensors]
        for start in range(first, len(tokens), LOOKED_UP_AT_ONCE):
            part = tokens[start : start + LOOKED_UP_AT_ONCE]
            angles = self._angles.of(self.position + start, len(part))
            heads = self.manifest.architecture.heads
            cache.append(cross_rows(self._tables, places, part, heads, angles))

    def _restart_at(self, position: int) -> None:
        for cache in self._caches:
            cache.restart(position)
        self.position = self._deep_from = position

    def _new_run(self, count: int) -> BoundRun:
        run = BoundRun(self._session, self.manifest.architecture, self._caches, self._bound, count)
        self._runs[count] = run
        return run


def _group_caches(manifest: Manifest, rewind_tokens: int, dtype: DTypeLike) -> list[WindowCache]:
    groups: dict[tuple[str, int], list[CacheTensor]] = {}
    for cache in manifest.caches:
        groups.setdefault((cache.kind, cache.window), []).append(cache)
    return [WindowCache(tensors, rewind_tokens, dtype) for tensors in groups.values()]


def _check_provider(provider: str) -> None:
    if provider not in PROVIDERS:
        raise PerformerError(f"provider must be one of {', '.join(PROVIDERS)}, not {provider!r}")
    if provider == "cuda":
        raise PerformerError(
            "provider 'cuda' is not built yet, this version plays on the CPU; "
            "choose 'auto' or 'cpu'"
        )


def _choose_precision(folder: Path, manifest: Manifest, precision: str) -> str:
    if precision not in PRECISIONS:
        raise PerformerError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    if precision == "auto":
        return next(name for name in PRECISIONS if name in manifest.graphs)
    if precision not in manifest.graphs:
        raise PerformerError(
            f"{folder}: holds no {precision} graph; choose {', '.join(manifest.graphs)} or auto"
        )
    return precision


def _check_session(path: Path, session: Session, manifest: Manifest) -> None:
    found = {tensor.name: list(tensor.shape) for tensor in session.get_inputs()}
    for cache in manifest.caches:
        shape = found.get(cache.name)
        if shape is None or _with_rows(shape, cache.shape[2]) != list(cache.shape):
            raise ModelMismatch(
                f"{path}: cache {cache.name} is {shape or 'missing'}, the manifest "
                f"promises {list(cache.shape)}; {EXPORT_AGAIN}"
            )


def _with_rows(shape: Sequence[int | str], rows: int) -> list[int | str]:
    """Return a cache's shape in a graph that leaves its rows open, with so many."""
    return [
        rows if axis == 2 and isinstance(size, str) else size for axis, size in enumerate(shape)
    ]
