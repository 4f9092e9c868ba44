"""A number has one home: no two modules give one name one value."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("daemon", "export", "perceivers", "training")
COINCIDENCES = {"FORMAT"}  # of checkpoints, of results, of luggage: each counts its own


def constants(source: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of each constant of a module that is written out there."""
    for node in ast.parse(source).body:
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                pairs = zip(names, values, strict=True)
                yield from (found for pair in pairs for found in constant(*pair))
            case ast.Assign(targets=[name], value=value):
                yield from constant(name, value)
            case ast.AnnAssign(target=name, value=ast.expr() as value):
                yield from constant(name, value)


def constant(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, str]]:
    if not isinstance(target, ast.Name) or not target.id.isupper():
        return
    try:
        yield target.id.strip("_"), repr(ast.literal_eval(value))
    except ValueError:
        return  # computed: it has no number of its own


def twins(sources: dict[str, str]) -> dict[tuple[str, str], list[str]]:
    homes: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for module, source in sources.items():
        for found in constants(source):
            homes[found].append(module)
    return {found: modules for found, modules in homes.items() if len(modules) > 1}


def test_no_two_modules_give_one_name_one_value() -> None:
    sources = {
        str(path.relative_to(ROOT)): path.read_text()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }

    found = twins(sources)

    assert {key: modules for key, modules in found.items() if key[0] not in COINCIDENCES} == {}


def test_twins_are_found_however_they_are_written() -> None:
    sources = {
        "a": "CHORD_S = 0.03\nA, B = 1, 2",
        "b": "_CHORD_S: float = 0.030\nB = 2",
        "c": "A = 3",
    }

    assert twins(sources) == {("CHORD_S", "0.03"): ["a", "b"], ("B", "2"): ["a", "b"]}
