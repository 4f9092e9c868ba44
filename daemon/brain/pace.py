"""How many notes a second a machine can play with a model, and what to do if they are too few.

A step in a full memory is not tried, for filling one takes a second: it is that of an empty memory,
and what attention to all that is kept adds. That was measured to take twice as long as reading it.
"""

import time
from pathlib import Path

import numpy as np

from daemon.engine.step_bytes import step_bytes
from perceivers.errors import ModelMismatch
from perceivers.graphs import PRECISIONS
from perceivers.manifest import MANIFEST_FILE, Manifest, read_manifest

TOKENS_PER_NOTE = 4.7  # of the training music, pedal and note-offs included
ENOUGH_NOTES_PER_S = 12.0  # dense music of two hands; what is denser is planned ahead of time
READINGS_OF_ATTENTION = 2.0  # docs/engine.md: what 35 MB of keys add to a step, and to read them
PROBES = 3


def notes_per_s(step_ms: float) -> float:
    """Return how many notes a second steps of so long can play."""
    return 1000 / (TOKENS_PER_NOTE * step_ms) if step_ms > 0 else float("inf")


def full_step_ms(manifest: Manifest, precision: str, empty_step_ms: float) -> float:
    """Return about how long a step takes on a CPU in a full memory, given its time in an empty one.

    Reads as much memory as such a step does, a few times: some hundredths of a second.
    """
    full = step_bytes(manifest, precision, manifest.architecture.context)
    more = np.ones((full - step_bytes(manifest, precision, 0)) // 4, np.float32)
    return empty_step_ms + READINGS_OF_ATTENTION * min(_read_ms(more) for _ in range(PROBES))


def _read_ms(memory: np.typing.NDArray[np.float32]) -> float:
    started_s = time.perf_counter()
    memory.max()
    return 1000 * (time.perf_counter() - started_s)


def advice(folder: Path, manifest: Manifest, precision: str, step_ms: float) -> str | None:
    """Return what to choose if steps of so long, in a full memory, play too few notes, or None."""
    notes = notes_per_s(step_ms)
    if notes >= ENOUGH_NOTES_PER_S:
        return None
    bytes_per_ms = _full_bytes(manifest, precision) / step_ms
    choice = _other_precision(manifest, precision, bytes_per_ms) or _other_model(
        folder, manifest, bytes_per_ms
    )
    return (
        f"too slow for real time: about {notes:.1f} notes a second with a full memory, and dense "
        f"music has {ENOUGH_NOTES_PER_S:.0f}; choose {choice}"
    )


def _other_precision(manifest: Manifest, precision: str, bytes_per_ms: float) -> str | None:
    """Name the quickest graph of the same model, if it is another one and quick enough."""
    quickest = _quickest(manifest)
    if quickest == precision or _notes_of(manifest, bytes_per_ms) < ENOUGH_NOTES_PER_S:
        return None
    return f"precision: {quickest} (engine, in the settings file)"


def _other_model(folder: Path, manifest: Manifest, bytes_per_ms: float) -> str:
    """Name the largest smaller model beside this one that is quick enough, or the quickest."""
    others = {
        path: _notes_of(other, bytes_per_ms)
        for path, other in _neighbours(folder).items()
        if other.parameters < manifest.parameters
    }
    if not others:
        return "a smaller model: --model FOLDER"
    enough = (path for path, notes in others.items() if notes >= ENOUGH_NOTES_PER_S)
    best = next(enough, max(others, key=lambda path: others[path]))
    return f"--model {best}, about {others[best]:.0f} notes a second"


def _quickest(manifest: Manifest) -> str:
    return next(name for name in PRECISIONS if name in manifest.graphs)


def _notes_of(manifest: Manifest, bytes_per_ms: float) -> float:
    return notes_per_s(_full_bytes(manifest, _quickest(manifest)) / bytes_per_ms)


def _full_bytes(manifest: Manifest, precision: str) -> int:
    return step_bytes(manifest, precision, manifest.architecture.context)


def _neighbours(folder: Path) -> dict[Path, Manifest]:
    """Return the model folders beside one, largest model first; what is no good is left out."""
    found = {}
    for path in sorted(folder.resolve().parent.glob(f"*/{MANIFEST_FILE}")):
        if path.parent == folder.resolve():
            continue
        try:
            found[folder.parent / path.parent.name] = read_manifest(path.parent)
        except ModelMismatch:
            continue
    return dict(sorted(found.items(), key=lambda item: -item[1].parameters))
