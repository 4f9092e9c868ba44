"""Which graph runs where; what cannot be had is said in one line, with the next step."""

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from daemon.engine import Engine, nvidia
from daemon.engine.nvidia import compute_capability
from daemon.engine.onnx_bytes import small_model
from daemon.engine.runtime import has_gpu, require_cuda
from export.verify import random_tokens
from perceivers.errors import PerformerError
from perceivers.manifest import MANIFEST_FILE
from tests.support.make_model import TINY

ROOT = Path(__file__).resolve().parents[3]


def refusal(folder: Path, **choices: object) -> str:
    with pytest.raises(PerformerError) as caught:
        Engine.open(folder, **choices)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message


def has_cuda() -> bool:
    try:
        require_cuda()
    except PerformerError:
        return False
    return True


@pytest.fixture
def folder(tiny_model_folder: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "model"
    copy.mkdir()
    for file in tiny_model_folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def test_cuda_asked_for_and_absent_is_one_line_with_the_next_step(tiny_model_folder: Path) -> None:
    if has_cuda():
        pytest.skip("CUDA can be used on this machine, so it is not refused")

    message = refusal(tiny_model_folder, provider="cuda")

    assert message.startswith("CUDA cannot be used: ")
    assert any(step in message for step in ("pip install", "install the driver", "provider cpu"))


@pytest.mark.processes
def test_cuda_asked_for_and_absent_writes_nothing_else(tiny_model_folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from daemon.engine import Engine; "
        "from perceivers.errors import PerformerError\n"
        "try: Engine.open(Path(sys.argv[1]), provider='cuda')\n"
        "except PerformerError: pass"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(tiny_model_folder)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )

    assert (done.stdout, done.stderr) == ("", "")


def test_auto_takes_the_cpu_where_there_is_no_gpu_and_the_log_says_why(
    tiny_model_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if has_cuda():
        pytest.skip("CUDA can be used on this machine, so auto takes it")

    with caplog.at_level("DEBUG"):
        engine = Engine.open(tiny_model_folder)

    assert (engine.provider, engine.precision) == ("CPUExecutionProvider", "int8")
    assert caplog.messages[0].startswith("CUDA cannot be used: ")
    assert caplog.messages[0].endswith(", so the model runs on the CPU")
    assert caplog.records[0].levelname == ("INFO" if has_gpu() else "DEBUG")


def test_where_there_is_a_gpu_it_gives_what_the_cpu_gives(tiny_model_folder: Path) -> None:
    try:
        require_cuda()
    except PerformerError as error:
        pytest.skip(f"no GPU to run on: {error}")
    engine = Engine.open(tiny_model_folder)
    expected = Engine.open(tiny_model_folder, provider="cpu", precision="fp32")
    tokens = random_tokens(TINY, 600).tolist()

    assert (engine.provider, engine.precision) == ("CUDAExecutionProvider", "fp16")
    for start, stop in ((0, 500), (500, 501), (501, 600)):
        difference = engine.feed(tokens[start:stop]) - expected.feed(tokens[start:stop])
        assert abs(difference).max() < 0.05


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_cuda_in_another_precision_is_refused(tiny_model_folder: Path, precision: str) -> None:
    message = refusal(tiny_model_folder, provider="cuda", precision=precision)

    assert f"precision '{precision}' does not run on CUDA" in message
    assert "choose precision fp16 or auto, or provider cpu" in message


def test_cuda_without_its_graph_is_refused(folder: Path) -> None:
    fields = json.loads((folder / MANIFEST_FILE).read_text())
    del fields["graphs"]["fp16"]
    (folder / MANIFEST_FILE).write_text(json.dumps(fields))

    message = refusal(folder, provider="cuda")

    assert "holds no fp16 graph, which CUDA needs; export it again with" in message
    assert Engine.open(folder).provider == "CPUExecutionProvider"


def test_a_graph_for_the_cpu_is_not_run_as_on_a_device(tiny_model_folder: Path) -> None:
    message = refusal(tiny_model_folder, provider="cpu", precision="fp32", on_device=True)

    assert "cross_0_keys is made for a CPU alone; choose precision fp16" in message


def test_no_driver_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "DRIVER", "libno-such-driver.so")

    assert compute_capability() is None


def test_a_small_model_is_one_that_onnx_reads() -> None:
    content = small_model(
        [("Add", ["x", "y"], "z")],
        {"x": ("float16", [1, "N"]), "y": ("float16", [300, "N"])},
        {"z": ("float16", [300, "N"])},
    )

    model = onnx.load_from_string(content)

    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Add"]
    assert model.graph.input[1].type.tensor_type.shape.dim[0].dim_value == 300
    assert model.opset_import[0].version == 18
