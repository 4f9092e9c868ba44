"""What a graph of an exported model is: its precision, its file, and the caches that it reads.

An exporter builds it so, and an engine runs it so. This needs neither torch nor ONNX Runtime.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from perceivers.architecture import Architecture

Precision = Literal["int8", "fp32", "fp16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""On a CPU the first of them that a folder has is the quickest."""
IR_VERSION = 10
"""Of every graph: runtimes refuse what is newer than they are; this one has been read for long."""
GRAPH_FILES: dict[Precision, str] = {
    "fp32": "model.onnx",
    "int8": "model.int8.onnx",
    "fp16": "model.fp16.onnx",
}
"""The graph file of each precision that this format knows."""
KEYS_INPUT = "keys"
"""Graph input (1, T, E) of a model that is told of keys: the sum of the rows of its table."""

Kind = Literal["cross", "self"]
Layout = Literal["rows", "blocks"]
CROSS_LAYOUTS: dict[Precision, Layout] = {"fp32": "blocks", "int8": "blocks", "fp16": "rows"}
"""How the cross-attentions of each graph keep their context: blocks are quickest on a CPU, and
rows are what the attention kernels of a GPU want."""


@dataclass(frozen=True, slots=True)
class CacheTensor:
    """One cache: an input of the graph.

    Rows are also an output, with `_out` behind the name: the graph writes into them. Blocks are
    written by whoever runs the graph, and hold keys only: what a cross-attention finds of a token
    is a row of a table.
    """

    name: str
    kind: Kind
    layout: Layout
    window: int
    """Newest tokens that a token can see, itself included."""
    dtype: str
    shape: tuple[int, int, int, int]
    """Rows: (1, heads, capacity, head width); the capacity is the window and slack behind it.
    Blocks: (most blocks, heads, head width, tokens in a block); the graph reads any number."""


def cache_tensors(
    architecture: Architecture, precision: Precision, layout: Layout | None = None
) -> tuple[CacheTensor, ...]:
    """Return the caches of a graph in the order of its attentions, keys before values.

    layout: of the cross-attentions, if another than the precision's own.
    Raises ModelMismatch for a variant that cannot be played.
    """
    architecture.check_playable()
    dtype = "float16" if precision == "fp16" else "float32"
    heads, width = architecture.heads, architecture.head_dim
    layout = layout or CROSS_LAYOUTS[precision]
    found = []
    for index, window in enumerate(architecture.cross_windows):
        if layout == "blocks":
            blocks, tokens = blocks_of(window)
            shape = (blocks, heads, width, tokens)
            found.append(
                CacheTensor(f"cross_{index}_keys", "cross", "blocks", window, dtype, shape)
            )
        else:
            found += _rows("cross", index, window, dtype, (heads, width))
    for index, window in enumerate(architecture.self_windows):
        found += _rows("self", index, window, dtype, (heads, width))
    return tuple(found)


def _rows(
    kind: Kind, index: int, window: int, dtype: str, heads_width: tuple[int, int]
) -> list[CacheTensor]:
    heads, width = heads_width
    shape = (1, heads, capacity(window), width)
    return [
        CacheTensor(f"{kind}_{index}_{part}", kind, "rows", window, dtype, shape)
        for part in ("keys", "values")
    ]


def length_names(cache: CacheTensor) -> tuple[str, str]:
    """Return the graph inputs that say how full rows are: the last one, and how many.

    Both count the tokens being read. Rows of one kind and window are always equally full.
    """
    return f"{cache.kind}_{cache.window}_last_row", f"{cache.kind}_{cache.window}_rows"


def block_names(cache: CacheTensor) -> tuple[str, str]:
    """Return the graph inputs that belong to blocks of keys: who sees them, and whose they are.

    The first is a mask (B, 1, T, tokens in a block), 0 where the token being read sees a key and
    -inf elsewhere; the second the token of every key, (B * tokens in a block, 1).
    """
    name = cache.name.removesuffix("keys")
    return f"{name}mask", f"{name}tokens"


def capacity(window: int) -> int:
    """Return the rows of a cache: its window, and slack to fill before old rows are moved out.

    Attention costs as much as there are rows, moving costs once per slack: 64 rows are a good
    bargain for a window of 1,024, and a wide window wants a share of its own.
    """
    return window + max(64, window // 32)


def blocks_of(window: int) -> tuple[int, int]:
    """Return how many blocks a cache has, and the tokens in each.

    Attention costs as much as there are blocks, and a step overwrites the oldest token of all: a
    window needs its own length, and what may be read in one run.
    """
    tokens = min(256, max(64, window // 4))
    return -(-capacity(window) // tokens), tokens
