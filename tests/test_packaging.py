"""The rules that keep the packages apart, and the scripts usable from anywhere."""

import ast
import functools
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("daemon", "export", "perceivers", "training")
BENCH = ROOT / "daemon" / "bench"  # measures the daemon and what it stands beside
MAY_IMPORT = {
    "daemon": {"perceivers"},
    "export": {"perceivers"},
    "perceivers": set(),
    "training": {"perceivers"},
}
# Files of the daemon's installation do not see these.
TRAINING_STACK = {"accelerate", "onnx", "torch"}
# Whole packages are written in these; each of all others stands behind one module of ours.
SPOKEN_BY_MANY = {"matplotlib", "numpy", "onnx", "torch", "tqdm"}
# Other people's models, which nobody needs: an environment of theirs runs the file that has them.
FOREIGN = {"notochord", "perceiver", "pretty_midi"}
PLAYED_WITH = ("console", "osc")  # extras of the daemon's installation
DISTRIBUTIONS = {
    "onnxruntime": "onnxruntime-gpu",
    "pythonosc": "python-osc",
    "rtmidi": "python-rtmidi",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
# What runs where only the daemon's installation is: no torch, whoever is asked.
PLAYING = [
    path
    for path in SOURCES
    if path.relative_to(ROOT).parts[0] == "daemon"
    if path.parent.name != "contestants" or path.stem in ("process", "protocol", "this_engine")
]
DAEMON = [p for p in SOURCES if ROOT / "daemon" in p.parents and BENCH not in p.parents]
SCRIPTS = [path for path in SOURCES if 'if __name__ == "__main__":' in path.read_text()]


@functools.cache
def imported_modules(path: Path) -> frozenset[str]:
    """Return the full names of all modules that a file imports, wherever in the file."""
    names: set[str] = set()
    package = ".".join(path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = f"{package}.{node.module}" if node.level else str(node.module)
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            names |= {item.value for item in node.args if isinstance(item, ast.Constant)}
    return frozenset(names)


def top_level(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported_modules(path)}


def importers_of(library: str) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in SOURCES if library in top_level(path)]


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_that_of_this_checkout(package: str) -> None:
    found = importlib.import_module(package).__file__

    assert found is not None
    assert Path(found).resolve() == ROOT / package / "__init__.py"


@pytest.mark.parametrize("package", PACKAGES)
def test_package_imports_only_what_it_may(package: str) -> None:
    forbidden = set(PACKAGES) - MAY_IMPORT[package] - {package} | {"tests"}

    offenders = {
        str(path.relative_to(ROOT)): sorted(forbidden & top_level(path))
        for path in (ROOT / package).rglob("*.py")
        if not (BENCH in path.parents and "contestants" in path.parts)
        if forbidden & top_level(path)
    }

    assert offenders == {}


def test_nobody_imports_what_measures_and_its_contestants_only_what_they_may() -> None:
    of_bench = [path for path in SOURCES if BENCH in path.parents]
    others = set(SOURCES) - set(of_bench)

    assert {"training", "tests"} & {name for path in of_bench for name in top_level(path)} == set()
    assert not any(
        name == "daemon.bench" or name.startswith("daemon.bench.")
        for path in others
        for name in imported_modules(path)
    )


def room_of(path: Path) -> tuple[str, str]:
    """Return package and room of a module: the folder below the package, or "" at the top."""
    package, *folders = path.relative_to(ROOT).parts[:-1]
    return package, ".".join(folders)


def arrows_between_rooms(package: str) -> set[tuple[str, str]]:
    """Return which rooms of a package import from which others; its top is no room."""
    room_by_module = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): room_of(path)[1]
        for path in SOURCES
        if room_of(path)[0] == package and room_of(path)[1]
    }
    return {
        (room_of(path)[1], room_by_module[name])
        for path in SOURCES
        if room_of(path)[0] == package and room_of(path)[1]
        for name in imported_modules(path) & set(room_by_module)
        if room_by_module[name] != room_of(path)[1]
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_rooms_of_a_package_import_each_other_in_no_circle(package: str) -> None:
    # What a folder inside a room says to that room is their own affair: they are one room here.
    arrows = {
        (above.partition(".")[0], below.partition(".")[0])
        for above, below in arrows_between_rooms(package)
    }
    left = {(above, below) for above, below in arrows if above != below}

    while done := {below for _, below in left} - {above for above, _ in left}:
        left = {(above, below) for above, below in left if below not in done}

    assert left == set()


def test_no_room_of_training_imports_a_program() -> None:
    programs = {
        f"training.{path.stem}" for path in (ROOT / "training").glob("*.py") if path in SCRIPTS
    }

    offenders = {
        str(path.relative_to(ROOT)): sorted(programs & imported_modules(path))
        for path in SOURCES
        if room_of(path)[0] == "training" and room_of(path)[1] and programs & imported_modules(path)
    }

    assert offenders == {}


def test_every_folder_of_modules_is_installed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]

    folders = {".".join(path.relative_to(ROOT).parts[:-1]) for path in SOURCES}

    assert folders == set(listed)
    assert all((ROOT / name.replace(".", "/") / "__init__.py").is_file() for name in folders)


