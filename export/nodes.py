"""Nodes and weights of an ONNX graph, collected one by one in one precision.

Weights stay where the checkpoint has them, in half precision: the graph says where, and casts and
turns them by nodes that the runtime computes once, when it opens the graph. T tokens, E width;
every method that adds nodes returns the name of their output.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from export.quantisation import BITS, BLOCK, quantise
from perceivers.graphs import IR_VERSION, CacheTensor, Precision
from perceivers.manifest import WEIGHTS_FILE, StoredTensor

OPSET = 20
CONTRIB = "com.microsoft"
INTEGER_ACCURACY = 4  # the level that multiplies in integers; exact level 1 is ten times slower


class Nodes:
    """Collects nodes and weights."""

    def __init__(
        self, model: nn.Module, precision: Precision, stored: Mapping[str, StoredTensor]
    ) -> None:
        """Begin an empty graph.

        stored: where the weights of the model lie beside the graph, by their names.
        """
        self.precision = precision
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._stored = stored
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

    def parameter(self, parameter: Tensor) -> str:
        """Add a weight of the model, in half precision, as it lies in the checkpoint."""
        name = self._names[id(parameter)]
        if name not in self._weights:
            place = self._stored[name]
            tensor = TensorProto(
                name=name,
                data_type=TensorProto.FLOAT16,
                dims=place.shape,
                data_location=TensorProto.EXTERNAL,
            )
            told = {"location": WEIGHTS_FILE, "offset": place.offset, "length": place.bytes}
            for key, value in told.items():
                tensor.external_data.add(key=key, value=str(value))
            self._weights[name] = tensor
        return name

    def weight(self, parameter: Tensor) -> str:
        """Add a weight of the model in the precision of the graph's activations."""
        return self._as_type(parameter, self.float_type)

    def single(self, parameter: Tensor) -> str:
        """Add a weight of the model in float32."""
        return self._as_type(parameter, TensorProto.FLOAT)

    def double(self, parameter: Tensor) -> str:
        """Add a weight of the model in float64."""
        return self._as_type(parameter, TensorProto.DOUBLE)

    def _as_type(self, parameter: Tensor, to: int) -> str:
        name = self.parameter(parameter)
        if to == TensorProto.FLOAT16:
            return name
        cast = f"{name}_as_{TensorProto.DataType.Name(to).lower()}"
        return cast if self.has(cast) else self.add("Cast", [name], cast, to=to)

    def as_activations(self, x: str, output: str) -> str:
        """Cast to the precision of the graph's activations."""
        return self.add("Cast", [x], output, to=self.float_type)

    def scalar(self, name: str, value: float, to: int) -> str:
        """Add one number of a type."""
        return self.constant(name, np.array(value, helper.tensor_dtype_to_np_dtype(to)))

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
        inputs = [x, self.weight(norm.weight)]
        return self.add("LayerNormalization", inputs, name, axis=-1, epsilon=norm.eps)

    def matmul(self, name: str, x: str, *linears: nn.Linear, scale: float = 1.0) -> str:
        """Add what linear maps make of x, side by side, times `scale`."""
        weights = [linear.weight for linear in linears]
        if self.precision == "int8":
            together = np.concatenate([to_array(weight) for weight in weights])
            return self._quantised_matmul(name, x, np.float32(scale) * together)
        parts = [self.weight(weight) for weight in weights]
        matrix = parts[0]
        if len(parts) > 1:
            matrix = self.add("Concat", parts, f"{name}_together", axis=0)
        if scale != 1.0:
            factor = self.scalar(f"{name}_scale", scale, self.float_type)
            matrix = self.add("Mul", [matrix, factor], f"{name}_scaled")
        turned = self.add("Transpose", [matrix], f"{name}_matrix")
        return self.add("MatMul", [x, turned], name)

    def _quantised_matmul(self, name: str, x: str, weight: NDArray[np.float32]) -> str:
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
        return self.add("Add", [x, self.matmul(name, y, linear)], f"{name}_sum")

    def split(self, x: str, outputs: list[str], widths: list[int]) -> list[str]:
        """Cut x along its last axis."""
        sizes = self.integers(f"{outputs[0]}_widths", *widths)
        return self.add_many("Split", [x, sizes], outputs, axis=-1)

    def rotate(self, x: str, output: str, heads: int) -> str:
        """Turn each head of x (1, T, E) by the first T rows of the angles that the host gives."""
        inputs = [x, self.integers("first_row", 0), "cos", "sin"]
        return self.add("RotaryEmbedding", inputs, output, domain=CONTRIB, num_heads=heads)


def to_array(tensor: Tensor) -> NDArray[np.float32]:
    """Return a float32 array of a tensor's values."""
    array: NDArray[np.float32] = tensor.detach().to("cpu", torch.float32).contiguous().numpy()
    return array
