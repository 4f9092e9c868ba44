"""Attentions over rows of keys and values, each one operator that writes its own new rows.

Self-attentions are made so in every graph, cross-attentions in those for a GPU, where it is the
one attention with a cache in place that runs as a single kernel. T tokens, E width, H heads, D
head width, V vocabulary.
"""

from collections.abc import Sequence

from onnx import TensorProto, ValueInfoProto, helper

from export.folding import Tables
from export.nodes import CONTRIB, Nodes
from perceivers.architecture import Architecture
from perceivers.graphs import CacheTensor, length_names


class RowAttentions:
    """Adds attentions; a method returns the name of their output."""

    query_scale = 1.0  # the operator divides by the root of D

    def __init__(
        self, nodes: Nodes, architecture: Architecture, caches: Sequence[CacheTensor]
    ) -> None:
        self._nodes = nodes
        self._architecture = architecture
        self._caches = {cache.name: cache for cache in caches}
        self._memories: list[tuple[str, str]] = []  # keys and values of each cross-attention

    def inputs(self) -> list[ValueInfoProto]:
        """Return what the graph reads beside its tokens."""
        half = self._architecture.head_dim // 2
        lengths = dict.fromkeys(
            name for cache in self._caches.values() for name in length_names(cache)
        )
        return [
            *(self._nodes.floats(name, "T", half) for name in ("cos", "sin")),
            *(helper.make_tensor_value_info(name, TensorProto.INT32, [1]) for name in lengths),
            *(self._nodes.rows(cache, cache.name) for cache in self._caches.values()),
        ]

    def look_up(self, tables: Tables) -> tuple[str | None, str]:
        """Add what the tokens alone decide; return the first query and the embedding."""
        dim, scales = self._architecture.dim, len(self._architecture.scales)
        queries = ["cross_0_query"] if tables.has_query else []
        parts = [tables.query(self.query_scale) for _ in queries]
        parts += map(tables.keys, range(scales))
        parts += map(tables.values, range(scales))
        both = self._nodes.add("Concat", [*parts, tables.embedding()], "token_rows_double", axis=1)
        rows = self._nodes.as_activations(both, "token_rows")
        looked_up = self._nodes.add("Gather", [rows, "tokens"], "looked_up")
        turning = len(queries) + scales
        values = [f"cross_{index}_new_values" for index in range(scales)]
        unrotated, *_ = self._nodes.split(
            looked_up, ["unrotated", *values, "embedded"], [turning * dim] + [dim] * (scales + 1)
        )
        turned = self._nodes.rotate(unrotated, "turned", turning * self._architecture.heads)
        keys = [f"cross_{index}_new_keys" for index in range(scales)]
        self._nodes.split(turned, [*queries, *keys], [dim] * turning)
        self._memories = list(zip(keys, values, strict=True))
        return (queries[0] if queries else None), "embedded"

    def cross(self, index: int, q: str) -> str:
        """Add the cross-attention of a query (1, T, E), already rotated."""
        return self._attend(f"cross_{index}", q, *self._memories[index])

    def own(self, name: str, together: str) -> str:
        """Add a self-attention; query, keys and values lie side by side, (1, T, 3 E)."""
        dim, heads = self._architecture.dim, self._architecture.heads
        plain, v = self._nodes.split(
            together, [f"{name}_plain", f"{name}_new_values"], [2 * dim, dim]
        )
        turned = self._nodes.rotate(plain, f"{name}_turned", 2 * heads)
        q, k = self._nodes.split(turned, [f"{name}_query", f"{name}_new_keys"], [dim, dim])
        return self._attend(name, q, k, v)

    def _attend(self, name: str, q: str, k: str, v: str) -> str:
        keys, values = self._caches[f"{name}_keys"], self._caches[f"{name}_values"]
        attended, *_ = self._nodes.add_many(
            "GroupQueryAttention",
            [q, k, v, keys.name, values.name, *length_names(keys)],
            [f"{name}_attended", f"{keys.name}_out", f"{values.name}_out"],
            domain=CONTRIB,
            num_heads=self._architecture.heads,
            kv_num_heads=self._architecture.heads,
            local_window_size=keys.window,
            do_rotary=0,
        )
        return attended
