"""The parts of a report that need nothing but continuations, each as JSON values."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from training.evaluation.continuations.folder import Continuation, Item
from training.evaluation.continuations.sound import Synthesizer, render, write_listening
from training.evaluation.metrics.distances import compare
from training.evaluation.metrics.features import FEATURES
from training.evaluation.metrics.handling import HANDLING
from training.evaluation.metrics.handling import handling as handling_of
from training.evaluation.metrics.mgeval import MGEVAL_FEATURES, mgeval_compatible
from training.evaluation.metrics.notes import Notes, TooFewNotes, notes_of
from training.evaluation.metrics.repetition import (
    NGRAMS,
    paired_difference,
    recurrence,
    self_similarity,
)
from training.evaluation.report.kept_stages import JsonValues
from training.evaluation.two_sample.judgement import Pair, two_sample_test


class Excerpts:
    """Continuations as arrays: what the parts compare."""

    def __init__(self, continuations: Sequence[Continuation], seed: int) -> None:
        self.continuations = continuations
        self.seed = seed
        self.items: list[Item] = [found.item for found in continuations]
        self.pieces = [item.group for item in self.items]
        self.model = [notes_of(found.model) for found in continuations]
        self.human = [notes_of(found.human) for found in continuations]
        bar = tqdm(continuations, desc="reading", unit="primer")
        self.primers: list[Notes] = [notes_of(found.primer()) for found in bar]


def metrics(excerpts: Excerpts) -> JsonValues:
    """Compare the distributions of features."""
    rng = np.random.default_rng(excerpts.seed)
    sides = excerpts.model, excerpts.human, excerpts.pieces
    with tqdm(total=len(FEATURES), desc="metrics", unit="feature") as bar:
        return dict(compare(*sides, rng, on_feature=lambda _name: bar.update()))


def mgeval(excerpts: Excerpts) -> JsonValues:
    """Compare by the formulas of mgeval."""
    with tqdm(total=len(MGEVAL_FEATURES), desc="mgeval column", unit="feature") as bar:
        sides = excerpts.model, excerpts.human
        return dict(mgeval_compatible(*sides, on_feature=lambda _name: bar.update()))


def two_sample(excerpts: Excerpts) -> JsonValues:
    """Let classifiers tell the model from the pianists."""
    sides = zip(excerpts.pieces, excerpts.primers, excerpts.model, excerpts.human, strict=True)
    return two_sample_test([Pair(*pair) for pair in sides], excerpts.seed)


def handling(excerpts: Excerpts) -> JsonValues:
    """Compare how keys are handled, figure by figure."""
    model, human = ([handling_of(n) for n in side] for side in (excerpts.model, excerpts.human))
    return {
        name: paired_difference(
            [each[name] for each in model], [each[name] for each in human], excerpts.pieces
        )
        for name in HANDLING
    }


def repetition(excerpts: Excerpts) -> JsonValues:
    """Compare how much of what is played was played before, n-grams and passages."""
    sides = list(zip(excerpts.model, excerpts.human, excerpts.pieces, strict=True))
    shortest = min(len(notes) for notes in (*excerpts.model, *excerpts.human))
    found: JsonValues = {"ngrams": {}}
    for length in (length for length in NGRAMS if length < shortest):
        model, human = (
            [recurrence(notes, [length])[length] for notes in side]
            for side in (excerpts.model, excerpts.human)
        )
        found["ngrams"][str(length)] = {
            "exact": paired_difference(
                [x.exact for x in model], [x.exact for x in human], excerpts.pieces
            ),
            "transposed": paired_difference(
                [x.transposed for x in model], [x.transposed for x in human], excerpts.pieces
            ),
        }
    returning = [
        (mine, theirs, piece)
        for model_notes, human_notes, piece in sides
        if (mine := _returning(model_notes)) is not None
        and (theirs := _returning(human_notes)) is not None
    ]
    if returning:
        model_shares, human_shares, pieces = zip(*returning, strict=True)
        found["returning"] = paired_difference(model_shares, human_shares, pieces)
    return found | {"long_enough_for_returning": len(returning)}


def _returning(notes: Notes) -> float | None:
    """Return the share of windows that return; None of music that is too short to tell."""
    try:
        return self_similarity(notes).returning_share()
    except TooFewNotes:
        return None


def listening(
    excerpts: Excerpts, count: int, folder: Path, synthesizer: Synthesizer | None
) -> JsonValues:
    """Write the first continuations as they are heard, as MIDI and, if possible, as sound."""
    files: list[dict[str, dict[str, str]]] = []
    for each in tqdm(excerpts.continuations[:count], desc="sound", unit="continuation"):
        row: dict[str, dict[str, str]] = {}
        for side, midi in zip(("model", "human"), write_listening(folder, each), strict=True):
            row[side] = {"midi": midi.name}
            if synthesizer is not None:
                sound = midi.with_suffix(".ogg")
                render(midi, sound, synthesizer)
                row[side]["sound"] = sound.name
        files.append(row)
    return {"soundfont": synthesizer and synthesizer.soundfont.name, "files": files}


MAKERS: dict[str, Callable[[Excerpts], JsonValues]] = {
    "metrics": metrics,
    "mgeval": mgeval,
    "handling": handling,
    "two_sample": two_sample,
    "repetition": repetition,
}
