import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from perceivers.checkpoint import load_checkpoint
from perceivers.errors import ModelMismatch
from perceivers.vocabulary import fingerprint
from tests.support.make_model import TINY, make_checkpoint, make_model

ROOT = Path(__file__).parents[2]


def changed(path: Path, **fields: object) -> Path:
    """Rewrite a checkpoint with other contents; None leaves a field out."""
    content = torch.load(path, weights_only=True) | fields
    kept = {name: value for name, value in content.items() if value is not None}
    torch.save(kept, path)
    return path


def test_a_model_comes_back_as_it_was(tmp_path: Path):
    path = make_checkpoint(tmp_path / "model.pt", seed=3)

    loaded = load_checkpoint(path)

    assert loaded.architecture == TINY
    assert loaded.progress == {"steps": 0}
    expected = make_model(seed=3).state_dict()
    found = loaded.build_model().state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused_by_name(tmp_path: Path, share: float):
    path = make_checkpoint(tmp_path / "model.pt")
    content = path.read_bytes()

    path.write_bytes(content[: int(share * len(content))])

    with pytest.raises(ModelMismatch, match=r"model\.pt: not a readable checkpoint"):
        load_checkpoint(path)


def test_what_is_missing_is_named(tmp_path: Path):
    with pytest.raises(ModelMismatch, match=r"nothing\.pt: no such checkpoint"):
        load_checkpoint(tmp_path / "nothing.pt")


def test_another_vocabulary_is_refused_with_both_fingerprints(tmp_path: Path):
    path = changed(make_checkpoint(tmp_path / "model.pt"), vocabulary="0123456789abcdef")

    with pytest.raises(ModelMismatch, match=f"0123456789abcdef, this is {fingerprint()}"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"format": 99}, "format 1"),
        ({"format": None}, "format 1"),
        ({"vocabulary": None}, "vocabulary"),
        ({"weights": None}, "weights"),
        ({"architecture": {"dim": 64}}, "missing"),
    ],
)
def test_what_is_no_checkpoint_of_ours_is_refused(
    tmp_path: Path, fields: dict[str, object], said: str
):
    path = changed(make_checkpoint(tmp_path / "model.pt"), **fields)

    with pytest.raises(ModelMismatch, match=said):
        load_checkpoint(path)


def test_a_checkpoint_from_before_the_variants_is_still_the_same_model(tmp_path: Path):
    fields = TINY.to_json()
    del fields["combine"], fields["carried"]
    path = changed(make_checkpoint(tmp_path / "model.pt"), architecture=fields)

    assert load_checkpoint(path).architecture == TINY


def test_an_architecture_of_another_version_is_refused_with_the_file_and_the_field(tmp_path: Path):
    fields = TINY.to_json() | {"experts": 8}
    path = changed(make_checkpoint(tmp_path / "model.pt"), architecture=fields)

    with pytest.raises(
        ModelMismatch, match=r"model\.pt: architecture: unknown fields \['experts'\]"
    ):
        load_checkpoint(path)


class Trap:
    """An object whose loading would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('code of a checkpoint was run')",))


def test_no_code_of_a_checkpoint_is_run(tmp_path: Path):
    path = tmp_path / "model.pt"
    torch.save({"format": 1, "weights": Trap()}, path)

    with pytest.raises(ModelMismatch, match="not a readable checkpoint"):
        load_checkpoint(path)


@pytest.mark.processes
def test_a_process_killed_while_saving_leaves_a_whole_checkpoint(tmp_path: Path):
    path = tmp_path / "model.pt"
    code = """
import sys
from pathlib import Path
from tests.support.make_model import make_checkpoint

for seed in range(10_000):
    make_checkpoint(Path(sys.argv[1]), seed=seed)
    print(seed, flush=True)
"""
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        assert writer.stdout is not None
        seen = [writer.stdout.readline() for _ in range(20)]
        os.kill(writer.pid, signal.SIGKILL)

    assert seen[-1] == "19\n"
    assert load_checkpoint(path).architecture == TINY
