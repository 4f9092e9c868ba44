"""The music of a run: what is drawn from, what is validated on, and how it is told."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from perceivers.architecture import Architecture
from perceivers.errors import PerformerError
from perceivers.vocabulary import Flavour
from training.data.batches import Batch, BatchSource, Recipe
from training.data.mixture import Mixture, rehearsed, weighted_lengths
from training.data.token_store import TokenStore
from training.run.command_line import STARTER_SET
from training.run.options import TrainingOptions
from training.run.validation import fixed_batches

TOKENS = "tokens"  # of a run, where the music is given as MIDI files
STARTER_LICENCE = "CC BY-NC-SA 4.0 (training/starter/LICENSE.md)"

Prepare = Callable[[Path, Path, Flavour], None]
"""Makes token files of a folder of MIDI files."""


@dataclass(frozen=True, slots=True)
class RunData:
    """Batches to train on and to validate on."""

    source: BatchSource
    validation: list[Batch]
    rehearsal: list[Batch]
    """Of the starter set, where it is rehearsed."""
    flavour: Flavour
    """Of all token files."""
    told: str
    """What is trained on, in words."""


def open_data(options: TrainingOptions, architecture: Architecture, prepared: Prepare) -> RunData:
    """Open the token files of a run, which `prepared` makes first if need be."""
    folder = options.tokens
    if folder is None:
        folder = options.run / TOKENS
        prepared(options.midi, folder, Flavour.EVENTS)
    train, validation = _opened(folder, "train"), _opened(folder, "validation")
    weights = weighted_lengths(train, dict(options.weight))
    parts, rehearsal = [(train, weights)], []
    context, latents, rows = architecture.context, architecture.latents, options.micro_batch
    if options.rehearsal:
        starter = options.run / "rehearsal"
        prepared(STARTER_SET, starter, train.flavour)
        parts = rehearsed(train, weights, _opened(starter, "train"), options.rehearsal)
        rehearsal = fixed_batches(_opened(starter, "validation"), context, latents, rows)
    return RunData(
        BatchSource(Mixture(parts), _recipe(options, architecture)),
        fixed_batches(validation, context, latents, rows),
        rehearsal,
        train.flavour,
        _told(options, train),
    )


def licence_of(options: TrainingOptions) -> str:
    """Return the licence of what is trained on, in words; empty if it is not known."""
    return STARTER_LICENCE if options.tokens is None and options.midi == STARTER_SET else ""


def _opened(folder: Path, split: str) -> TokenStore:
    store = TokenStore(folder, split, flavours=tuple(Flavour))
    if not len(store):
        raise PerformerError(f"{folder}: no piece of the split '{split}'")
    return store


def _recipe(options: TrainingOptions, architecture: Architecture) -> Recipe:
    whole = architecture.context
    lowest, highest = options.transpose
    return Recipe(
        contexts=tuple(min(context, whole) for context in options.context or [whole]),
        latents=architecture.latents,
        seed=options.seed,
        segmentation=options.segmentation,
        curriculum_steps=_curriculum_steps(options),
        tag_dropout=options.tag_dropout,
        transpositions=(lowest, highest),
        stretch=options.stretch,
        velocity_shift=options.velocity_shift,
    )


def _curriculum_steps(options: TrainingOptions) -> int:
    if options.segmentation != "curriculum":
        return 0
    return options.curriculum_steps or max(1, (options.steps or 0) // 2)


def _told(options: TrainingOptions, train: TokenStore) -> str:
    if options.tokens is None:
        named = options.midi.resolve().name
    else:
        named = ", ".join(sorted({p.dataset for p in train.pieces if p.dataset}))
    pieces = f"{len(train)} pieces" if len(train) > 1 else "1 piece"
    return f"{named or 'music without a name'} ({pieces}, {int(train.lengths.sum()):,} tokens)"
