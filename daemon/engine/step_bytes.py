"""What one step of a model reads from memory, which on a CPU decides how long it takes."""

import math

from perceivers.architecture import Architecture
from perceivers.manifest import KEYS_TABLE, Manifest

BYTES_OF_A_WEIGHT = {"fp32": 4.0, "fp16": 2.0, "int8": 1 + 4 / 32}  # of 32, one scale


def step_bytes(manifest: Manifest, precision: str, context: int) -> int:
    """Return the bytes that one step reads: the matrices once, and all that it sees in caches.

    What is looked up by token is not counted, a row of each being read: the embedding, the table of
    keys, the first query, and over rows the keys and values of every scale. Over blocks the values
    are a matrix like any other.
    """
    architecture = manifest.architecture
    each = BYTES_OF_A_WEIGHT[precision]
    weights = 0.0
    for name, place in manifest.tensors.items():
        if name == "head.weight":
            weights += math.prod(place.shape) * BYTES_OF_A_WEIGHT["fp32"]
        elif len(place.shape) > 1 and not _is_looked_up(name, architecture):
            weights += math.prod(place.shape) * each
    row = architecture.dim * (2 if precision == "fp16" else 4)
    if manifest.is_in_blocks(precision):
        weights += len(architecture.scales) * architecture.vocabulary_size * row
    rows = sum(min(context, cache.window) for cache in manifest.caches[precision])
    return round(weights) + rows * row


def _is_looked_up(name: str, architecture: Architecture) -> bool:
    """Tell whether a token finds what this weight makes of it in a table."""
    if name == "crosses.0.attention.query.weight":
        return not architecture.knows_keys
    of_context = name.startswith("crosses.") and name.endswith((".key.weight", ".value.weight"))
    return of_context or name in ("embedding.weight", KEYS_TABLE)
