"""What depends on the token alone, as nodes that the runtime computes once, when it opens a graph.

Keys and values of every cross-attention and the first one's query are functions of the token:
tables over the vocabulary. They follow from the weights, so the graph says how instead of holding
them; in float64, as the host computes its own (`perceivers/token_tables.py`). V vocabulary, E
width.
"""

from onnx import TensorProto
from torch import nn

from export.nodes import Nodes
from perceivers.model import CrossAttention, PerceiverS


class Tables:
    """Adds tables in float64; a method returns the name of one, (V, E)."""

    def __init__(self, nodes: Nodes, model: PerceiverS) -> None:
        self._nodes = nodes
        self._model = model
        self._crosses = [cross for cross in model.crosses if isinstance(cross, CrossAttention)]

    @property
    def has_query(self) -> bool:
        """Whether the first query depends on its token alone, not on what is down as well."""
        return not self._model.architecture.knows_keys

    def embedding(self) -> str:
        """Return the embedding itself."""
        return self._nodes.double(self._model.embedding.weight)

    def query(self, scale: float) -> str:
        """Add the first cross-attention's queries times `scale`, before their rotation."""
        first = self._crosses[0]
        plain = self._product("plain_queries", first.norm, first.attention.query)
        factor = self._nodes.scalar("table_query_scale", scale, TensorProto.DOUBLE)
        return self._nodes.add("Mul", [plain, factor], "queries_by_token")

    def keys(self, index: int) -> str:
        """Add the keys of a cross-attention, before their rotation."""
        matrix = self._crosses[index].attention.key
        return self._product(f"cross_{index}_keys_by_token", self._model.context_norm, matrix)

    def values(self, index: int) -> str:
        """Add the values of a cross-attention."""
        matrix = self._crosses[index].attention.value
        return self._product(f"cross_{index}_values_by_token", self._model.context_norm, matrix)

    def _product(self, name: str, norm: nn.LayerNorm, linear: nn.Linear) -> str:
        nodes, normed = self._nodes, f"{self._nodes.parameter(norm.weight)}_normed"
        if not nodes.has(normed):
            inputs = [self.embedding(), nodes.double(norm.weight)]
            nodes.add("LayerNormalization", inputs, normed, axis=-1, epsilon=norm.eps)
        turned = nodes.add("Transpose", [nodes.double(linear.weight)], f"{name}_matrix")
        return nodes.add("MatMul", [normed, turned], name)
