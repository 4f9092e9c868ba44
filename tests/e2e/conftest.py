"""Fixtures of the end-to-end tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.jack_programs import Patchbay, Recorder, patched_recorder
from tests.support.running_daemon import ROOT

SHIPPED_MODEL = ROOT / "models" / "small"


@pytest.fixture(scope="session")
def model_folder(request: pytest.FixtureRequest) -> Path:
    """Return the model that the environment names, or the shipped one, or one of random weights."""
    if "E2E_MODEL" in os.environ:
        return Path(os.environ["E2E_MODEL"]).resolve()
    if (SHIPPED_MODEL / "manifest.json").exists():
        return SHIPPED_MODEL
    folder: Path = request.getfixturevalue("tiny_model_folder")
    return folder


@pytest.fixture(scope="module")
def patched() -> Iterator[tuple[Patchbay, Recorder]]:
    with patched_recorder() as both:
        yield both


@pytest.fixture
def patchbay(patched: tuple[Patchbay, Recorder]) -> Patchbay:
    return patched[0]


@pytest.fixture
def recorder(patched: tuple[Patchbay, Recorder]) -> Recorder:
    patched[1].forget()
    return patched[1]
