"""Cross-attentions over blocks of keys, for a CPU: by fewer bytes.

A cross-attention finds of a token only what a table says of it. So its values are never cached:
the attention is added up token by token of the vocabulary, and the few hundred sums meet the
table once. What is left to read are the keys, which lie in blocks, tokens along the last axis,
so that a query meets them in the order of memory. T tokens, E width, H heads, D head width, V
vocabulary, B blocks of R tokens.
"""

from collections.abc import Sequence

from onnx import TensorProto, ValueInfoProto, helper

from export.folding import Tables
from export.nodes import Nodes
from export.row_attention import RowAttentions
from perceivers.architecture import Architecture
from perceivers.graphs import CacheTensor, block_names


class BlockAttentions:
    """Adds cross-attentions over blocks, and self-attentions over rows."""

    def __init__(
        self, nodes: Nodes, architecture: Architecture, caches: Sequence[CacheTensor]
    ) -> None:
        self._nodes = nodes
        self._architecture = architecture
        self._blocks = [cache for cache in caches if cache.layout == "blocks"]
        rows = [cache for cache in caches if cache.layout == "rows"]
        self._rows = RowAttentions(nodes, architecture, rows)
        self.own = self._rows.own
        self.query_scale = architecture.head_dim**-0.5

    def inputs(self) -> list[ValueInfoProto]:
        """Return what the graph reads beside its tokens."""
        found = self._rows.inputs()
        for index, cache in enumerate(self._blocks):
            mask, tokens = block_names(cache)
            _, *block = cache.shape
            found += [
                self._nodes.floats(cache.name, f"B{index}", *block),
                self._nodes.floats(mask, f"B{index}", 1, "T", block[-1]),
                helper.make_tensor_value_info(tokens, TensorProto.INT64, [f"N{index}", 1]),
            ]
        return found

    def look_up(self, tables: Tables) -> tuple[str | None, str]:
        """Add what the tokens alone decide; return the first query and the embedding."""
        nodes, dim, heads = self._nodes, self._architecture.dim, self._architecture.heads
        for index in range(len(self._blocks)):
            self._add_values(index, tables.values(index))
        if not tables.has_query:
            rows = nodes.as_activations(tables.embedding(), "token_rows")
            return None, nodes.add("Gather", [rows, "tokens"], "embedded")
        parts = [tables.query(self.query_scale), tables.embedding()]
        both = nodes.add("Concat", parts, "token_rows_double", axis=1)
        rows = nodes.as_activations(both, "token_rows")
        looked_up = nodes.add("Gather", [rows, "tokens"], "looked_up")
        plain, embedded = nodes.split(looked_up, ["plain_query", "embedded"], [dim, dim])
        return nodes.rotate(plain, "cross_0_query", heads), embedded

    def _add_values(self, index: int, values: str) -> None:
        """Add the table of values (V, E) by heads: (H, V, D)."""
        nodes, name = self._nodes, f"cross_{index}_values"
        shape = nodes.integers(
            "table_by_head", -1, self._architecture.heads, self._architecture.head_dim
        )
        by_head = nodes.add("Reshape", [values, shape], f"{name}_by_head")
        turned = nodes.add("Transpose", [by_head], f"{name}_turned", perm=[1, 0, 2])
        nodes.as_activations(turned, name)

    def cross(self, index: int, q: str) -> str:
        """Add the cross-attention of a query (1, T, E), already rotated and scaled."""
        nodes, heads, name = self._nodes, self._architecture.heads, f"cross_{index}"
        mask, tokens = block_names(self._blocks[index])
        shape = nodes.integers("by_head", 1, -1, heads, self._architecture.head_dim)
        rows = nodes.add("Reshape", [q, shape], f"{name}_rows")
        q = nodes.add("Transpose", [rows], f"{name}_queries", perm=[0, 2, 1, 3])  # (1, H, T, D)
        scores = nodes.add("MatMul", [q, self._blocks[index].name], f"{name}_scores")
        seen = nodes.add("Add", [scores, mask], f"{name}_seen")  # (B, H, T, R)
        abreast = nodes.add("Transpose", [seen], f"{name}_abreast", perm=[1, 2, 0, 3])
        shape = nodes.integers("whole_context", 0, 0, -1)
        together = nodes.add("Reshape", [abreast, shape], f"{name}_together")  # (H, T, B R)
        attention = nodes.add("Softmax", [together], f"{name}_attention", axis=-1)
        by_token = nodes.add("Transpose", [attention], f"{name}_by_token", perm=[2, 0, 1])
        sums = nodes.add(
            "ScatterND", [self._no_sums(), tokens, by_token], f"{name}_sums", reduction="add"
        )
        shares = nodes.add("Transpose", [sums], f"{name}_shares", perm=[1, 2, 0])  # (H, T, V)
        found = nodes.add("MatMul", [shares, f"{name}_values"], f"{name}_found")
        turned = nodes.add("Transpose", [found], f"{name}_turned", perm=[1, 0, 2])
        shape = nodes.integers("side_by_side", 1, -1, self._architecture.dim)
        return nodes.add("Reshape", [turned, shape], f"{name}_attended")

    def _no_sums(self) -> str:
        """Return zeros (V, H, T), to add attention to."""
        if not self._nodes.has("no_sums"):
            sizes = self._architecture.vocabulary_size, self._architecture.heads
            length = self._nodes.add("Shape", ["tokens"], "token_count", start=1)
            of_table = self._nodes.integers("sums_of", *sizes)
            shape = self._nodes.add("Concat", [of_table, length], "sums_shape", axis=0)
            self._nodes.add("ConstantOfShape", [shape], "no_sums")
        return "no_sums"
