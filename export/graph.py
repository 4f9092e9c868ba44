"""The ONNX graph of PerceiverS: one graph that reads the next T ≥ 1 tokens against its caches.

Built by hand, so that names, shapes and operators are what the engine counts on. Self-attentions
are GroupQueryAttentions whose caches are inputs and, bound to the same memory, outputs: rows are
written in place and nothing is copied. Cross-attentions are made otherwise for a CPU than for a
GPU. T tokens, V vocabulary.
"""

from collections.abc import Mapping
from typing import Protocol

import onnx
from onnx import TensorProto, helper
from torch import nn

from export.block_attention import BlockAttentions
from export.folding import Tables
from export.nodes import Nodes
from export.row_attention import RowAttentions
from perceivers.graphs import CROSS_LAYOUTS, KEYS_INPUT, Precision, cache_tensors
from perceivers.manifest import StoredTensor
from perceivers.model import CrossAttention, FeedForward, PerceiverS, SelfAttention


def build_graph(
    model: PerceiverS, precision: Precision, stored: Mapping[str, StoredTensor]
) -> onnx.ModelProto:
    """Return the graph of a model.

    precision: "fp32"; "int8" has matrices in eight bits, all else in float32; "fp16" has all in
    half precision but the head and the logits.
    stored: where the file of weights beside the graph has each weight of the model.
    """
    return _GraphBuilder(model, precision, stored).build()


class Attentions(Protocol):
    """The attentions of a graph; a method adds nodes and returns the name of their output."""

    query_scale: float
    """What queries are multiplied with before they come."""

    def inputs(self) -> list[onnx.ValueInfoProto]:
        """Return what the graph reads beside its tokens."""

    def look_up(self, tables: Tables) -> tuple[str | None, str]:
        """Add what the tokens alone decide; return the embedding, and the first query if it is."""

    def cross(self, index: int, q: str) -> str:
        """Add the cross-attention of a query (1, T, E), already rotated and scaled."""

    def own(self, name: str, together: str) -> str:
        """Add a self-attention; query, keys and values lie side by side, (1, T, 3 E)."""


class _GraphBuilder:
    """Walks through the model; a method adds nodes and returns the name of their output."""

    def __init__(
        self, model: PerceiverS, precision: Precision, stored: Mapping[str, StoredTensor]
    ) -> None:
        self.model = model
        self.architecture = model.architecture
        self.nodes = Nodes(model, precision, stored)
        self.caches = cache_tensors(self.architecture, precision)
        form = BlockAttentions if CROSS_LAYOUTS[precision] == "blocks" else RowAttentions
        self.attentions: Attentions = form(self.nodes, self.architecture, self.caches)

    def build(self) -> onnx.ModelProto:
        q, x = self.attentions.look_up(Tables(self.nodes, self.model))
        inputs = self.attentions.inputs()
        if self.architecture.knows_keys:
            inputs.append(self.nodes.floats(KEYS_INPUT, 1, "T", self.architecture.dim))
            x = self.nodes.add("Add", [x, KEYS_INPUT], "told")
        for index, cross in enumerate(self.model.crosses):
            x = self._cross(index, cross, x, q if index == 0 else None)
        for index, layer in enumerate(self.model.layers):
            x = self._self_attention(f"self_{index}", layer, x)
        normed = self.nodes.norm("final_norm", self.model.final_norm, x)
        # The head stays float32: it is small, and its error would be the logits' own.
        head = self.nodes.single(self.model.head.weight)
        if self.nodes.precision == "fp16":
            normed = self.nodes.add("Cast", [normed], "final_float32", to=TensorProto.FLOAT)
        turned = self.nodes.add("Transpose", [head], "head")
        self.nodes.add("MatMul", [normed, turned], "logits")
        tokens = helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "T"])
        return self.nodes.model([tokens, *inputs], self._outputs())

    def _outputs(self) -> list[onnx.ValueInfoProto]:
        shape: list[int | str | None] = [1, "T", self.architecture.vocabulary_size]
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)
        rows = (cache for cache in self.caches if cache.layout == "rows")
        return [logits, *(self.nodes.rows(row, f"{row.name}_out") for row in rows)]

    def _cross(self, index: int, cross: nn.Module, x: str, q: str | None) -> str:
        assert isinstance(cross, CrossAttention)
        name = f"cross_{index}"
        if q is None:
            normed = self.nodes.norm(f"{name}_norm", cross.norm, x)
            scale = self.attentions.query_scale
            plain = self.nodes.matmul(
                f"{name}_plain_query", normed, cross.attention.query, scale=scale
            )
            q = self.nodes.rotate(plain, f"{name}_query", self.architecture.heads)
        attended = self.attentions.cross(index, q)
        x = self.nodes.residual(f"{name}_output", x, attended, cross.attention.output)
        return self._feedforward(name, cross.feedforward, x)

    def _self_attention(self, name: str, layer: nn.Module, x: str) -> str:
        assert isinstance(layer, SelfAttention)
        parts = layer.attention
        normed = self.nodes.norm(f"{name}_norm", layer.norm, x)
        together = self.nodes.matmul(
            f"{name}_projected", normed, parts.query, parts.key, parts.value
        )
        attended = self.attentions.own(name, together)
        x = self.nodes.residual(f"{name}_output", x, attended, parts.output)
        return self._feedforward(name, layer.feedforward, x)

    def _feedforward(self, name: str, feedforward: FeedForward, x: str) -> str:
        normed = self.nodes.norm(f"{name}_feedforward_norm", feedforward.norm, x)
        up = self.nodes.matmul(f"{name}_up", normed, feedforward.up)
        hidden = self.nodes.add("Gelu", [up], f"{name}_hidden")
        return self.nodes.residual(f"{name}_down", x, hidden, feedforward.down)
