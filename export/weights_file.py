"""Where the weights lie in a saved checkpoint: graphs read them there, so they are stored once.

A checkpoint is a zip archive that compresses nothing, and each tensor is a file of its own in it,
in the order in which they were saved.
"""

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import torch

from perceivers.errors import ModelMismatch
from perceivers.manifest import StoredTensor

_LOCAL_HEADER = struct.Struct("<26xHH")  # of an archive's file; then name, extra field and content


def locate(path: Path, weights: Mapping[str, torch.Tensor]) -> dict[str, StoredTensor]:
    """Return where a checkpoint that was just saved holds each of its weights.

    Raises ModelMismatch where the file does not hold their very bytes.
    """
    found = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        for index, (name, tensor) in enumerate(weights.items()):
            offset = _content_offset(file, entries[f"data/{index}"])
            content = tensor.contiguous().numpy().astype("<f2", copy=False).tobytes()
            file.seek(offset)
            if file.read(len(content)) != content:
                raise ModelMismatch(
                    f"{path}: torch {torch.__version__} did not save {name} byte by byte; "
                    "use the version of constraints.txt"
                )
            found[name] = StoredTensor(offset, tuple(tensor.shape))
    return found


def _content_offset(file: BinaryIO, entry: zipfile.ZipInfo) -> int:
    file.seek(entry.header_offset)
    name_bytes, extra_bytes = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    return entry.header_offset + _LOCAL_HEADER.size + int(name_bytes) + int(extra_bytes)
