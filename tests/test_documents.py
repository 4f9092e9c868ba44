"""What the documents name is there: links, files, folders, members, rooms in the README's tree."""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "models").glob("*/README.md"),
]
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(r"`((?:daemon|docs|export|perceivers|tests|training)/[\w./-]+)`")
SHORT_PATH = re.compile(r"`((?:\w+/)+\w+\.py)`")  # within a package that the text is about
MEMBER = re.compile(r"`([A-Z][a-z]\w*)\.([a-z_]\w*)")
PACKAGES = ("daemon", "export", "perceivers", "tests", "training")
MODULES = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return the anchors that headings have, as they are made on the web."""
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text)]
    return {words.strip().replace(" ", "-") for words in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    text = FENCED.sub("", document.read_text("utf-8"))
    dead = []
    for target in LINK.findall(text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = document.parent / name if name else document
        if not file.exists() or (anchor and anchor not in anchors(file.read_text("utf-8"))):
            dead.append(target)

    assert dead == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_folders_that_are_named_are_there(document: Path) -> None:
    named = set(NAMED.findall(document.read_text("utf-8")))

    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_that_are_named_in_short_are_there(document: Path) -> None:
    named = set(SHORT_PATH.findall(document.read_text("utf-8")))
    modules = [path.as_posix() for path in MODULES]

    assert {
        name for name in named if not any(path.endswith(f"/{name}") for path in modules)
    } == set()


def members() -> dict[str, set[str]]:
    """Return what each class of this project defines, by its name."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name] |= set(_defined(node))
    return found


def _defined(node: ast.ClassDef) -> Iterator[str]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            yield each.name
        elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            yield each.target.id


def test_members_that_are_named_are_there() -> None:
    known = members()
    named = [pair for path in DOCUMENTS for pair in MEMBER.findall(path.read_text("utf-8"))]

    assert len(named) >= 5
    assert [(owner, name) for owner, name in named if name not in known[owner]] == []


def test_the_tree_of_the_readme_has_every_room() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    rooms = {name.split(".")[1] for name in listed if "." in name}
    _, _, tree = (ROOT / "README.md").read_text("utf-8").partition("## What is where")

    assert {room for room in rooms if f"{room}/" not in tree} == set()
