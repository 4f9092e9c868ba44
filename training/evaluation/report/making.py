"""All parts of an evaluation, from the model and a folder of music to the report."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from perceivers.errors import PerformerError
from perceivers.manifest import BEST_FILE, MANIFEST_FILE, describe_file, read_manifest
from training.data.midi_folder import MANIFEST, find_files, of_split
from training.data.preparation import prepare
from training.evaluation.continuations.folder import CONTENTS, Continuation, load_continuations
from training.evaluation.continuations.making import Request, make_continuations
from training.evaluation.continuations.sound import NoSynthesizer, Synthesizer, find_synthesizer
from training.evaluation.metrics.copying import CACHE, copying_report, index_of_store
from training.evaluation.metrics.notes import Notes
from training.evaluation.report.kept_stages import JsonValues, KeptStages
from training.evaluation.report.page import PAGE_FILE, Part, Shown, write_report
from training.evaluation.report.parts import MAKERS, Excerpts, listening
from training.evaluation.report.request import COPYING, LIKELIHOOD, SOUND, ReportRequest

__all__ = ["PAGE_FILE", "make_report"]

SHOWN = 10
CONTINUATIONS = "continuations"
FOLDER = Path(__file__).resolve().parents[1]  # all rooms of the evaluation
MAKES_FIGURES = "parts.py"  # of this folder; the others only ask for figures and show them


def make_report(
    request: ReportRequest,
    likelihood: Callable[[], JsonValues],
    likelihood_key: Mapping[str, Any],
) -> JsonValues:
    """Make the parts that are asked for, or take those that are kept; write the report.

    `likelihood` scores the music; `likelihood_key` is what its result depends on beside model and
    music. Returns all figures. Raises PerformerError, with what is done kept.
    """
    _require_folder(request.folder)
    stages = KeptStages(request.folder / "parts")
    figures: JsonValues = {"settings": _settings(request)}
    if LIKELIHOOD in request.parts:
        key = {
            **likelihood_key,
            "code": _code(),
            "model": _fingerprint(request.model),
            "midi": _music(request),
        }
        figures[LIKELIHOOD] = stages.run(LIKELIHOOD, key, likelihood)
    shown: list[Shown] = []
    if request.continues:
        folder = request.folder / CONTINUATIONS
        excerpts = Excerpts(_continuations(request, folder, stages), request.seed)
        figures |= _compare(request, excerpts, folder, stages)
        shown = _shown(excerpts, figures.get(SOUND))
    figures["seconds"] = stages.seconds
    write_report(request.folder, figures, shown)
    return figures


def _require_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "parts").mkdir(exist_ok=True)
    except OSError as error:
        raise PerformerError(f"--report {folder}: {error.strerror}; choose another") from error


def _compare(
    request: ReportRequest, excerpts: Excerpts, folder: Path, stages: KeptStages
) -> JsonValues:
    """Return the parts that compare continuations."""
    found: JsonValues = {}
    key = {
        "continuations": describe_file(folder / CONTENTS).sha256,
        "seed": request.seed,
        "code": _code(),
    }
    for name, make in MAKERS.items():
        if name in request.parts:
            found[name] = stages.run(name, key, partial(make, excerpts))
    if COPYING in request.parts:
        tokens = _training_tokens(request)
        if tokens is None:
            stages.tell(f"{COPYING}: left out, as no training data is named (--training-tokens)")
        else:
            learnt = {"tokens": describe_file(tokens / "index.json").sha256}
            found[COPYING] = stages.run(
                COPYING, key | learnt, lambda: _copying(request, folder, tokens, stages)
            )
    if SOUND in request.parts:
        synthesizer = _synthesizer(stages)
        made = {"soundfont": synthesizer and str(synthesizer.soundfont)}
        found[SOUND] = stages.run(
            SOUND,
            key | made,
            lambda: listening(excerpts, SHOWN, request.folder / SOUND, synthesizer),
        )
    return found


def _synthesizer(stages: KeptStages) -> Synthesizer | None:
    try:
        return find_synthesizer()
    except NoSynthesizer as error:
        stages.tell(str(error))  # the MIDI files can be heard elsewhere
        return None


def _training_tokens(request: ReportRequest) -> Path | None:
    """Return token files of the training data: those named, or made of the manifest's split."""
    if request.training_tokens is not None:
        return request.training_tokens
    if not (request.midi / MANIFEST).exists():
        return None
    files = of_split(find_files(request.midi), "train")
    if not files:
        return None
    folder = request.folder / "tokens"
    prepare(request.midi, folder, files=files)
    return folder


def _copying(request: ReportRequest, folder: Path, tokens: Path, stages: KeptStages) -> JsonValues:
    stages.tell("sorting the training data, unless it was done before …")
    index = index_of_store(tokens, request.folder / "parts" / CACHE)
    return copying_report(folder, index)


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
    what = _settings(request) | {"model": _fingerprint(request.model), "midi": _music(request)}
    stages.run(CONTINUATIONS, what, lambda: {"count": len(make_continuations(asked, folder))})
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
    """Return a hash of a checkpoint, a run's best one, or what a model folder promises to be."""
    if (model / MANIFEST_FILE).is_file():
        promised = replace(read_manifest(model), scores={})  # which change nothing in the model
        return hashlib.sha256(repr(promised).encode()).hexdigest()
    path = model / BEST_FILE if (model / BEST_FILE).is_file() else model
    return describe_file(path).sha256 if path.is_file() else ""


def _code() -> str:
    """Return a hash of the code that makes figures: what other code made is made anew."""
    here = set(Path(__file__).resolve().parent.glob("*.py"))
    makers = {
        path for path in FOLDER.rglob("*.py") if path not in here or path.name == MAKES_FIGURES
    }
    digest = hashlib.sha256()
    for path in (FOLDER.parent / "evaluate.py", *sorted(makers)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _music(request: ReportRequest) -> str:
    """Return a hash of which files there are, how large and of when."""
    digest = hashlib.sha256()
    for file in find_files(request.midi):
        path = request.midi / file.path
        stat = path.stat() if path.exists() else None
        digest.update(repr((file, stat and (stat.st_size, stat.st_mtime_ns))).encode())
    return digest.hexdigest()


def _shown(excerpts: Excerpts, heard: JsonValues | None) -> list[Shown]:
    """Return the first continuations as the page shows them."""
    files = heard["files"] if heard else []
    shown = []
    for number, item in enumerate(excerpts.items[:SHOWN]):
        made = files[number] if number < len(files) else {}

        def part(name: str, notes: Notes, midi: str, heard: Mapping[str, str]) -> Part:
            return Part(
                name,
                notes,
                f"{CONTINUATIONS}/{midi}",
                f"{SOUND}/{heard['midi']}" if "midi" in heard else None,
                f"{SOUND}/{heard['sound']}" if "sound" in heard else None,
            )

        model, human = made.get("model", {}), made.get("human", {})
        parts = (
            part("primer", excerpts.primers[number], item.primer, {}),
            part("model", excerpts.model[number], item.model, model),
            part("pianist", excerpts.human[number], item.human, human),
        )
        shown.append(Shown(item.source, item.cut_s, item.seed, parts))
    return shown