def test_an_outside_library_has_one_importer_unless_many_speak_it() -> None:
    libraries = {
        name
        for path in SOURCES
        for name in top_level(path) - set(PACKAGES) - sys.stdlib_module_names
        if path.parent.name != "contestants"
    }

    assert {"mido", "rtmidi", "onnxruntime", "zmq"} <= libraries
    importers = {name: importers_of(name) for name in libraries - SPOKEN_BY_MANY}
    assert {name: found for name, found in importers.items() if len(found) > 1} == {}


def test_every_outside_library_is_declared_for_the_package_that_imports_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    played = {requirement_name(text) for text in project["dependencies"]} | {
        requirement_name(text) for name in PLAYED_WITH for text in extras[name]
    }
    trained = played | {requirement_name(text) for text in extras["train"]}

    undeclared = {
        (str(path.relative_to(ROOT)), name)
        for path in SOURCES
        for name in top_level(path) - set(PACKAGES) - sys.stdlib_module_names
        if not (path.parent.name == "contestants" and name in FOREIGN)
        if DISTRIBUTIONS.get(name, name)
        not in (
            played if ROOT / "daemon" in path.parents and BENCH not in path.parents else trained
        )
    }

    assert undeclared == set()


def requirement_name(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    assert match is not None
    return match[0]


def test_every_declared_library_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    declared = {requirement_name(text) for group in extras for text in group} | {
        requirement_name(text) for text in project["dependencies"]
    }
    pinned = {
        line.partition("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }

    assert {name.lower() for name in declared} <= pinned


def test_there_are_scripts() -> None:
    names = {str(path.relative_to(ROOT)) for path in SCRIPTS}

    assert {"daemon/__main__.py", "training/train.py", "export/export_onnx.py"} <= names


@pytest.mark.processes
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_script_answers_help_from_an_empty_folder(script: Path, tmp_path: Path) -> None:
    # -I: neither this folder nor PYTHONPATH helps the script to find its packages.
    done = subprocess.run(
        [sys.executable, "-I", str(script), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.processes
def test_who_plays_or_measures_playing_loads_nothing_of_the_training_stack() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in PLAYING
        if not path.stem.startswith("__")
    ]
    program = (
        f"import importlib, sys; [importlib.import_module(name) for name in {modules}]; "
        f"print(sorted({TRAINING_STACK} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_modules_that_playing_uses_import_no_training_stack() -> None:
    reached = list(PLAYING)
    seen = set(reached)
    while reached:
        names = imported_modules(reached.pop())
        new = {ROOT / f"{name.replace('.', '/')}.py" for name in names} & set(SOURCES) - seen
        seen |= new
        reached += new

    offenders = {
        str(path.relative_to(ROOT)): sorted(TRAINING_STACK & top_level(path))
        for path in seen
        if TRAINING_STACK & top_level(path)
    }

    assert offenders == {}
