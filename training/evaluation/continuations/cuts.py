"""Where performances are cut: a primer before the instant, so many notes of a pianist after it.

Everything is cut on the grid of the tokens (10 ms, 32 velocity bins), pianists and models alike,
so that nobody is told apart by the grid. A cut lies at the onset of a chord, nothing else happens
in its step, and the keys that are down there come up there; what is said of the pianist's notes
after it holds for a model's as well, because one function, `answer_after`, takes both.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from perceivers import vocabulary as v
from perceivers.decoder import decode
from perceivers.encoder import encode, step_of
from perceivers.errors import MidiFileError, PerformerError
from perceivers.events import NoteOff, NoteOn, Pedal, TimedEvent
from perceivers.midi_files import read_performance
from training.data.midi_folder import MidiFile

EXTRA_NOTES = 32
"""Played on after those that count, so that the last of them are released as they would be."""

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CutRules:
    """How performances are cut, how often, and by which seed."""

    notes: int = 256  # of the continuation
    primer_notes: int = 128  # at least, before the cut
    count: int = 100
    seed: int = 0

    @property
    def played_notes(self) -> int:
        """Return how many notes there must be after a cut."""
        return self.notes + EXTRA_NOTES


@dataclass(frozen=True, slots=True)
class Cut:
    """One performance, cut at one instant."""

    file: MidiFile
    group: str  # the composition, as far as it is known
    step: int
    primer: list[TimedEvent]
    human: list[TimedEvent]

    @property
    def cut_s(self) -> float:
        """Return the instant, in seconds from the first event of the performance."""
        return self.step / v.STEPS_PER_SECOND


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A performance that can be cut, and where; kept as tokens, which are small."""

    file: MidiFile
    group: str
    tokens: npt.NDArray[np.uint16]
    steps: Indices


def quantised(events: Sequence[TimedEvent]) -> list[TimedEvent]:
    """Return a performance as its tokens tell it, the first event at 0 s."""
    return decode(_tokens_of(events).tolist())


def _tokens_of(events: Sequence[TimedEvent]) -> npt.NDArray[np.uint16]:
    start_s = events[0].time_s
    shifted = (TimedEvent(event.time_s - start_s, event.event) for event in events)
    return np.array(encode(shifted), dtype=np.uint16)


def possible_steps(events: Sequence[TimedEvent], rules: CutRules) -> Indices:
    """Return the steps at which a quantised performance can be cut, in order."""
    total = sum(isinstance(event.event, NoteOn) for event in events)
    found = []
    notes, onset_step, last_step = 0, -v.CHORD_STEPS - 1, -1
    for time_s, event in events:
        step = step_of(time_s)
        if isinstance(event, NoteOn):
            alone = step > last_step and step > onset_step + v.CHORD_STEPS
            if alone and rules.primer_notes <= notes <= total - rules.played_notes:
                found.append(step)
            notes, onset_step = notes + 1, step
        last_step = step
    return np.array(found, dtype=np.int64)


def primer_before(events: Sequence[TimedEvent], step: int) -> list[TimedEvent]:
    """Return what is heard before a step; the keys that are down come up at it."""
    heard = [event for event in events if step_of(event.time_s) < step]
    down: set[int] = set()
    for _, event in heard:
        if isinstance(event, NoteOn):
            down.add(event.pitch)
        elif isinstance(event, NoteOff):
            down.discard(event.pitch)
    return heard + [TimedEvent(step / v.STEPS_PER_SECOND, NoteOff(p)) for p in sorted(down)]


def answer_after(events: Sequence[TimedEvent], step: int, notes: int) -> list[TimedEvent]:
    """Return the first notes of a quantised performance from a step on, which becomes 0 s.

    Each note keeps its own release; the pedal begins as it is when the first note is struck, and
    comes up with the last release. Releases of keys struck before are left out.

    Raises ValueError when there are fewer notes.
    """
    answer: list[TimedEvent] = []
    sounding: set[int] = set()
    pedal, struck = False, 0
    for time_s, event in events:
        at_s = (step_of(time_s) - step) / v.STEPS_PER_SECOND
        match event:
            case Pedal(down=down):
                pedal = down
                if struck:
                    answer.append(TimedEvent(at_s, event))
            case NoteOn(pitch=pitch) if at_s >= 0 and struck < notes:
                if not struck and pedal:
                    answer.append(TimedEvent(0.0, Pedal(True)))
                struck += 1
                sounding.add(pitch)
                answer.append(TimedEvent(at_s, event))
            case NoteOff(pitch=pitch) if pitch in sounding:
                sounding.remove(pitch)
                answer.append(TimedEvent(at_s, event))
        if struck == notes and not sounding:
            break
    if struck < notes or sounding:
        raise ValueError(f"{struck} notes after the cut, and {len(sounding)} of them never end")
    return answer + ([TimedEvent(answer[-1].time_s, Pedal(False))] if pedal else [])


