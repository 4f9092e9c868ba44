"""Nodes and weights of an ONNX graph, collected one by one in one precision.

E width, V vocabulary; every method that adds nodes returns the name of their output.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from export.folding import to_array
from export.quantisation import BITS, BLOCK, quantise
from perceivers.manifest import IR_VERSION, CacheTensor, Precision

OPSET = 20
CONTRIB = "com.microsoft"
INTEGER_ACCURACY = 4  # the level that multiplies in integers; exact level 1 is ten times slower


class Nodes:
    """Collects nodes and weights."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self.float_type = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.FLOAT
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, onnx.TensorProto] = {}

    def model(
        self, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]
    ) -> onnx.ModelProto:
        """Return the whole graph."""
        weights = list(self._weights.values())
        graph = helper.make_graph(self._nodes, "perceiver_s", inputs, outputs, weights)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="perceiver-performer"
        )

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node with one output."""
        return self.add_many(op, inputs, [output], **attributes)[0]

    def add_many(
        self, op: str, inputs: list[str], outputs: list[str], **attributes: Any
    ) -> list[str]:
        """Add a node; its name is that of its first output."""
        self._nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0], **attributes))
        return outputs

    def rows(self, cache: CacheTensor, name: str) -> onnx.ValueInfoProto:
        """Return a cache of rows; how many it has beyond its window is the engine's choice."""
        _, heads, _, width = cache.shape
        return self.floats(name, 1, heads, f"{cache.kind}_{cache.window}_capacity", width)

    def floats(self, name: str, *shape: int | str) -> onnx.ValueInfoProto:
        """Return a value in the precision of the graph's activations; names are open sizes."""
        return helper.make_tensor_value_info(name, self.float_type, shape)

    def has(self, output: str) -> bool:
        """Tell whether a node of this output was added."""
        return any(output in node.output for node in self._nodes)

    def weight(self, name: str, array: NDArray[np.float32]) -> str:
        """Add a weight in the precision of the graph's activations."""
        half = self.precision == "fp16"
        return self.constant(name, array.astype(np.float16) if half else array)

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Add an array as it is, once."""
        if name not in self._weights:
            self._weights[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def integers(self, name: str, *values: int) -> str:
        """Add a list of integers: shapes, widths and the like."""
        return self.constant(name, np.array(values, np.int64))

    def norm(self, name: str, norm: nn.LayerNorm, x: str) -> str:
        """Add a layer norm without bias."""
        scale = self.weight(f"{name}_scale", to_array(norm.weight))
        return self.add("LayerNormalization", [x, scale], name, axis=-1, epsilon=norm.eps)

    def matmul(self, name: str, x: str, weight: NDArray[np.float32]) -> str:
        """Add x times the transpose of weight (outputs, inputs), as torch keeps it."""
        if self.precision != "int8":
            return self.add("MatMul", [x, self.weight(f"{name}_matrix", weight.T)], name)
        blocks, scales = quantise(weight)
        quantised = self.constant(f"{name}_blocks", blocks)
        return self.add(
            "MatMulNBits",
            [x, quantised, self.constant(f"{name}_scales", scales)],
            name,
            domain=CONTRIB,
            N=weight.shape[0],
            K=weight.shape[1],
            bits=BITS,
            block_size=BLOCK,
            accuracy_level=INTEGER_ACCURACY,
        )

    def residual(self, name: str, x: str, y: str, linear: nn.Linear) -> str:
        """Add x + linear(y)."""
        return self.add("Add", [x, self.matmul(name, y, to_array(linear.weight))], f"{name}_sum")

    def split(self, x: str, outputs: list[str], widths: list[int]) -> list[str]:
        """Cut x along its last axis."""
        sizes = self.integers(f"{outputs[0]}_widths", *widths)
        return self.add_many("Split", [x, sizes], outputs, axis=-1)

    def rotate(self, x: str, output: str, heads: int) -> str:
        """Turn each head of x (1, T, E) by the first T rows of the angles that the host gives."""
        inputs = [x, self.integers("first_row", 0), "cos", "sin"]
        return self.add("RotaryEmbedding", inputs, output, domain=CONTRIB, num_heads=heads)
