"""Files cut into parts of limited size, with check sums: what travels between two machines.

The files of a bundle are read one after the other, compressed as one stream, and cut. A bundle is
written again where it stopped: a part that is already there and right is kept.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from perceivers.atomic import atomic_path
from perceivers.errors import PerformerError

CHUNK_BYTES = 1 << 20
COMPRESSION = 6  # of zlib: tokens shrink by half, weights by a tenth


@dataclass(frozen=True, slots=True)
class Part:
    """A part as it travels, or a file as it was before."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """Files, and the parts that they travel in."""

    files: tuple[Part, ...]
    parts: tuple[Part, ...]


def described(path: Path, name: str) -> Part:
    """Return size and check sum of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Part(name, path.stat().st_size, digest)


def write_bundle(
    folder: Path, prefix: str, files: Sequence[tuple[str, Path]], limit: int
) -> Bundle:
    """Write files as parts `prefix-0.part`, `prefix-1.part`, … of at most `limit` bytes."""
    parts = tuple(
        _write_part(folder / f"{prefix}-{number}.part", content)
        for number, content in enumerate(_cut(_compressed(path for _, path in files), limit))
    )
    return Bundle(tuple(described(path, name) for name, path in files), parts)


def check_parts(folder: Path, bundles: Iterable[Bundle]) -> None:
    """Refuse a folder of which parts are missing, cut short or damaged, naming each of them."""
    broken = [
        f"{part.name} {problem}"
        for bundle in bundles
        for part in bundle.parts
        if (problem := _problem(folder, part)) is not None
    ]
    if broken:
        raise PerformerError(f"{folder}: {'; '.join(broken)}; bring these parts over again")


def read_bundle(folder: Path, bundle: Bundle, destination: Path) -> Iterator[Path]:
    """Put the files of a bundle, whose parts were checked, into a folder; yield each when done.

    A file that is already there and right is kept.
    """
    stream = _Decompressed(folder / part.name for part in bundle.parts)
    for file in bundle.files:
        path = destination / file.name
        if path.exists() and described(path, file.name) == file:
            for _ in stream.read(file.bytes):
                pass
        else:
            with atomic_path(path) as partial, partial.open("wb") as out:
                for content in stream.read(file.bytes):
                    out.write(content)
        yield path


def _problem(folder: Path, part: Part) -> str | None:
    path = folder / part.name
    if not path.is_file():
        return "is missing"
    found = path.stat().st_size
    if found != part.bytes:
        return f"has {found:,} bytes instead of {part.bytes:,}"
    return None if described(path, part.name) == part else "is damaged (its check sum is another)"


def _write_part(path: Path, content: bytes) -> Part:
    part = Part(path.name, len(content), hashlib.sha256(content).hexdigest())
    if not path.exists() or described(path, path.name) != part:
        with atomic_path(path) as partial:
            partial.write_bytes(content)
    return part


def _compressed(paths: Iterable[Path]) -> Iterator[bytes]:
    compressor = zlib.compressobj(COMPRESSION)
    for path in paths:
        with path.open("rb") as file:
            while content := file.read(CHUNK_BYTES):
                yield compressor.compress(content)
    yield compressor.flush()


def _cut(chunks: Iterable[bytes], limit: int) -> Iterator[bytes]:
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) > limit:
            yield bytes(waiting[:limit])
            del waiting[:limit]
    if waiting:
        yield bytes(waiting)


class _Decompressed:
    """The stream that was cut into parts, read in portions."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._chunks = self._decompressed(paths)
        self._waiting = b""

    def read(self, count: int) -> Iterator[bytes]:
        """Yield the next `count` bytes, in pieces."""
        while count:
            if not self._waiting:
                self._waiting = self._next_chunk()
            content, self._waiting = self._waiting[:count], self._waiting[count:]
            count -= len(content)
            yield content

    def _next_chunk(self) -> bytes:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise PerformerError("the parts hold less than their files; pack the run again")
        return chunk

    @staticmethod
    def _decompressed(paths: Iterable[Path]) -> Iterator[bytes]:
        decompressor = zlib.decompressobj()
        for path in paths:
            with path.open("rb") as file:
                while content := file.read(CHUNK_BYTES):
                    yield decompressor.decompress(content)
        yield decompressor.flush()
