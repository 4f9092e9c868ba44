"""The ONNX graph of PerceiverS: one graph that reads the next T ≥ 1 tokens against its caches.

Built by hand, so that names, shapes and operators are what the engine counts on. Every attention
is a GroupQueryAttention whose cache is an input and, bound to the same memory, an output: rows are
written in place and nothing is copied. T tokens, E width, H heads, D head width, V vocabulary.
"""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from export.folding import fold_tables, to_array
from export.quantisation import BITS, BLOCK, quantise
from perceivers.manifest import Precision, cache_tensors, length_names
from perceivers.model import CrossAttention, FeedForward, PerceiverS, SelfAttention

OPSET = 20
IR_VERSION = 10  # runtimes refuse what is newer than they are; this one has been read for long
CONTRIB = "com.microsoft"
INTEGER_ACCURACY = 4  # the level that multiplies in integers; exact level 1 is ten times slower


def build_graph(model: PerceiverS, precision: Precision) -> onnx.ModelProto:
    """Return the graph of a model.

    precision: "fp32"; "int8" has matrices in eight bits, all else in float32; "fp16" has all in
    half precision but the head and the logits.
    """
    return _GraphBuilder(model, precision).build()


class _GraphBuilder:
    """Collects nodes and weights; a method adds nodes and returns the name of their output."""

    def __init__(self, model: PerceiverS, precision: Precision) -> None:
        self.model = model
        self.architecture = model.architecture
        self.precision = precision
        self.float_type = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.FLOAT
        self.caches = {cache.name: cache for cache in cache_tensors(model.architecture)}
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def build(self) -> onnx.ModelProto:
        q, memories, x = self._look_up()
        crosses = zip(self.model.crosses, memories, strict=True)
        for index, (cross, memory) in enumerate(crosses):
            x = self._cross(f"cross_{index}", cross, x, q if index == 0 else None, memory)
        for index, layer in enumerate(self.model.layers):
            x = self._self_attention(f"self_{index}", layer, x)
        normed = self._norm("final_norm", self.model.final_norm, x)
        # The head stays float32: it is small, and its error would be the logits' own.
        table = self._whole_weight("head", to_array(self.model.head.weight).T)
        if self.precision == "fp16":
            normed = self._add("Cast", [normed], "final_float32", to=TensorProto.FLOAT)
        self._add("MatMul", [normed, table], "logits")
        graph = helper.make_graph(
            self.nodes, "perceiver_s", self._inputs(), self._outputs(), self.weights
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="perceiver-performer"
        )

    def _inputs(self) -> list[onnx.ValueInfoProto]:
        half = self.architecture.head_dim // 2
        lengths = dict.fromkeys(
            name for cache in self.caches.values() for name in length_names(cache)
        )
        return [
            helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "T"]),
            helper.make_tensor_value_info("cos", self.float_type, ["T", half]),
            helper.make_tensor_value_info("sin", self.float_type, ["T", half]),
            *(helper.make_tensor_value_info(name, TensorProto.INT32, [1]) for name in lengths),
            *self._cache_values(""),
        ]

    def _outputs(self) -> list[onnx.ValueInfoProto]:
        shape: list[int | str | None] = [1, "T", self.architecture.vocabulary_size]
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)
        return [logits, *self._cache_values("_out")]

    def _cache_values(self, suffix: str) -> list[onnx.ValueInfoProto]:
        """Return the caches; how many rows they have beyond their window is the engine's choice."""
        return [
            helper.make_tensor_value_info(
                cache.name + suffix,
                self.float_type,
                [1, cache.shape[1], f"{cache.kind}_{cache.window}_capacity", cache.shape[3]],
            )
            for cache in self.caches.values()
        ]

    def _look_up(self) -> tuple[str, list[tuple[str, str]], str]:
        """Return the first query, keys and values of every cross-attention, and the embedding."""
        dim, scales = self.architecture.dim, len(self.architecture.scales)
        rows = self._weight("token_rows", fold_tables(self.model).token_rows())
        looked_up = self._add("Gather", [rows, "tokens"], "looked_up")
        rotated = (1 + scales) * dim
        values = [f"cross_{index}_new_values" for index in range(scales)]
        unrotated, *_ = self._split(
            looked_up, ["unrotated", *values, "embedded"], [rotated] + [dim] * (scales + 1)
        )
        turned = self._rotate(unrotated, "turned", (1 + scales) * self.architecture.heads)
        keys = [f"cross_{index}_new_keys" for index in range(scales)]
        q, *_ = self._split(turned, ["cross_0_query", *keys], [dim] * (1 + scales))
        return q, list(zip(keys, values, strict=True)), "embedded"

    def _cross(
        self, name: str, cross: nn.Module, x: str, q: str | None, memory: tuple[str, str]
    ) -> str:
        assert isinstance(cross, CrossAttention)
        if q is None:
            normed = self._norm(f"{name}_norm", cross.norm, x)
            weight = to_array(cross.attention.query.weight)
            plain = self._matmul(f"{name}_plain_query", normed, weight)
            q = self._rotate(plain, f"{name}_query", self.architecture.heads)
        attended = self._attend(name, q, *memory)
        x = self._residual(f"{name}_output", x, attended, cross.attention.output)
        return self._feedforward(name, cross.feedforward, x)

    def _self_attention(self, name: str, layer: nn.Module, x: str) -> str:
        assert isinstance(layer, SelfAttention)
        dim, parts = self.architecture.dim, layer.attention
        matrices = [to_array(part.weight) for part in (parts.query, parts.key, parts.value)]
        normed = self._norm(f"{name}_norm", layer.norm, x)
        together = self._matmul(f"{name}_projected", normed, np.concatenate(matrices))
        plain, v = self._split(together, [f"{name}_plain", f"{name}_new_values"], [2 * dim, dim])
        turned = self._rotate(plain, f"{name}_turned", 2 * self.architecture.heads)
        q, k = self._split(turned, [f"{name}_query", f"{name}_new_keys"], [dim, dim])
        x = self._residual(f"{name}_output", x, self._attend(name, q, k, v), parts.output)
        return self._feedforward(name, layer.feedforward, x)

    def _feedforward(self, name: str, feedforward: FeedForward, x: str) -> str:
        normed = self._norm(f"{name}_feedforward_norm", feedforward.norm, x)
        up = self._matmul(f"{name}_up", normed, to_array(feedforward.up.weight))
        hidden = self._add("Gelu", [up], f"{name}_hidden")
        return self._residual(f"{name}_down", x, hidden, feedforward.down)

    def _residual(self, name: str, x: str, y: str, linear: nn.Linear) -> str:
        """Return x + linear(y)."""
        return self._add("Add", [x, self._matmul(name, y, to_array(linear.weight))], f"{name}_sum")

    def _attend(self, name: str, q: str, k: str, v: str) -> str:
        keys, values = self.caches[f"{name}_keys"], self.caches[f"{name}_values"]
        return self._add(
            "GroupQueryAttention",
            [q, k, v, keys.name, values.name, *length_names(keys)],
            [f"{name}_attended", f"{keys.name}_out", f"{values.name}_out"],
            domain=CONTRIB,
            num_heads=self.architecture.heads,
            kv_num_heads=self.architecture.heads,
            local_window_size=keys.window,
            do_rotary=0,
        )

    def _rotate(self, x: str, output: str, heads: int) -> str:
        """Turn each head of x by the angles that the host computed for these T positions."""
        first = self._whole_weight("first_row", np.zeros(1, np.int64))
        inputs = [x, first, "cos", "sin"]
        return self._add("RotaryEmbedding", inputs, output, domain=CONTRIB, num_heads=heads)

    def _norm(self, name: str, norm: nn.LayerNorm, x: str) -> str:
        scale = self._weight(f"{name}_scale", to_array(norm.weight))
        return self._add("LayerNormalization", [x, scale], name, axis=-1, epsilon=norm.eps)

    def _matmul(self, name: str, x: str, weight: NDArray[np.float32]) -> str:
        """Return x times the transpose of weight (outputs, inputs), as torch keeps it."""
        if self.precision != "int8":
            return self._add("MatMul", [x, self._weight(f"{name}_matrix", weight.T)], name)
        blocks, scales = quantise(weight)
        return self._add(
            "MatMulNBits",
            [
                x,
                self._whole_weight(f"{name}_blocks", blocks),
                self._whole_weight(f"{name}_scales", scales),
            ],
            name,
            domain=CONTRIB,
            N=weight.shape[0],
            K=weight.shape[1],
            bits=BITS,
            block_size=BLOCK,
            accuracy_level=INTEGER_ACCURACY,
        )

    def _split(self, x: str, outputs: list[str], widths: list[int]) -> list[str]:
        sizes = self._whole_weight(f"{outputs[0]}_widths", np.array(widths, np.int64))
        self._add("Split", [x, sizes], outputs, axis=-1)
        return outputs

    def _weight(self, name: str, array: NDArray[np.float32]) -> str:
        """Add a weight in the precision of the graph's activations."""
        half = self.precision == "fp16"
        return self._whole_weight(name, array.astype(np.float16) if half else array)

    def _whole_weight(self, name: str, array: NDArray[Any]) -> str:
        """Add a weight as it is."""
        if all(weight.name != name for weight in self.weights):
            self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _add(self, op: str, inputs: list[str], outputs: str | list[str], **attributes: Any) -> str:
        names = [outputs] if isinstance(outputs, str) else outputs
        self.nodes.append(helper.make_node(op, inputs, names, name=names[0], **attributes))
        return names[0]
