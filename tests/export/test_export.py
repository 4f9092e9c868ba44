"""An export is complete and true to its checkpoint, or it is not there."""

import json
import re
from dataclasses import astuple
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

from daemon.engine import Engine
from daemon.engine.caches.set import host_caches
from daemon.engine.graph_opening import open_graph
from daemon.engine.runtime import CPU
from export import export_onnx, verify
from export.graph import build_graph
from export.quantisation import BLOCK, dequantise, quantise
from export.weights_file import locate
from perceivers.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from perceivers.errors import ModelMismatch
from perceivers.graphs import GRAPH_FILES, IR_VERSION
from perceivers.manifest import Parity, StoredTensor, describe_file, read_manifest
from perceivers.parity import compare
from tests.support.make_model import TINY, make_checkpoint, make_model
from training.models.presets import PRESETS

EIGHT_BITS = (TensorProto.UINT8, TensorProto.FLOAT)  # of blocks, and of their scales

FILES = ["checkpoint.pt", "manifest.json", "model.fp16.onnx", "model.int8.onnx", "model.onnx"]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    """Small matrices gain nothing from threads, and lose much on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return make_checkpoint(tmp_path / "model.pt")


def spoil(path: Path, factor: float) -> None:
    """Scale the head of a checkpoint."""
    content = load_checkpoint(path)
    content.weights["head.weight"] *= factor
    save_checkpoint(path, content)


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.processes
def test_the_script_writes_a_folder_and_tells_how_true_it_is(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "deep" / "tiny"

    code = export_onnx.main([str(checkpoint), str(folder), "--data", "dice", "--licence", "CC0"])

    manifest = read_manifest(folder)
    told = capsys.readouterr().out
    assert code == 0
    assert listing(folder) == FILES
    assert listing(folder.parent) == ["tiny"]
    assert "fp32 in chunks of 64: max |difference|" in told
    assert (manifest.data, manifest.licence) == ("dice", "CC0")
    assert manifest.checkpoint_sha256 == describe_file(checkpoint).sha256
    assert manifest.parity["fp32"].max_difference <= 1e-4
    assert 0 < manifest.parity["int8"].kl_nats < 0.01


@pytest.mark.processes
def test_the_folder_holds_the_weights_in_half_precision_to_train_on_from(
    checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "tiny"
    content = load_checkpoint(checkpoint)
    content.progress.update(data="dice", licence="CC0")
    save_checkpoint(checkpoint, content)

    manifest = export_onnx.export(checkpoint, folder, quiet=True)

    half = load_checkpoint(folder / "checkpoint.pt")
    assert manifest.weights == describe_file(folder / "checkpoint.pt")
    assert (manifest.data, manifest.licence) == ("dice", "CC0")
    assert half.architecture == content.architecture
    assert half.resume == {}
    for name, weight in half.weights.items():
        assert weight.dtype == torch.float16
        torch.testing.assert_close(weight.float(), content.weights[name], rtol=1e-3, atol=1e-6)


@pytest.mark.processes
def test_weights_stand_once_and_graphs_read_them_in_the_checkpoint(
    checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "tiny"

    manifest = export_onnx.export(checkpoint, folder, quiet=True)

    content = (folder / "checkpoint.pt").read_bytes()
    weights = load_checkpoint(folder / "checkpoint.pt").weights
    assert set(manifest.tensors) == set(weights)
    for name, place in manifest.tensors.items():
        stored = content[place.offset : place.offset + place.bytes]
        assert stored == weights[name].numpy().tobytes()
        assert place.shape == tuple(weights[name].shape)
    for file in manifest.graphs.values():
        for tensor in onnx.load(folder / file.name, load_external_data=False).graph.initializer:
            if tensor.name in weights:
                told = {entry.key: entry.value for entry in tensor.external_data}
                place = manifest.tensors[tensor.name]
                assert told["location"] == "checkpoint.pt"
                assert (int(told["offset"]), int(told["length"])) == (place.offset, place.bytes)
            else:
                assert tensor.data_type in EIGHT_BITS or len(tensor.raw_data) <= 64


@pytest.mark.processes
def test_what_half_precision_does_to_a_checkpoint_is_told(checkpoint: Path, tmp_path: Path) -> None:
    spoil(checkpoint, 1.0001)  # a weight is then no number of half precision
    manifest = export_onnx.export(checkpoint, tmp_path / "tiny", quiet=True)
    again = export_onnx.export(tmp_path / "tiny" / "checkpoint.pt", tmp_path / "twin", quiet=True)

    assert manifest.rounding is not None
    assert 1e-5 < manifest.rounding.max_difference < 0.1
    assert 0 < manifest.rounding.kl_nats < 1e-5
    assert again.rounding is None
    assert again.weights == manifest.weights  # the same file
    assert again.parity == manifest.parity


@pytest.mark.parametrize(("preset", "most_mb"), [("small", 25), ("base", 110)])
def test_a_folder_stays_within_its_room(preset: str, most_mb: int, tmp_path: Path) -> None:
    model = make_model(PRESETS[preset])
    stored = Checkpoint(model.architecture, model.state_dict(), {}, {}).in_half_precision()
    save_checkpoint(tmp_path / "checkpoint.pt", stored)
    places = locate(tmp_path / "checkpoint.pt", stored.weights)

    for precision, name in GRAPH_FILES.items():
        onnx.save(build_graph(model, precision, places), tmp_path / name)

    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < most_mb * 1e6


def test_a_file_that_does_not_hold_the_weights_byte_by_byte_is_refused(checkpoint: Path) -> None:
    weights = load_checkpoint(checkpoint).in_half_precision().weights

    with pytest.raises(ModelMismatch, match=r"did not save embedding\.weight byte by byte"):
        locate(checkpoint, weights)  # which is in float32


@pytest.mark.processes
def test_an_older_folder_is_replaced_whole(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    export_onnx.export(checkpoint, folder, quiet=True)
    (folder / "left-over").touch()
    make_checkpoint(checkpoint, seed=1)

    export_onnx.export(checkpoint, folder, quiet=True)

    assert listing(folder) == FILES
    assert read_manifest(folder).checkpoint_sha256 == describe_file(checkpoint).sha256
    assert listing(tmp_path) == ["model.pt", "tiny"]


@pytest.mark.processes
@pytest.mark.parametrize("factor", [float("nan"), 1e4])
def test_a_graph_that_differs_is_refused_and_the_old_folder_stays(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], factor: float
) -> None:
    folder = tmp_path / "tiny"
    before = export_onnx.export(checkpoint, folder, quiet=True)
    spoil(checkpoint, factor)

    code = export_onnx.main([str(checkpoint), str(folder)])

    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("error: the float32 graph differs from its weights by")
    assert error.count("\n") == 1
    assert read_manifest(folder) == before
    assert listing(tmp_path) == ["model.pt", "tiny"]


def test_a_folder_that_is_no_model_is_never_replaced(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song.mid").touch()

    code = export_onnx.main([str(checkpoint), str(tmp_path / "music")])

    assert code == 2
    assert "exists and is no model folder" in capsys.readouterr().err
    assert listing(tmp_path / "music") == ["song.mid"]


def test_a_missing_checkpoint_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = export_onnx.main([str(tmp_path / "none.pt"), str(tmp_path / "out")])

    assert code == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'none.pt'}: no such checkpoint\n"
    assert listing(tmp_path) == []


@pytest.mark.processes
def test_verifying_prints_a_row_for_each_chunk_and_part_of_the_context(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(checkpoint, 1.0001)
    export_onnx.export(checkpoint, tmp_path / "tiny", quiet=True)

    code = verify.main([str(tmp_path / "tiny"), str(checkpoint)])

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0].startswith("weights in half precision against the checkpoint's own: max")
    rows = lines[3:-7]
    assert len(rows) == len(verify.CHUNKS) * 3  # below N, N to M, beyond M
    for row in rows:
        *_, torch_step, fp32, int8, fp16 = row.split()
        assert max(float(torch_step), float(fp32)) <= 1e-4 < float(fp16) < float(int8)
    figures = r"max \|difference\| ([\d.e-]+), mean ([\d.e-]+), KL ([\d.e-]+) nats$"
    for found, stated in zip(lines[-7:-1:2], lines[-6:-1:2], strict=True):
        now = re.match(r"(?:fp32|int8|fp16): " + figures, found)
        then = re.match("  stated in the manifest: " + figures, stated)
        assert now is not None
        assert then is not None
        for ours, theirs in zip(now.groups(), then.groups(), strict=True):
            assert float(ours) == pytest.approx(float(theirs), rel=0.5)  # other chunks, other bits


def test_of_several_figures_the_worst_of_each_is_stated_and_none_hides_what_is_no_number() -> None:
    near, far = Parity(0.5, 0.1, 0.01, 10), Parity(0.4, 0.2, 0.02, 20)
    broken = compare(np.zeros((2, 3), np.float32), np.full((2, 3), np.nan, np.float32))

    worst = verify.worst_of(verify.worst_of(None, near), far)

    assert worst == Parity(0.5, 0.2, 0.02, 30)
    for one, other in ((worst, broken), (broken, worst)):
        figures = astuple(verify.worst_of(one, other))[:3]
        assert np.isnan(figures).all()


@pytest.mark.processes
def test_verifying_against_another_checkpoint_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export_onnx.export(checkpoint, tmp_path / "tiny", quiet=True)
    other = make_checkpoint(tmp_path / "other.pt", seed=1)

    code = verify.main([str(tmp_path / "tiny"), str(other)])

    assert code == 2
    assert "not made from" in capsys.readouterr().err


@pytest.mark.processes
def test_a_folder_is_verified_against_its_own_weights_as_well(
    checkpoint: Path, tmp_path: Path
) -> None:
    export_onnx.export(checkpoint, tmp_path / "tiny", quiet=True)

    assert verify.main([str(tmp_path / "tiny"), str(tmp_path / "tiny" / "checkpoint.pt")]) == 0


@pytest.mark.parametrize("precision", ["fp32", "int8", "fp16"])
def test_the_graph_is_well_formed_and_of_an_old_enough_version(precision: str) -> None:
    model = make_model()
    places = {
        name: StoredTensor(0, tuple(weight.shape)) for name, weight in model.named_parameters()
    }
    graph = build_graph(model, precision, places)  # type: ignore[arg-type]

    operators = [node.op_type for node in graph.graph.node if is_of_a_step(graph, node)]
    attentions = len(TINY.windows) + (len(TINY.scales) if precision == "fp16" else 0)
    assert graph.ir_version == IR_VERSION == 10
    assert [(opset.domain, opset.version) for opset in graph.opset_import] == [
        ("", 20),
        ("com.microsoft", 1),
    ]
    assert operators.count("GroupQueryAttention") == attentions
    assert operators.count("Gather") == 1
    assert operators.count("ScatterND") == (0 if precision == "fp16" else len(TINY.scales))
    if precision == "int8":
        assert operators.count("MatMul") == 1 + 2 * len(TINY.scales)  # the rest is in eight bits
    written = {name for node in graph.graph.node for name in node.output}
    given = {tensor.name for tensor in (*graph.graph.input, *graph.graph.initializer)}
    assert {name for node in graph.graph.node for name in node.input} <= written | given
    assert {tensor.name for tensor in graph.graph.output} <= written


def is_of_a_step(graph: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    """Tell whether a node depends on what a step reads, not on weights alone."""
    depending = {tensor.name for tensor in graph.graph.input}
    for each in graph.graph.node:
        if depending & set(each.input):
            depending |= set(each.output)
    return node.output[0] in depending


@pytest.mark.parametrize("precision", ["fp32", "int8", "fp16"])
def test_what_follows_from_weights_alone_is_computed_when_the_graph_is_opened(
    tiny_model_folder: Path, tmp_path: Path, precision: str
) -> None:
    graph = onnx.load(tiny_model_folder / GRAPH_FILES[precision], load_external_data=False)  # type: ignore[index]
    onnx.checker.check_model(str(tiny_model_folder / GRAPH_FILES[precision]))  # type: ignore[index]
    once = {node.name for node in graph.graph.node if not is_of_a_step(graph, node)}

    manifest = read_manifest(tiny_model_folder)
    opened = open_graph(tiny_model_folder, manifest, CPU, precision, profile=tmp_path / "run")
    Engine(manifest, opened, host_caches(tiny_model_folder, manifest, opened, 0, 64)).feed([0])
    events = json.loads(Path(opened.session.end_profiling()).read_bytes())
    run = {event["name"].removesuffix("_kernel_time") for event in events}

    assert {"self_0_norm", "logits"} <= run
    assert {"head", "cross_0_values_by_token"} <= once
    assert not once & run


@pytest.mark.parametrize("shape", [(3, 32), (5, 96), (4, 40)])
def test_a_quantised_weight_is_off_by_half_a_step_at_most(shape: tuple[int, int]) -> None:
    weight = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    blocks, scales = quantise(weight)

    restored = dequantise(blocks, scales)[:, : shape[1]]
    half_step = np.repeat(scales, BLOCK, axis=1)[:, : shape[1]] / 2
    assert blocks.dtype == np.uint8
    assert blocks.shape == (shape[0], -(-shape[1] // BLOCK), BLOCK)
    assert (np.abs(restored - weight) <= half_step * 1.001).all()


def test_a_block_of_zeros_stays_zero() -> None:
    blocks, scales = quantise(np.zeros((2, 64), np.float32))

    assert not dequantise(blocks, scales).any()
    assert np.isfinite(scales).all()
