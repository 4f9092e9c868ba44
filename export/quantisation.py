"""Eight-bit weights for the MatMulNBits operator of ONNX Runtime."""

import numpy as np
from numpy.typing import NDArray

BITS = 8
BLOCK = 32
"""Weights along the inputs that share one scale."""
_ZERO = 128  # the operator's zero point when none is given
_LARGEST = 127


def quantise(weight: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return blocks (outputs, inputs / 32, 32) and scales (outputs, inputs / 32) of a matrix.

    A weight is scale * (byte - 128); each block's largest magnitude is met exactly. Inputs that
    are no multiple of 32 are filled up with zeros.
    """
    outputs, inputs = weight.shape
    count = -(-inputs // BLOCK)
    padded = np.zeros((outputs, count * BLOCK), np.float32)
    padded[:, :inputs] = weight
    blocks = padded.reshape(outputs, count, BLOCK)
    scales = np.abs(blocks).max(axis=-1) / _LARGEST
    divisors = np.where(scales > 0, scales, 1)[..., None]
    levels = np.clip(np.rint(blocks / divisors) + _ZERO, 0, 255)
    return levels.astype(np.uint8), scales.astype(np.float32)


def dequantise(blocks: NDArray[np.uint8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the matrix (outputs, padded inputs) that the operator multiplies with."""
    weights = (blocks.astype(np.float32) - _ZERO) * scales[..., None]
    return weights.reshape(len(blocks), -1)
