"""The weights that the host itself needs, read where they lie in the model folder."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perceivers.manifest import Manifest


class StoredWeights(Mapping[str, NDArray[np.float16]]):
    """Weights by their names, each read from the file when it is asked for."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._path = folder / manifest.weights.name
        self._places = manifest.tensors

    def __getitem__(self, name: str) -> NDArray[np.float16]:
        place = self._places[name]
        count = place.bytes // 2
        return np.fromfile(self._path, "<f2", count, offset=place.offset).reshape(place.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
