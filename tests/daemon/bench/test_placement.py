"""Every node of the half-precision graph runs on the device that it was opened for."""

from pathlib import Path

import pytest

from daemon.bench.measures.placement import nodes_by_provider
from daemon.engine.runtime import CPU, CUDA, require_cuda
from perceivers.errors import PerformerError

ATTENTIONS = 6  # of the tiny model


def test_on_a_cpu_all_nodes_run_there(tiny_model_folder: Path) -> None:
    nodes = nodes_by_provider(tiny_model_folder, CPU, "fp16")

    assert list(nodes) == ["CPUExecutionProvider"]
    assert nodes[CPU.provider]["GroupQueryAttention"] == ATTENTIONS


def test_on_a_gpu_all_nodes_run_there(tiny_model_folder: Path) -> None:
    try:
        require_cuda()
    except PerformerError as error:
        pytest.skip(f"no GPU to run on: {error}")

    nodes = nodes_by_provider(tiny_model_folder, CUDA, "fp16")

    assert list(nodes) == ["CUDAExecutionProvider"]
    assert nodes[CUDA.provider]["GroupQueryAttention"] == ATTENTIONS
