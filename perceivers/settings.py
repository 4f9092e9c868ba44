"""Settings files: YAML in, frozen dataclasses out, every mistake told at once.

A schema is a dataclass of sections, and each section a dataclass whose fields are rows of a table
(`perceivers.ranges`). What the file leaves out keeps the default that stands in the dataclass.
"""

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml

from perceivers.errors import SettingsError
from perceivers.ranges import RangeError, Value, suggestion, table

T = TypeVar("T")


class Named(dict[str, dict[str, Value]], Generic[T]):
    """A section whose entries have names of the user's: of each, some values of a T."""


def load(path: Path, schema: type[T]) -> T:
    """Read a settings file; raise SettingsError with one line for each problem in it."""
    reader = _Reader(path)
    sections = typing.get_type_hints(schema)
    built = {
        name: reader.section_or_named(name, sections[name], node)
        for name, node in reader.entries(reader.root(), "", tuple(sections))
    }
    if reader.problems:
        raise SettingsError("\n".join(reader.problems))
    return schema(**built)


class _Reader:
    """Walks one file and collects what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []
        self._loader: yaml.SafeLoader | None = None

    def root(self) -> yaml.Node | None:
        """Parse the file; a file that is no YAML at all ends the reading here."""
        try:
            text = self.path.read_text(encoding="utf-8")
            self._loader = yaml.SafeLoader(text)
            return self._loader.get_single_node()
        except FileNotFoundError:
            message = f"{self.path}: no such file; give the path of a settings file, or none at all"
            raise SettingsError(message) from None
        except OSError as error:
            raise SettingsError(f"{self.path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SettingsError(f"{self.path}: is not UTF-8 text") from None
        except (yaml.YAMLError, RecursionError) as error:
            raise SettingsError(f"{self.path}{_position(error)}") from None

    def entries(
        self, node: yaml.Node | None, prefix: str, known: tuple[str, ...] | None = None
    ) -> Iterator[tuple[str, yaml.Node]]:
        """Yield the known names of a mapping with their nodes; the others are problems.

        None: every name is known.
        """
        if node is None or node.tag == "tag:yaml.org,2002:null":  # empty: all defaults
            return
        if not isinstance(node, yaml.MappingNode):
            self._problem(node, f"{prefix or 'the file'} must be made of lines `name: value`")
            return
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            if known is not None and name not in known:
                what = f"unknown key {prefix}.{name}" if prefix else f"unknown section {name}"
                self._problem(key, f"{what}; {suggestion(name, known)}")
            elif name in seen:
                self._problem(key, f"{prefix}.{name}".lstrip(".") + " stands here a second time")
            else:
                seen.add(name)
                yield name, value

    def section_or_named(self, name: str, hint: Any, node: yaml.Node) -> Any:
        """Build what a key of the file holds."""
        if typing.get_origin(hint) is not Named:
            return self.section(name, hint, node)
        (row_class,) = typing.get_args(hint)
        return Named(
            (key, self.values(f"{name}.{key}", row_class, value))
            for key, value in self.entries(node, name)
        )

    def section(self, name: str, cls: type[Any], node: yaml.Node) -> Any:
        """Build one section; None once it has a problem."""
        before = len(self.problems)
        values = self.values(name, cls, node)
        return cls(**values) if len(self.problems) == before else None

    def values(self, name: str, cls: type[Any], node: yaml.Node) -> dict[str, Value]:
        """Return the values of a section; those that do not go together are a problem, too."""
        rows = table(cls)
        values: dict[str, Value] = {}
        before = len(self.problems)
        for key, value in self.entries(node, name, tuple(rows)):
            try:
                values[key] = rows[key].admit(self._construct(value))
            except RangeError as error:
                self._problem(value, f"{name}.{error}")
        if len(self.problems) == before:
            try:
                cls(**values)
            except SettingsError as error:  # keys that do not go together
                self._problem(node, f"{name}: {error}")
        return values

    def _construct(self, node: yaml.Node) -> object:
        assert self._loader is not None
        try:
            return self._loader.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError, RecursionError):  # such as a date that does not exist
            return node.value

    def _problem(self, node: yaml.Node, message: str) -> None:
        self.problems.append(f"{self.path}:{node.start_mark.line + 1}: {message}")


def _position(error: Exception) -> str:
    """Return where the parser stopped and why, on one line."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return ": is not YAML: " + " ".join(str(error).split())
    return f":{error.problem_mark.line + 1}: is not YAML: {error.problem}"
