"""All parts of an evaluation, from the model and a folder of music to the report."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from perceivers.manifest import MANIFEST_FILE, describe_file
from training.evaluation.continuations import (
    INDEX,
    Continuation,
    Request,
    load_continuations,
    make_continuations,
)
from training.evaluation.distances import compare
from training.evaluation.features import FEATURES
from training.evaluation.mgeval import MGEVAL_FEATURES, mgeval_compatible
from training.evaluation.notes import Notes, notes_of
from training.evaluation.report import Part, Shown, write_report
from training.evaluation.report_request import LIKELIHOOD, ReportRequest
from training.evaluation.scorers import BEST
from training.evaluation.stages import JsonValues, KeptStages
from training.evaluation.two_sample import Pair, two_sample_test
from training.midi_folder import find_files

SHOWN = 10
CONTINUATIONS = "continuations"


class Excerpts:
    """Continuations as arrays: what the parts compare."""

    def __init__(self, continuations: Sequence[Continuation], quiet: bool = False) -> None:
        self.items = [found.item for found in continuations]
        self.pieces = [item.group for item in self.items]
        self.model = [notes_of(found.model) for found in continuations]
        self.human = [notes_of(found.human) for found in continuations]
        bar = tqdm(continuations, desc="reading", unit="primer", disable=quiet)
        self.primers: list[Notes] = [notes_of(found.primer()) for found in bar]

    def pairs(self) -> list[Pair]:
        """Return what the two-sample test is asked about."""
        return [
            Pair(*of) for of in zip(self.pieces, self.primers, self.model, self.human, strict=True)
        ]


def make_report(
    request: ReportRequest,
    likelihood: Callable[[], JsonValues],
    likelihood_key: Mapping[str, Any],
) -> JsonValues:
    """Make the parts that are asked for, or take those that are kept; write the report.

    `likelihood` scores the music; `likelihood_key` is what its result depends on beside model and
    music. Returns all figures. Raises PerformerError, with what is done kept.
    """
    stages = KeptStages(request.folder / "parts")
    figures: JsonValues = {"settings": _settings(request)}
    if LIKELIHOOD in request.parts:
        key = {**likelihood_key, "model": _fingerprint(request.model), "midi": _music(request)}
        figures[LIKELIHOOD] = stages.run(LIKELIHOOD, key, likelihood)
    shown: list[Shown] = []
    if request.continues:
        folder = request.folder / CONTINUATIONS
        excerpts = Excerpts(_continuations(request, folder, stages))
        key = {"continuations": describe_file(folder / INDEX).sha256, "seed": request.seed}
        for name, make in _makers(request, excerpts).items():
            if name in request.parts:
                figures[name] = stages.run(name, key, make)
        shown = _shown(excerpts)
    figures["seconds"] = stages.seconds
    write_report(request.folder, figures, shown)
    return figures


def _makers(request: ReportRequest, excerpts: Excerpts) -> dict[str, Callable[[], JsonValues]]:
    """Return the parts that compare continuations."""

    def metrics() -> JsonValues:
        rng = np.random.default_rng(request.seed)
        sides = excerpts.model, excerpts.human, excerpts.pieces
        with tqdm(total=len(FEATURES), desc="metrics", unit="feature") as bar:
            return dict(compare(*sides, rng, on_feature=lambda _name: bar.update()))

    def mgeval() -> JsonValues:
        with tqdm(total=len(MGEVAL_FEATURES), desc="mgeval column", unit="feature") as bar:
            return dict(
                mgeval_compatible(excerpts.model, excerpts.human, lambda _name: bar.update())
            )

    return {
        "metrics": metrics,
        "mgeval": mgeval,
        "two_sample": lambda: two_sample_test(excerpts.pairs(), request.seed),
    }


def _continuations(
    request: ReportRequest, folder: Path, stages: KeptStages
) -> Sequence[Continuation]:
    asked = Request(
        model=request.model,
        midi=request.midi,
        split=request.split_to_continue,
        datasets=request.datasets,
        count=request.continuations,
        notes=request.notes,
        seed=request.seed,
        parameters=request.parameters,
    )
    key = {"model": _fingerprint(request.model), "asked": _settings(request)}
    stages.run(CONTINUATIONS, key, lambda: {"count": len(make_continuations(asked, folder))})
    return load_continuations(folder)


def _settings(request: ReportRequest) -> JsonValues:
    words = request.parameters
    asked: JsonValues = {
        "model": str(request.model),
        "midi": str(request.midi),
        "split": request.split or "default",
        "datasets": list(request.datasets) or "all",
    }
    if request.continues:
        asked |= {
            "continuations": request.continuations,
            "notes": request.notes,
            "seed": request.seed,
            "parameters": dict(zip(words[::2], words[1::2], strict=False)) or "defaults",
        }
    return asked


def _fingerprint(model: Path) -> str:
    """Return a hash of a checkpoint, a run's best one, or a model folder's manifest."""
    names = (MANIFEST_FILE, BEST)
    inside = (model / name for name in names if (model / name).is_file())
    path = next(inside, model)
    return describe_file(path).sha256 if path.is_file() else ""


def _music(request: ReportRequest) -> str:
    """Return a hash of which files there are, how large and of when."""
    digest = hashlib.sha256()
    for file in find_files(request.midi):
        path = request.midi / file.path
        stat = path.stat() if path.exists() else None
        digest.update(repr((file, stat and (stat.st_size, stat.st_mtime_ns))).encode())
    return digest.hexdigest()


def _shown(excerpts: Excerpts) -> list[Shown]:
    """Return the first continuations as the page shows them."""
    shown = []
    for number, item in enumerate(excerpts.items[:SHOWN]):
        parts = (
            Part("primer", excerpts.primers[number], f"{CONTINUATIONS}/{item.primer}"),
            Part("model", excerpts.model[number], f"{CONTINUATIONS}/{item.model}"),
            Part("pianist", excerpts.human[number], f"{CONTINUATIONS}/{item.human}"),
        )
        shown.append(Shown(item.source, item.cut_s, item.seed, parts))
    return shown
