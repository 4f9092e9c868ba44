"""The element-wise work of the model's blocks as few kernels: what lies between its products.

A GPU multiplies faster than its memory moves what norms, rotations and sums read and write, each
one for itself. Attention and what depends on the crops' lengths stay as they are.
"""

from contextlib import AbstractContextManager

import torch

from perceivers.blocks import CrossAttention, SelfAttention
from perceivers.model import PerceiverS

FUSED = (
    (CrossAttention, "queries", False),
    (CrossAttention, "finish", False),
    (CrossAttention, "turned_keys", True),
    (SelfAttention, "queries_keys_values", False),
    (SelfAttention, "finish", False),
)
"""Blocks, their methods, and whether the arguments of one are as long as the prefix: others have
one shape in every step."""


def fuse_blocks(model: PerceiverS) -> None:
    """Compile what is element-wise, when it is first run; the weights stay where they are."""
    for module in model.modules():
        for kind, name, has_many_shapes in FUSED:
            if isinstance(module, kind):
                setattr(module, name, torch.compile(getattr(module, name), dynamic=has_many_shapes))


def unfused() -> AbstractContextManager[object]:
    """Return a context in which all runs as it is written: for what is not worth a compilation."""
    as_written: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return as_written
