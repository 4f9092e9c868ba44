"""A run packed here and unpacked there goes on as if it had stayed."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from perceivers.checkpoint import load_checkpoint
from tests.support.small_runs import arguments, losses, one_core, prepare_chords
from training import train, travel
from training.data.token_store import TokenStore
from training.luggage.bundles import Bundle
from training.luggage.contents import Files
from training.run.state import BEST, LAST, STABLE

STABLE_STEP = 10  # the first step of the decay: 12 steps, the last quarter of them


@pytest.fixture(autouse=True)
def _one_core() -> Iterator[None]:
    with one_core():
        yield


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_chords(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def finished(tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of twelve steps."""
    run = tmp_path_factory.mktemp("run") / "run"
    with one_core():
        assert train.main(arguments(tokens, run, "--steps", "12", "--decay-share", "0.25")) == 0
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def pack(run: Path, tokens: Path, out: Path, *more: str) -> int:
    return travel.main(
        ["pack", "--run", str(run), "--tokens", str(tokens), "--out", str(out), *more]
    )


def unpack(folder: Path, there: Path) -> int:
    return travel.main(
        ["unpack", str(folder), "--run", str(there / "run"), "--tokens", str(there / "tokens")]
    )


def go_on(tokens: Path, run: Path) -> None:
    assert train.main(arguments(tokens, run, "--steps", "18", "--decay-share", "0.25")) == 0


def weights_of(run: Path) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in load_checkpoint(run / LAST).weights.items()}


@pytest.mark.slow
@pytest.mark.parametrize("state", ["finished", "stopped"])
def test_a_run_goes_on_elsewhere_exactly(run: Path, tokens: Path, tmp_path: Path, state: str):
    if state == "stopped":
        shutil.copy(run / STABLE, run / LAST)
    there = tmp_path / "there"

    assert pack(run, tokens, tmp_path / "parts", "--part-mb", "1") == 0
    assert unpack(tmp_path / "parts", there) == 0
    go_on(tokens, run)
    go_on(there / "tokens", there / "run")

    assert load_checkpoint(there / "run" / LAST).progress["step"] == 18
    assert losses(there / "run") == losses(run)
    here = weights_of(run)
    for name, weight in weights_of(there / "run").items():
        np.testing.assert_array_equal(weight, here[name])


