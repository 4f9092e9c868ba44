"""A model folder is believed only after every promise in it has been checked."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perceivers.errors import ModelMismatch
from perceivers.graphs import GRAPH_FILES, cache_tensors
from perceivers.manifest import MANIFEST_FILE, read_manifest, write_manifest
from perceivers.vocabulary import fingerprint
from tests.support.make_model import TINY


@pytest.fixture
def folder(tiny_model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))


def change(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / MANIFEST_FILE
    fields = json.loads(path.read_text())
    edit(fields)
    path.write_text(json.dumps(fields))


def refusal(folder: Path) -> str:
    with pytest.raises(ModelMismatch) as caught:
        read_manifest(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def test_a_written_manifest_reads_back_equal(tiny_model_folder: Path, tmp_path: Path) -> None:
    manifest = read_manifest(tiny_model_folder)

    write_manifest(tmp_path, manifest)
    for file in (*manifest.graphs.values(), manifest.weights):
        shutil.copy(tiny_model_folder / file.name, tmp_path)

    assert read_manifest(tmp_path) == manifest
    copied = {path.name for path in tmp_path.iterdir()}
    assert copied == {path.name for path in tiny_model_folder.iterdir()}


def test_a_folder_from_before_scores_were_noted_opens(folder: Path) -> None:
    change(folder, lambda fields: fields.pop("scores"))

    assert read_manifest(folder).scores == {}


def test_the_manifest_says_what_was_exported(tiny_model_folder: Path) -> None:
    manifest = read_manifest(tiny_model_folder)

    assert manifest.architecture == TINY
    assert manifest.vocabulary == fingerprint()
    assert manifest.caches == {name: cache_tensors(TINY, name) for name in GRAPH_FILES}
    assert set(manifest.graphs) == set(manifest.parity) == {"fp32", "int8", "fp16"}
    assert manifest.progress == {"steps": 0}
    assert manifest.scores == {}
    assert (manifest.data, manifest.licence) == ("none: random weights", "none needed")


def test_every_attention_over_rows_has_keys_and_values_of_its_window() -> None:
    caches = cache_tensors(TINY, "fp16")

    assert [cache.window for cache in caches[::2]] == [96, 24, 6, 8, 10, 5]
    assert [cache.kind for cache in caches[::2]] == ["cross"] * 2 + ["self"] * 4
    for keys, values in zip(caches[::2], caches[1::2], strict=True):
        assert keys.name.removesuffix("keys") == values.name.removesuffix("values")
        assert keys.shape == values.shape
        assert keys.shape[2] > keys.window


def test_every_attention_over_blocks_has_room_for_its_window_and_a_run() -> None:
    architecture = replace(TINY, context=32_768, latents=1024, scales=(None, 1024, 24))
    caches = [cache for cache in cache_tensors(architecture, "int8") if cache.layout == "blocks"]

    assert [cache.name for cache in caches] == [f"cross_{index}_keys" for index in range(3)]
    assert [cache.window for cache in caches] == [32_768, 1024, 24]
    for cache in caches:
        blocks, heads, width, tokens = cache.shape
        assert (heads, width) == (TINY.heads, TINY.head_dim)
        assert cache.window + 64 <= blocks * tokens <= 1.05 * cache.window + 64 + tokens


def test_a_missing_folder_is_named_with_the_next_step(tmp_path: Path) -> None:
    message = refusal(tmp_path / "nowhere")

    assert "no such model folder" in message
    assert "export/export_onnx.py" in message


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    assert "holds no manifest.json" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'{"format": 1}'])
def test_a_damaged_or_foreign_manifest_is_refused(folder: Path, content: bytes) -> None:
    (folder / MANIFEST_FILE).write_bytes(content)

    assert MANIFEST_FILE in refusal(folder)


def test_another_vocabulary_is_refused_by_name(folder: Path) -> None:
    change(folder, lambda fields: fields.update(vocabulary="0123456789abcdef"))

    message = refusal(folder)

    assert "'0123456789abcdef'" in message
    assert fingerprint() in message


@pytest.mark.parametrize(
    "field", ["architecture", "vocabulary", "caches", "graphs", "weights", "tensors", "licence"]
)
def test_a_missing_field_is_named(folder: Path, field: str) -> None:
    change(folder, lambda fields: fields.pop(field))

    assert f"lacks '{field}'" in refusal(folder)


def test_a_missing_cache_is_named(folder: Path) -> None:
    change(folder, lambda fields: fields["caches"]["int8"].pop(3))

    assert "int8 lacks the cache self_0_values" in refusal(folder)


def test_a_cache_of_another_window_is_refused(folder: Path) -> None:
    change(folder, lambda fields: fields["caches"]["fp16"][2].update(window=25))

    assert "cross_1_keys of fp16 is cross rows window 25" in refusal(folder)


def test_a_cache_without_room_for_its_window_is_refused(folder: Path) -> None:
    change(folder, lambda fields: fields["caches"]["fp32"][0].update(shape=[1, 2, 32, 64]))

    assert "cross_0_keys" in refusal(folder)


@pytest.mark.parametrize("name", ["model.onnx", "model.int8.onnx", "checkpoint.pt"])
def test_a_truncated_file_is_refused_by_its_size(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-100])

    message = refusal(folder)

    assert f"{name}: {len(content) - 100} bytes instead of {len(content)}" in message


def test_a_changed_byte_is_refused_by_its_hash(folder: Path) -> None:
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)

    assert "model.onnx: its sha256 is not the promised one" in refusal(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "model.int8.onnx").unlink()

    assert "model.int8.onnx: no such file" in refusal(folder)


def test_a_file_outside_the_folder_is_not_opened(folder: Path) -> None:
    change(folder, lambda fields: fields["weights"].update(name="../checkpoint.pt"))

    assert "../checkpoint.pt: no such file" in refusal(folder)


def test_a_folder_of_the_format_before_is_refused_with_the_command_that_exports_it_anew(
    folder: Path,
) -> None:
    change(folder, lambda fields: fields.update(format=2))

    own = f"python export/export_onnx.py {folder / 'checkpoint.pt'} {folder}"
    assert refusal(folder).endswith(f"format 2, this reads format 3; export it again with: {own}")

    (folder / "checkpoint.pt").unlink()

    assert refusal(folder).endswith(f"python export/export_onnx.py CHECKPOINT {folder}")


def test_weights_of_another_model_are_refused(folder: Path) -> None:
    content = bytearray((folder / "checkpoint.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "checkpoint.pt").write_bytes(content)

    message = refusal(folder)

    assert "checkpoint.pt: its sha256 is not the promised one" in message
    assert "another model's file" in message


def test_a_weight_that_would_lie_outside_its_file_is_refused(folder: Path) -> None:
    change(folder, lambda fields: fields["tensors"]["head.weight"].update(offset=10**9))

    assert "head.weight would lie outside checkpoint.pt" in refusal(folder)


@pytest.mark.parametrize("name", ["embedding.weight", "key_embedding.weight"])
def test_a_weight_that_the_host_needs_and_nobody_placed_is_named(folder: Path, name: str) -> None:
    change(folder, lambda fields: fields["tensors"].pop(name))

    assert f"lacks the place of {name}" in refusal(folder)


def test_an_unknown_precision_is_refused(folder: Path) -> None:
    change(folder, lambda fields: fields["graphs"].update(fp4=fields["graphs"]["fp32"]))

    assert "fp4" in refusal(folder)
