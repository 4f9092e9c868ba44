"""What a program that measures says and writes down."""

import json
import sys
from pathlib import Path
from typing import Any

from perceivers.atomic import atomic_path


def tell(line: str) -> None:
    """Print a line at once, also into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def write_json(path: Path, found: dict[str, Any]) -> None:
    """Write what was measured; an older file stays until the new one is complete."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def add_to_json(path: Path, found: dict[str, Any]) -> None:
    """Write what was measured beside the other figures of a file, in place of older ones."""
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    write_json(path, known | found)
