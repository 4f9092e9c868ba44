"""Small ONNX graphs as bytes: whoever plays has no onnx package, and needs two nodes of it.

Fields and numbers are those of onnx.proto: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import DTypeLike

from perceivers.graphs import IR_VERSION

OPSET = 18  # CUDA has Pad of the next ones only in newer runtimes
ELEMENT_TYPES = {"float32": 1, "int64": 7, "float16": 10}

Shape = Sequence[int | str]
Tensors = Mapping[str, tuple[DTypeLike, Shape]]
Node = tuple[str, Sequence[str], str]
"""Operator, inputs and output."""


def small_model(nodes: Sequence[Node], inputs: Tensors, outputs: Tensors) -> bytes:
    """Return a model without weights, as `onnx.save` would write it."""
    parts = [_message(1, *_node(*node)) for node in nodes]
    parts.append(_text(2, "small"))
    parts += [_message(11, *_tensor(name, *tensor)) for name, tensor in inputs.items()]
    parts += [_message(12, *_tensor(name, *tensor)) for name, tensor in outputs.items()]
    return _number(1, IR_VERSION) + _message(7, *parts) + _message(8, _number(2, OPSET))


def _node(operator: str, inputs: Sequence[str], output: str) -> list[bytes]:
    return [*(_text(1, name) for name in inputs), _text(2, output), _text(4, operator)]


def _tensor(name: str, dtype: DTypeLike, shape: Shape) -> list[bytes]:
    sizes = [_text(2, size) if isinstance(size, str) else _number(1, size) for size in shape]
    dimensions = _message(2, *(_message(1, size) for size in sizes))
    element = _number(1, ELEMENT_TYPES[np.dtype(dtype).name])
    return [_text(1, name), _message(2, _message(1, element, dimensions))]


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())


def _message(field: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Encode seven bits a byte, the lowest first; all but the last have their top bit set."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])