def test_parts_are_small_and_few_and_told(
    run: Path, tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert pack(run, tokens, tmp_path / "parts", "--part-mb", "1") == 0

    told = capsys.readouterr().out
    names = sorted(path.name for path in (tmp_path / "parts").iterdir())
    parts = [name for name in names if name.endswith(".part")]
    assert names == [*parts, "travel.json"]
    assert f"packed step {STABLE_STEP} into" in told
    assert 2 <= len([name for name in parts if name.startswith("state")]) <= 8
    for name in parts:
        assert (tmp_path / "parts" / name).stat().st_size <= 1_000_000
        assert name in told


def test_what_is_missing_cut_short_or_damaged_is_named_and_nothing_is_unpacked(
    run: Path, tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    parts = tmp_path / "parts"
    assert pack(run, tokens, parts, "--part-mb", "1") == 0
    cut, damaged = parts / "state-0.part", parts / "state-1.part"
    cut.write_bytes(cut.read_bytes()[:-7])
    content = bytearray(damaged.read_bytes())
    content[100] ^= 1
    damaged.write_bytes(content)
    (parts / "tokens-0.part").unlink()

    assert unpack(parts, tmp_path / "there") == 2

    error = capsys.readouterr().err
    assert "state-0.part has 999,993 bytes instead of 1,000,000" in error
    assert "state-1.part is damaged" in error
    assert "tokens-0.part is missing" in error
    assert error.endswith("bring these parts over again\n")
    assert not (tmp_path / "there").exists()


def test_packing_again_mends_what_is_broken_and_keeps_the_rest(
    run: Path, tokens: Path, tmp_path: Path
):
    parts = tmp_path / "parts"
    assert pack(run, tokens, parts, "--part-mb", "1") == 0
    before = {path.name: path.stat().st_ino for path in parts.glob("*.part")}
    (parts / "state-1.part").write_bytes(b"torn")
    (parts / "state-7.part").write_bytes(b"of an earlier packing")

    assert pack(run, tokens, parts, "--part-mb", "1") == 0

    after = {path.name: path.stat().st_ino for path in parts.glob("*.part")}
    assert set(after) == set(before)
    assert {name for name in after if after[name] != before[name]} == {"state-1.part"}
    assert unpack(parts, tmp_path / "there") == 0


def test_unpacking_again_goes_on_where_it_stopped(run: Path, tokens: Path, tmp_path: Path):
    there = tmp_path / "there"
    assert pack(run, tokens, tmp_path / "parts") == 0
    assert unpack(tmp_path / "parts", there) == 0
    kept = (there / "run" / BEST).stat().st_ino
    (there / "run" / LAST).unlink()
    (there / "tokens" / "shard-00000.bin").write_bytes(b"torn")

    assert unpack(tmp_path / "parts", there) == 0

    assert (there / "run" / BEST).stat().st_ino == kept
    assert (there / "run" / LAST).read_bytes() == (run / STABLE).read_bytes()
    assert len(TokenStore(there / "tokens", "train")) == len(TokenStore(tokens, "train"))


def test_a_run_that_is_further_on_is_not_set_back(
    run: Path, tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert pack(run, tokens, tmp_path / "parts") == 0
    shutil.copytree(run, tmp_path / "there" / "run")

    assert unpack(tmp_path / "parts", tmp_path / "there") == 2

    assert "is at step 12, further than the packed one at step 10" in capsys.readouterr().err


def test_other_token_files_are_not_overwritten(
    run: Path, tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert pack(run, tokens, tmp_path / "parts") == 0
    shutil.copytree(tokens, tmp_path / "there" / "tokens")

    assert unpack(tmp_path / "parts", tmp_path / "there") == 2

    assert "holds other token files" in capsys.readouterr().err


def test_only_the_chosen_splits_travel(run: Path, tokens: Path, tmp_path: Path):
    assert pack(run, tokens, tmp_path / "parts", "--split", "validation", "train") == 0
    assert unpack(tmp_path / "parts", tmp_path / "there") == 0

    for split in ("train", "validation"):
        here, there = TokenStore(tokens, split), TokenStore(tmp_path / "there" / "tokens", split)
        assert [piece.path for piece in there.pieces] == [piece.path for piece in here.pieces]
        for index in range(len(here)):
            np.testing.assert_array_equal(there.tokens(index), here.tokens(index))
    assert not len(TokenStore(tmp_path / "there" / "tokens", "test"))


def test_a_run_that_goes_on_while_it_is_packed_is_packed_as_it_was(
    run: Path, tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write_bundle = travel.write_bundle

    def save_then_write(folder: Path, prefix: str, files: Files, limit: int) -> Bundle:
        shutil.copy(run / BEST, run / "new.pt")
        (run / "new.pt").replace(run / STABLE)
        return write_bundle(folder, prefix, files, limit)

    before = (run / STABLE).read_bytes()
    monkeypatch.setattr(travel, "write_bundle", save_then_write)

    assert pack(run, tokens, tmp_path / "parts") == 0

    assert unpack(tmp_path / "parts", tmp_path / "there") == 0
    assert (tmp_path / "there" / "run" / LAST).read_bytes() == before


@pytest.mark.slow
def test_what_is_too_much_is_refused_and_half_of_it_goes_on(
    run: Path, tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    shutil.copy(run / STABLE, run / LAST)
    small = ("--part-mb", "1", "--parts", "1")

    assert pack(run, tokens, tmp_path / "parts", *small) == 2
    assert "--half takes half the room, and goes on nearly exactly" in capsys.readouterr().err
    assert pack(run, tokens, tmp_path / "parts", *small, "--half") == 0

    assert "best.pt stays here for want of room" in capsys.readouterr().out
    assert unpack(tmp_path / "parts", tmp_path / "there") == 0
    go_on(tokens, run)
    go_on(tmp_path / "there" / "tokens", tmp_path / "there" / "run")
    assert (tmp_path / "there" / "run" / BEST).exists()
    here, there = losses(run), losses(tmp_path / "there" / "run")
    assert there[18] == pytest.approx(here[18], abs=0.001)  # measured 1e-5


@pytest.mark.parametrize("content", ["", "[]", '{"format": 9}', '{"format": 1, "step": 3}'])
def test_damaged_contents_are_named(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "travel.json").write_text(content)

    assert unpack(tmp_path, tmp_path / "there") == 2

    assert "travel.json: is damaged, or not of format 1" in capsys.readouterr().err


def test_a_file_name_that_leads_elsewhere_is_refused(
    run: Path, tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert pack(run, tokens, tmp_path / "parts") == 0
    contents = tmp_path / "parts" / "travel.json"
    changed = json.loads(contents.read_text())
    changed["state"]["files"][0]["name"] = "../elsewhere"
    contents.write_text(json.dumps(changed))

    assert unpack(tmp_path / "parts", tmp_path / "there") == 2

    assert "travel.json: is damaged" in capsys.readouterr().err


def test_a_folder_without_a_run_and_one_without_parts_are_named(
    tokens: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert pack(tmp_path, tokens, tmp_path / "parts") == 2
    assert unpack(tmp_path, tmp_path / "there") == 2

    error = capsys.readouterr().err
    assert "holds no last.pt; name the folder of a run that has saved" in error
    assert "holds no travel.json; bring it over with the parts" in error
