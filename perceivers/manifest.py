"""The manifest: what an exported model folder promises, checked before anything is run.

A model folder holds `manifest.json`, one ONNX graph per precision and the tables of the
cross-attentions. Reading it needs neither torch nor ONNX Runtime.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from perceivers.architecture import Architecture
from perceivers.atomic import atomic_path
from perceivers.errors import ModelMismatch
from perceivers.vocabulary import VOCABULARY_SIZE, fingerprint

FORMAT = 1
MANIFEST_FILE = "manifest.json"
TABLES_FILE = "tables.npy"
WEIGHTS_FILE = "checkpoint.pt"
Precision = Literal["fp32", "int8", "fp16"]
GRAPH_FILES: dict[Precision, str] = {
    "fp32": "model.onnx",
    "int8": "model.int8.onnx",
    "fp16": "model.fp16.onnx",
}
"""The graph file of each precision that this format knows."""
EXPORT_AGAIN = "export it again with: python export/export_onnx.py CHECKPOINT FOLDER"

Kind = Literal["cross", "self"]


@dataclass(frozen=True, slots=True)
class CacheTensor:
    """One cache: an input of the graph, and with `_out` behind its name an output of it."""

    name: str
    kind: Kind
    window: int
    """Newest rows that a token can see, its own included."""
    dtype: str
    """In the graphs fp32 and int8; the caches of fp16 are in float16."""
    shape: tuple[int, int, int, int]
    """(1, heads, capacity, head width); the capacity is the window and slack behind it."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of the folder and what it must be."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a graph's logits lie at most from the full forward pass of the checkpoint.

    Each figure is the worst over several sequences, each read in chunks of several sizes.
    """

    max_difference: float
    mean_difference: float
    kl_nats: float
    """Mean divergence of the graph's prediction from the checkpoint's, in nats per token."""
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
    caches: tuple[CacheTensor, ...]
    graphs: dict[str, ModelFile]
    """Graph of each precision."""
    tables: ModelFile
    """Keys and values of every cross-attention over the vocabulary, before their rotation."""
    parity: dict[str, Parity]
    progress: dict[str, Any]
    """What the checkpoint says about its training."""
    data: str
    licence: str
    weights: ModelFile | None = None
    """The checkpoint in half precision, to train on from; playing does not need it."""
    scores: dict[str, Score] = field(default_factory=dict)
    """Of each precision, as far as they were measured: `training/evaluate.py --note`."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {"format": FORMAT, **asdict(self), "architecture": self.architecture.to_json()}


def cache_tensors(architecture: Architecture) -> tuple[CacheTensor, ...]:
    """Return the caches of a model in the order of its attentions, keys before values.

    Raises ModelMismatch for a variant that cannot be played.
    """
    architecture.check_playable()
    crosses = [("cross", i, window) for i, window in enumerate(architecture.cross_windows)]
    layers = [("self", i, window) for i, window in enumerate(architecture.self_windows)]
    return tuple(
        CacheTensor(
            f"{kind}_{index}_{part}",
            "cross" if kind == "cross" else "self",
            window,
            "float32",
            (1, architecture.heads, capacity(window), architecture.head_dim),
        )
        for kind, index, window in crosses + layers
        for part in ("keys", "values")
    )


def length_names(cache: CacheTensor) -> tuple[str, str]:
    """Return the graph inputs that say how full a cache is: its last row, and its rows.

    Both count the tokens being read. Caches of one kind and window are always equally full.
    """
    return f"{cache.kind}_{cache.window}_last_row", f"{cache.kind}_{cache.window}_rows"


def capacity(window: int) -> int:
    """Return the rows of a cache: its window, and slack to fill before old rows are moved out.

    Attention costs as much as there are rows, moving costs once per slack: 64 rows are a good
    bargain for a window of 1,024, and a wide window wants a share of its own.
    """
    return window + max(64, window // 32)


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
        _check_identity(path, fields)
        manifest = _from_json(fields)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ModelMismatch):
            raise
        problem = f"lacks {error}" if isinstance(error, KeyError) else f"is damaged ({error})"
        raise ModelMismatch(f"{path}: {problem}; {EXPORT_AGAIN}") from error
    _check_caches(path, manifest)
    _check_files(folder, [*manifest.graphs.values(), manifest.tables])
    return manifest


def _export_to(folder: Path) -> str:
    return f"python export/export_onnx.py CHECKPOINT {folder}"


def _check_identity(path: Path, fields: Any) -> None:
    """Refuse another format before reading on, and another vocabulary before all else."""
    found = fields.get("format") if isinstance(fields, dict) else None
    if found != FORMAT:
        raise ModelMismatch(f"{path}: format {found!r}, this reads format {FORMAT}; {EXPORT_AGAIN}")
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
    caches = [cache | {"shape": _four(cache["shape"])} for cache in fields["caches"]]
    return Manifest(
        architecture=architecture,
        vocabulary=fields["vocabulary"],
        checkpoint_sha256=fields["checkpoint_sha256"],
        parameters=int(fields["parameters"]),
        caches=tuple(CacheTensor(**cache) for cache in caches),
        graphs={name: ModelFile(**file) for name, file in fields["graphs"].items()},
        tables=ModelFile(**fields["tables"]),
        parity={name: Parity(**figures) for name, figures in fields["parity"].items()},
        progress=dict(fields["progress"]),
        data=fields["data"],
        licence=fields["licence"],
        weights=ModelFile(**fields["weights"]) if fields.get("weights") else None,
        scores={name: _score(score) for name, score in fields.get("scores", {}).items()},
    )


def _score(fields: dict[str, Any]) -> Score:
    return Score(**(fields | {"datasets": tuple(fields["datasets"])}))


def _four(shape: list[int]) -> tuple[int, int, int, int]:
    batch, heads, rows, width = shape
    return batch, heads, rows, width


def _check_caches(path: Path, manifest: Manifest) -> None:
    found = {cache.name: cache for cache in manifest.caches}
    try:
        all_needed = cache_tensors(manifest.architecture)
    except ModelMismatch as error:
        raise ModelMismatch(f"{path}: {error}") from error
    for needed in all_needed:
        cache = found.get(needed.name)
        if cache is None:
            raise ModelMismatch(f"{path}: lacks the cache {needed.name}; {EXPORT_AGAIN}")
        rows = max(cache.shape[2], needed.window)  # more or less slack is as good
        if cache != replace(needed, shape=(*needed.shape[:2], rows, needed.shape[3])):
            raise ModelMismatch(
                f"{path}: cache {needed.name} is {_told(cache)}, its architecture needs "
                f"{_told(needed)}; {EXPORT_AGAIN}"
            )


def _told(cache: CacheTensor) -> str:
    return f"{cache.kind} window {cache.window} {cache.dtype} {list(cache.shape)}"


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
                f"{path}: its sha256 is not the promised one: a damaged copy; "
                "copy the model folder again"
            )
