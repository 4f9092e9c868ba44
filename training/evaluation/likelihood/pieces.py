"""Which pieces are scored: a split of the data, or all there is where nothing is split."""

import hashlib
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from perceivers import vocabulary as v
from perceivers.encoder import encode
from perceivers.errors import ModelMismatch, PerformerError
from perceivers.events import Event, NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.sustain import encode_sounding
from training.data.midi_folder import MANIFEST, SPLITS, find_files, of_split
from training.data.preparation import prepare
from training.data.shards import Skipped
from training.data.token_store import TokenStore
from training.evaluation.likelihood.figures import Ids

ALL = "all"
DEFAULT_SPLIT = "validation"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A piece to score."""

    path: str
    dataset: str
    tokens: Ids


@dataclass(frozen=True, slots=True)
class Selection:
    """The pieces to score, and what is not scored of the place they come from."""

    split: str
    pieces: list[HeldOut]
    skipped: list[Skipped]

    @property
    def fingerprint(self) -> str:
        """Return a hash of all tokens: equal where the very same music was scored."""
        digest = hashlib.sha256()
        for piece in self.pieces:
            digest.update(piece.tokens.astype("<u2").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Choice:
    """What to take of the pieces at hand."""

    split: str | None = None
    """One of SPLITS or ALL; None is the validation split, or ALL of a folder without manifest."""
    datasets: Collection[str] = ()
    source: v.Source | None = None
    """The tag that every piece gets; None keeps each one's own."""
    limit_tokens: int | None = None
    flavour: v.Flavour = v.Flavour.EVENTS


def select_midi(root: Path, choice: Choice) -> Selection:
    """Encode those of a folder's MIDI files that may be scored, and choose from them.

    Raises PerformerError when it holds no music, or nothing is left to score.
    """
    split = choice.split or (DEFAULT_SPLIT if (root / MANIFEST).exists() else ALL)
    files = of_split(find_files(root), None if split == ALL else split, choice.datasets)
    if not files:
        raise _nothing_left(root, split, choice)
    with tempfile.TemporaryDirectory() as scratch:
        report = prepare(root, Path(scratch), flavour=choice.flavour, files=files)
        found = _found(Path(scratch), split, choice)
    return Selection(split, _chosen(root, found, split, choice), report.skipped)


def select(tokens: Path, choice: Choice) -> Selection:
    """Choose from prepared token files.

    Raises PerformerError when nothing is left to score, ModelMismatch for tokens of another
    flavour or vocabulary.
    """
    split = choice.split or DEFAULT_SPLIT
    found = _found(tokens, split, choice)
    return Selection(split, _chosen(tokens, found, split, choice), [])


def _found(tokens: Path, split: str, choice: Choice) -> list[HeldOut]:
    found: dict[str, HeldOut] = {}  # by path: a piece may stand in two splits when there are few
    for name in SPLITS if split == ALL else (split,):
        store = TokenStore(tokens, name, choice.datasets, tuple(v.Flavour))
        if store.flavour is not choice.flavour:
            raise ModelMismatch(
                f"{tokens}: tokens of flavour '{store.flavour}', the model speaks "
                f"'{choice.flavour}'; prepare them with --flavour {choice.flavour}"
            )
        for index, piece in enumerate(store.pieces):
            ids = store.tokens(index).astype(np.int64)
            found[piece.path] = HeldOut(piece.path, piece.dataset, tagged(ids, choice.source))
    return [found[path] for path in sorted(found)] if split == ALL else list(found.values())


def _chosen(place: Path, found: list[HeldOut], split: str, choice: Choice) -> list[HeldOut]:
    if not found:
        raise _nothing_left(place, split, choice)
    return limited(found, choice.limit_tokens)


def _nothing_left(place: Path, split: str, choice: Choice) -> PerformerError:
    names = ", ".join(choice.datasets)
    of = f" of data sets {names}" if names else ""
    return PerformerError(f"{place}: no piece in split '{split}'{of}; --split {ALL} takes all")


def tagged(tokens: Ids, source: v.Source | None) -> Ids:
    """Return tokens with the tag of a source, if one is given and they have a tag at all."""
    if source is None or len(tokens) < 2 or v.kind_of(int(tokens[1])) is not v.Kind.TAG:
        return tokens
    retagged = tokens.copy()
    retagged[1] = v.tag_of(source)
    return retagged


def limited(pieces: Sequence[HeldOut], limit: int | None) -> list[HeldOut]:
    """Return all pieces, or in a fixed shuffled order those that make up `limit` tokens."""
    if limit is None:
        return list(pieces)
    taken: list[HeldOut] = []
    for index in np.random.default_rng(0).permutation(len(pieces)):
        if limit < 2:
            break
        piece = pieces[int(index)]
        taken.append(replace(piece, tokens=piece.tokens[:limit]))
        limit -= len(taken[-1].tokens)
    return taken


def encoder_fingerprint(flavour: v.Flavour) -> str:
    """Return a short hash of what the encoder makes of a few events that try its rules.

    Figures of one vocabulary compare only where the same events become the same tokens.
    """
    say = encode if flavour is v.Flavour.EVENTS else encode_sounding
    return hashlib.sha256(np.array(say(_probe()), "<u2").tobytes()).hexdigest()[:16]


def _probe() -> list[TimedEvent]:
    """Return chords out of order, a key struck twice, a long rest, a pedal and a crowd."""
    timed: list[tuple[float, Event]] = [
        (0.0, NoteOn(64, 80)),
        (0.004, NoteOn(60, 83)),
        (0.006, NoteOn(55, 20)),
        (0.5, NoteOn(64, 81)),
        (0.5, Pedal(True)),
        (0.505, NoteOff(60)),
        (0.7, NoteOff(61)),
        (3.21, Pedal(False)),
        (3.21, NoteOff(64)),
        *((4.0, NoteOn(pitch, 64)) for pitch in range(70, 20, -1)),
        (4.5, NoteOff(55)),
    ]
    return [TimedEvent(time_s, event) for time_s, event in timed]
