"""The second judge of who plays: a small convolutional network that reads the notes themselves."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, gelu

from training.evaluation.metrics.notes import Floats
from training.evaluation.two_sample.classifiers import Heard, Labels, Rows, piece_folds
from training.evaluation.two_sample.passages import Passage

INPUTS = 6  # of a note
CHANNELS = 32
KERNEL = 5
DILATIONS = (1, 2, 4)
WINDOW_NOTES = 128  # read in training, from anywhere in the continuation
EPOCHS = 40
PATIENCE = 8  # epochs without a better loss on the pieces left out
BATCH = 32
RATE = 2e-3
TRANSPOSED_BY = 4  # semitones, up or down, while training


class _Notes(nn.Module):
    """Convolutions over notes, and the mean and the extremes of what they found."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(INPUTS, CHANNELS, KERNEL, padding=KERNEL // 2)
        self.further = nn.ModuleList(
            nn.Conv1d(CHANNELS, CHANNELS, KERNEL, padding=KERNEL // 2 * d, dilation=d)
            for d in DILATIONS
        )

    def forward(self, notes: Tensor, there: Tensor) -> Tensor:
        """Return (B, 2 * CHANNELS) for notes (B, INPUTS, T), of which `there` (B, T) exist."""
        mask = there[:, None].to(notes.dtype)
        x = gelu(self.first(notes)) * mask
        for convolution in self.further:
            x = (x + gelu(convolution(x))) * mask
        mean = x.sum(dim=2) / mask.sum(dim=2).clamp(min=1.0)
        highest = x.masked_fill(~there[:, None], -1e4).amax(dim=2)
        return torch.cat([mean, torch.where(there.any(dim=1)[:, None], highest, 0.0)], dim=1)


class _Judge(nn.Module):
    """Reads the primer and the continuation with the same eyes, then compares."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = _Notes()
        self.verdict = nn.Sequential(
            nn.LayerNorm(4 * CHANNELS),
            nn.Dropout(0.3),
            nn.Linear(4 * CHANNELS, CHANNELS),
            nn.GELU(),
            nn.Dropout(0.3),
            nn.Linear(CHANNELS, 1),
        )

    def forward(self, primer: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]) -> Tensor:
        """Return the log odds (B,) that a model plays what comes after the primer."""
        before, heard = self.reader(*primer), self.reader(*after)
        return torch.as_tensor(self.verdict(torch.cat([heard, heard - before], dim=1))[:, 0])


class NeuralClassifier:
    """Trains such a network on windows of the training rows, and stops early."""

    def __init__(self, heard: Sequence[Heard]) -> None:
        inputs: dict[int, Tensor] = {}

        def read(passage: Passage) -> Tensor:
            if id(passage) not in inputs:
                inputs[id(passage)] = torch.from_numpy(_inputs_of(passage))
            return inputs[id(passage)]

        self._rows = [(read(item.primer), read(item.continuation)) for item in heard]

    def scores(self, train: Rows, labels: Labels, test: Rows, seed: int) -> Floats:
        """Return the log odds that a model plays."""
        rng = np.random.default_rng(seed)
        fold = piece_folds(labels.piece, min(5, len(np.unique(labels.piece))), rng)
        watched = fold == 0 if fold.max() > 0 else np.ones(len(fold), dtype=bool)
        learnt = ~watched if fold.max() > 0 else watched
        with torch.random.fork_rng(devices=[]), _one_thread():
            torch.manual_seed(seed)
            judge = _Judge()
            truth = labels.of(np.flatnonzero(watched)).is_model
            self._train(judge, train[learnt], labels.is_model[learnt], (train[watched], truth), rng)
            return self._score(judge, test)

    def _train(
        self,
        judge: _Judge,
        rows: Rows,
        is_model: Floats,
        watched: tuple[Rows, Floats],
        rng: np.random.Generator,
    ) -> None:
        """Leave in `judge` the weights with the lowest loss on the rows that are watched."""
        optimizer = torch.optim.AdamW(judge.parameters(), RATE, weight_decay=0.05)
        best, best_loss, since = _copy(judge), float("inf"), 0
        for _ in range(EPOCHS):
            judge.train()
            order = rng.permutation(len(rows))
            for start in range(0, len(rows), BATCH):
                chosen = order[start : start + BATCH]
                windows = [_window(self._rows[row], rng) for row in rows[chosen]]
                odds = judge(*_batch(windows))
                loss = binary_cross_entropy_with_logits(
                    odds, torch.from_numpy(is_model[chosen]).float()
                )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            sign = 2.0 * watched[1] - 1.0
            now = float(np.logaddexp(0.0, -sign * self._score(judge, watched[0])).mean())
            best, best_loss, since = (
                (_copy(judge), now, 0) if now < best_loss else (best, best_loss, since + 1)
            )
            if since >= PATIENCE:
                break
        judge.load_state_dict(best)

    @torch.no_grad()
    def _score(self, judge: _Judge, rows: Rows) -> Floats:
        judge.eval()
        parts = [
            judge(*_batch([self._rows[row] for row in rows[start : start + BATCH]]))
            for start in range(0, len(rows), BATCH)
        ]
        return torch.cat(parts).double().numpy()


def _inputs_of(passage: Passage) -> npt.NDArray[np.float32]:
    """Return (INPUTS, T): how each note follows the one before, each about as large as 1."""
    gap_s = np.diff(passage.onset_s, prepend=passage.onset_s[:1])
    step = np.diff(passage.pitch, prepend=passage.pitch[:1])
    return np.stack(
        [
            (passage.pitch - 64.0) / 16.0,
            step / 8.0,
            np.log2(gap_s + 0.01) / 3.0 + 1.0,
            np.log2(passage.length_s) / 3.0 + 0.5,
            (passage.velocity - 16.0) / 5.0,
            passage.pedal,
        ]
    ).astype(np.float32)


def _window(row: tuple[Tensor, Tensor], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return the end of the primer and a stretch of what follows, transposed alike."""
    primer, after = row
    start = int(rng.integers(max(1, after.shape[1] - WINDOW_NOTES + 1)))
    shift = torch.zeros(INPUTS, 1)
    shift[0] = float(rng.integers(-TRANSPOSED_BY, TRANSPOSED_BY + 1)) / 16.0
    return primer[:, -WINDOW_NOTES:] + shift, after[:, start : start + WINDOW_NOTES] + shift


def _batch(
    rows: Sequence[tuple[Tensor, Tensor]],
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    return _padded([primer for primer, _ in rows]), _padded([after for _, after in rows])


def _padded(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return notes of several lengths as (B, INPUTS, T), and which of them exist."""
    longest = max(1, *(part.shape[1] for part in parts)) if parts else 1
    notes = torch.zeros(len(parts), INPUTS, longest)
    there = torch.zeros(len(parts), longest, dtype=torch.bool)
    for row, part in enumerate(parts):
        notes[row, :, : part.shape[1]] = part
        there[row, : part.shape[1]] = True
    return notes, there


def _copy(judge: _Judge) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in judge.state_dict().items()}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: networks this small only wait for each other on more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