def choose_cuts(
    root: Path,
    files: Sequence[MidiFile],
    groups: Mapping[str, str],
    rules: CutRules,
    quiet: bool = False,
) -> list[Cut]:
    """Choose cuts by a seed, spread evenly over compositions, then over performances.

    `groups` names the composition of a path. Where there are fewer performances than cuts, each is
    cut in several places, one out of each equal share of its onsets. The order is shuffled: the
    first ten are as good a sample as any. Raises PerformerError when there is too little music.
    """
    rng = np.random.default_rng(rules.seed)
    shuffled = [files[index] for index in rng.permutation(len(files))]
    candidates: list[_Candidate] = []
    with tqdm(total=rules.count, desc="choosing", unit="piece", disable=quiet) as bar:
        for candidate in _candidates(root, _in_turn(shuffled, groups), groups, rules):
            candidates.append(candidate)
            bar.update()
            if len(candidates) == rules.count:
                break
    possible = sum(len(candidate.steps) for candidate in candidates)
    if possible < rules.count:
        raise PerformerError(
            f"{root}: {len(files)} files allow {possible} cuts with {rules.primer_notes} notes "
            f"before and {rules.played_notes} after, not {rules.count}: ask for fewer or shorter"
        )
    return list(_cuts(candidates, rules, rng))


def _in_turn(files: Sequence[MidiFile], groups: Mapping[str, str]) -> list[MidiFile]:
    """Order files so that every composition comes once before any comes twice."""
    seen: Counter[str] = Counter()
    turns: defaultdict[int, list[MidiFile]] = defaultdict(list)
    for file in files:
        group = groups.get(file.path, file.path)
        turns[seen[group]].append(file)
        seen[group] += 1
    return [file for turn in sorted(turns) for file in turns[turn]]


def _candidates(
    root: Path, files: Sequence[MidiFile], groups: Mapping[str, str], rules: CutRules
) -> Iterator[_Candidate]:
    """Yield the files that can be cut; what cannot be read is passed over, as in preparing."""
    for file in files:
        try:
            events = read_performance(root / file.path)
        except MidiFileError:
            continue
        if not events:
            continue
        tokens = _tokens_of(events)
        steps = possible_steps(decode(tokens.tolist()), rules)
        if len(steps):
            yield _Candidate(file, groups.get(file.path, file.path), tokens, steps)


def _cuts(
    candidates: Sequence[_Candidate], rules: CutRules, rng: np.random.Generator
) -> Iterator[Cut]:
    """Yield cuts in rounds: one of every performance, then a second of every one, and so on."""
    shares = _shares([len(candidate.steps) for candidate in candidates], rules.count)
    chosen = [
        rng.permutation([int(rng.choice(part)) for part in np.array_split(candidate.steps, share)])
        for candidate, share in zip(candidates, shares, strict=True)
    ]
    for turn in range(max(shares)):
        for candidate, steps in zip(candidates, chosen, strict=True):
            if turn >= len(steps):
                continue
            events = decode(candidate.tokens.tolist())
            step = int(steps[turn])
            yield Cut(
                candidate.file,
                candidate.group,
                step,
                primer_before(events, step),
                answer_after(events, step, rules.notes),
            )


def _shares(possible: Sequence[int], count: int) -> list[int]:
    """Return how often each performance is cut: evenly, as far as each allows."""
    shares = [0] * len(possible)
    while sum(shares) < count:
        for index, most in enumerate(possible):
            if shares[index] < most and sum(shares) < count:
                shares[index] += 1
    return shares
