"""The manifest: what an exported model folder promises, checked before anything is run.

A model folder holds `manifest.json`, one ONNX graph per precision, and the weights in half
precision: a checkpoint in which the graphs read them too. Reading it needs neither torch nor ONNX
Runtime.
"""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from perceivers.architecture import Architecture
from perceivers.atomic import atomic_path
from perceivers.errors import ModelMismatch
from perceivers.graphs import GRAPH_FILES, CacheTensor, Layout, cache_tensors
from perceivers.vocabulary import VOCABULARY_SIZE, fingerprint

FORMAT = 3
MANIFEST_FILE = "manifest.json"
KEYS_TABLE = "key_embedding.weight"
"""That table, among the weights: a row for all that can be down."""
WEIGHTS_FILE = "checkpoint.pt"
BEST_FILE = "best.pt"  # the checkpoint of a training run that a folder is made of
EXPORT_AGAIN = "export it again with: python export/export_onnx.py CHECKPOINT FOLDER"
HALF_BYTES = 2  # of a weight, as it is stored


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of the folder and what it must be."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where the file of weights holds one of them, row by row in half precision."""

    offset: int
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Size of it."""
        return HALF_BYTES * math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a graph's logits lie at most from the full forward pass of the stored weights.

    Each figure is the worst over several sequences, each read in chunks of several sizes.
    """

    max_difference: float
    mean_difference: float
    kl_nats: float
    """Mean divergence of the prediction from the one compared with, in nats per token."""
    tokens: int
    """Predictions compared, over all sequences and chunk sizes."""


@dataclass(frozen=True, slots=True)
class Score:
    """How well a graph, run by the engine, predicted music that nobody trained it on."""

    nats_per_token: float
    low: float | None
    high: float | None
    """95 % bootstrap interval over pieces; None where there were fewer than two."""
    pieces: int
    tokens: int
    """As many as were scored."""
    split: str
    datasets: tuple[str, ...]
    """Empty for all."""
    every_block: int
    music_sha256: str
    """Of all tokens of the pieces: equal where the same music was scored."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that is known about an exported model without opening its graphs."""

    architecture: Architecture
    vocabulary: str
    """Fingerprint of the token table."""
    checkpoint_sha256: str
    parameters: int
    caches: dict[str, tuple[CacheTensor, ...]]
    """Caches of each graph, by precision."""
    graphs: dict[str, ModelFile]
    """Graph of each precision."""
    weights: ModelFile
    """The checkpoint in half precision: graphs read their weights there, and training goes on from
    it."""
    tensors: dict[str, StoredTensor]
    """Where that file holds each weight."""
    parity: dict[str, Parity]
    progress: dict[str, Any]
    """What the checkpoint says about its training."""
    data: str
    licence: str
    rounding: Parity | None = None
    """How far the weights in half precision lie from the checkpoint's own; None where those were
    in half precision."""
    scores: dict[str, Score] = field(default_factory=dict)
    """Of each precision, as far as they were measured: `training/evaluate.py --note`."""

    def is_in_blocks(self, precision: str) -> bool:
        """Tell whether a graph reads its context in blocks, as a CPU wants it."""
        return any(cache.layout == "blocks" for cache in self.caches[precision])

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {"format": FORMAT, **asdict(self), "architecture": self.architecture.to_json()}


