"""The parts of an evaluation one after another, each kept when it is done.

A part is a function that returns JSON values, and a key: what its result depends on. The result
lies in a file with its key; asked again with the same key, the part is not run again, so that an
evaluation that was stopped goes on where it was.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from perceivers.atomic import atomic_path

JsonValues = dict[str, Any]


class KeptStages:
    """Results in a folder, a file per part."""

    def __init__(self, folder: Path, tell: Callable[[str], None] = print) -> None:
        self._folder = folder
        self.tell = tell
        self.seconds: dict[str, float] = {}  # that each part took when it was run

    def run(self, name: str, key: Mapping[str, Any], make: Callable[[], JsonValues]) -> JsonValues:
        """Return the result of a part, run now or earlier with the same key."""
        path = self._folder / f"{name}.json"
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        kept = _read(path)
        if kept is not None and kept["key"] == digest:
            self.tell(f"{name}: kept from before")
        else:
            self.tell(f"{name} …")
            started_s = time.monotonic()
            result = make()
            kept = {"key": digest, "seconds": time.monotonic() - started_s, "result": result}
            with atomic_path(path) as partial:
                partial.write_text(json.dumps(kept, allow_nan=False), encoding="utf-8")
        self.seconds[name] = kept["seconds"]
        found: JsonValues = kept["result"]
        return found


def _read(path: Path) -> JsonValues | None:
    """Return what is kept; None where there is nothing, or nothing of use."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(content, dict) and content.keys() == {"key", "seconds", "result"}
    return content if whole else None
