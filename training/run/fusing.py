"""The element-wise work of the model's blocks as few kernels: what lies between its products.

A GPU multiplies faster than its memory moves what norms, rotations and sums read and write, each
one for itself. Attention and what depends on the crops' lengths stay as they are.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from perceivers.blocks import CrossAttention, SelfAttention
from perceivers.model import PerceiverS

Methods = Mapping[type[nn.Module], tuple[str, ...]]

OF_ONE_SHAPE: Methods = {
    CrossAttention: ("queries", "finish"),
    SelfAttention: ("queries_keys_values", "finish"),
}
"""Methods whose arguments have one shape in every step."""
OF_MANY_SHAPES: Methods = {CrossAttention: ("turned_keys",)}
"""Methods whose arguments are as long as the prefix."""


def fuse_blocks(model: PerceiverS) -> None:
    """Compile what is element-wise, when it is first run; the weights stay where they are."""
    for module in model.modules():
        for name in OF_ONE_SHAPE.get(type(module), ()):
            setattr(module, name, torch.compile(getattr(module, name), dynamic=False))
        for name in OF_MANY_SHAPES.get(type(module), ()):
            setattr(module, name, torch.compile(getattr(module, name), dynamic=True))


@contextmanager
def unfused() -> Iterator[None]:
    """While open, run everything as it is written: for what is not worth a compilation."""
    with torch.compiler.set_stance("force_eager"):
        yield