def describe_file(path: Path) -> ModelFile:
    """Return name, size and hash of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ModelFile(path.name, path.stat().st_size, digest)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest; an old one stays until the new one is complete on the disk."""
    with atomic_path(folder / MANIFEST_FILE) as partial:
        partial.write_text(json.dumps(manifest.to_json(), indent=2) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read and check a model folder: every promise, and every file against its hash.

    Raises ModelMismatch, in one line, for the first thing that is wrong.
    """
    path = folder / MANIFEST_FILE
    if not folder.is_dir():
        raise ModelMismatch(f"{folder}: no such model folder; make one with: {_export_to(folder)}")
    if not path.is_file():
        raise ModelMismatch(f"{folder}: holds no {MANIFEST_FILE}; {EXPORT_AGAIN}")
    try:
        fields = json.loads(path.read_bytes())
        _check_identity(path, folder, fields)
        manifest = _from_json(fields)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ModelMismatch):
            raise
        problem = f"lacks {error}" if isinstance(error, KeyError) else f"is damaged ({error})"
        raise ModelMismatch(f"{path}: {problem}; {EXPORT_AGAIN}") from error
    _check_caches(path, manifest)
    _check_tensors(path, manifest)
    _check_files(folder, [manifest.weights, *manifest.graphs.values()])
    return manifest


def _export_to(folder: Path, checkpoint: Path | str = "CHECKPOINT") -> str:
    return f"python export/export_onnx.py {checkpoint} {folder}"


def _check_identity(path: Path, folder: Path, fields: Any) -> None:
    """Refuse another format before reading on, and another vocabulary before all else."""
    found = fields.get("format") if isinstance(fields, dict) else None
    if found != FORMAT:
        own = folder / WEIGHTS_FILE  # folders of other formats have one as well
        command = _export_to(folder, own if own.is_file() else "CHECKPOINT")
        raise ModelMismatch(
            f"{path}: format {found!r}, this reads format {FORMAT}; export it again with: {command}"
        )
    if fields["vocabulary"] != fingerprint():
        raise ModelMismatch(
            f"{path}: made with vocabulary {fields['vocabulary']!r}, this is {fingerprint()!r}; "
            "use a model of this version"
        )


def _from_json(fields: dict[str, Any]) -> Manifest:
    architecture = Architecture.from_json(fields["architecture"])
    if architecture.vocabulary_size != VOCABULARY_SIZE:
        raise ValueError(f"vocabulary of {architecture.vocabulary_size}, not {VOCABULARY_SIZE}")
    unknown = sorted(set(fields["graphs"]) - set(GRAPH_FILES))
    if unknown or not fields["graphs"]:
        raise ValueError(f"graphs must be some of {', '.join(GRAPH_FILES)}; found {unknown}")
    caches = {name: tuple(map(_cache, fields["caches"][name])) for name in fields["graphs"]}
    return Manifest(
        architecture=architecture,
        vocabulary=fields["vocabulary"],
        checkpoint_sha256=fields["checkpoint_sha256"],
        parameters=int(fields["parameters"]),
        caches=caches,
        graphs={name: ModelFile(**file) for name, file in fields["graphs"].items()},
        weights=ModelFile(**fields["weights"]),
        tensors={name: _stored(place) for name, place in fields["tensors"].items()},
        parity={name: Parity(**figures) for name, figures in fields["parity"].items()},
        progress=dict(fields["progress"]),
        data=fields["data"],
        licence=fields["licence"],
        rounding=Parity(**fields["rounding"]) if fields["rounding"] else None,
        scores={name: _score(score) for name, score in fields.get("scores", {}).items()},
    )


def _stored(fields: dict[str, Any]) -> StoredTensor:
    return StoredTensor(int(fields["offset"]), tuple(map(int, fields["shape"])))


def _score(fields: dict[str, Any]) -> Score:
    return Score(**(fields | {"datasets": tuple(fields["datasets"])}))


def _cache(fields: dict[str, Any]) -> CacheTensor:
    first, second, third, fourth = fields["shape"]
    return CacheTensor(**(fields | {"shape": (first, second, third, fourth)}))


def _check_caches(path: Path, manifest: Manifest) -> None:
    for precision in GRAPH_FILES:
        if precision not in manifest.graphs:
            continue
        found = {cache.name: cache for cache in manifest.caches[precision]}
        layout: Layout = "blocks" if manifest.is_in_blocks(precision) else "rows"
        try:
            all_needed = cache_tensors(manifest.architecture, precision, layout)
        except ModelMismatch as error:
            raise ModelMismatch(f"{path}: {error}") from error
        for needed in all_needed:
            cache = found.get(needed.name)
            if cache is None:
                raise ModelMismatch(
                    f"{path}: {precision} lacks the cache {needed.name}; {EXPORT_AGAIN}"
                )
            if cache != needed:
                raise ModelMismatch(
                    f"{path}: cache {needed.name} of {precision} is {_told(cache)}, its "
                    f"architecture needs {_told(needed)}; {EXPORT_AGAIN}"
                )


def _check_tensors(path: Path, manifest: Manifest) -> None:
    needed = {"embedding.weight"} | ({KEYS_TABLE} if manifest.architecture.knows_keys else set())
    missing = sorted(needed - set(manifest.tensors))
    if missing:
        raise ModelMismatch(f"{path}: lacks the place of {missing[0]}; {EXPORT_AGAIN}")
    for name, place in manifest.tensors.items():
        if not 0 <= place.offset <= manifest.weights.bytes - place.bytes:
            raise ModelMismatch(
                f"{path}: {name} would lie outside {manifest.weights.name}; {EXPORT_AGAIN}"
            )


def _told(cache: CacheTensor) -> str:
    shape = list(cache.shape)
    return f"{cache.kind} {cache.layout} window {cache.window} {cache.dtype} {shape}"


def _check_files(folder: Path, files: Iterable[ModelFile]) -> None:
    for promised in files:
        path = folder / promised.name
        if Path(promised.name).name != promised.name or not path.is_file():
            raise ModelMismatch(f"{path}: no such file, but the manifest names it; {EXPORT_AGAIN}")
        if path.stat().st_size != promised.bytes:
            raise ModelMismatch(
                f"{path}: {path.stat().st_size} bytes instead of {promised.bytes}: "
                "an incomplete copy; copy the model folder again"
            )
        if describe_file(path) != promised:
            raise ModelMismatch(
                f"{path}: its sha256 is not the promised one: a damaged copy, or another model's "
                "file; copy the model folder again"
            )
