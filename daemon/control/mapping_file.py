"""The file that keeps what was learnt from the player's device, from one session to the next."""

import json
import logging
from pathlib import Path

from daemon.control.mapping import Mappings, mappings_of
from perceivers.atomic import atomic_path
from perceivers.errors import SettingsError

logger = logging.getLogger(__name__)

FORMAT = 1


class MappingFile:
    """Reads and writes the file, if there is to be one; what fails is one line in the log."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._is_broken = False

    def read(self) -> Mappings:
        """Return what the file says; nothing where there is none, or where it is broken."""
        if self._path is None or not self._path.exists():
            return Mappings()
        try:
            content = json.loads(self._path.read_text("utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']}, not {FORMAT}")
            return mappings_of(content["mappings"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SettingsError) as error:
            self._is_broken = True
            logger.warning(
                "%s is not what learn has written (%s); nothing is mapped, and what is learnt now "
                "takes its place, while it stays as %s",
                self._path, error, self._aside(self._path),
            )  # fmt: skip
            return Mappings()

    def write(self, mappings: Mappings) -> None:
        """Keep them; a file that could not be read stays, under another name."""
        if self._path is None:
            return
        told = {"format": FORMAT, "mappings": mappings.described()["mappings"]}
        try:
            if self._is_broken:
                self._path.replace(self._aside(self._path))
                self._is_broken = False
            with atomic_path(self._path) as partial:
                partial.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
        except OSError as error:
            logger.warning("%s: what was learnt is not kept (%s)", self._path, error)

    @staticmethod
    def _aside(path: Path) -> Path:
        return path.with_name(f"{path.name}.broken")
