"""Train a PerceiverS model on a folder of MIDI files.

    python training/train.py                               the starter set, small model
    python training/train.py --midi my-recordings/         other music
    python training/train.py --minutes 30                  as good as it gets in half an hour

A run lives in a folder (--run): started again, it goes on where it stopped, also after a kill.
With --minutes it may be run again and again: each time it goes on from the state before the last
decay of the learning rate. On several devices or machines: `accelerate launch training/train.py`.
"""

import argparse
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

if __package__ in (None, ""):  # run as a script: import from this checkout, not from this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast

from perceivers.architecture import Architecture
from perceivers.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from perceivers.errors import PerformerError
from perceivers.model import PerceiverS
from training.batches import Batch, BatchSource
from training.learning_curve import Point, append_point, draw
from training.optimizers import CLIP_NORM, Optimizers
from training.prepare_data import prepare, print_report
from training.presets import PRESETS
from training.schedule import Budget, rate_factor
from training.token_store import INDEX, TokenStore
from training.validation import batch_nll, fixed_batches, mean_nll

STARTER_SET = Path(__file__).resolve().parent / "starter"
LAST, STABLE, BEST = "last.pt", "stable.pt", "best.pt"


@dataclass(slots=True)
class Progress:
    """Where a run stands; saved with every checkpoint."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    decay: float = 0.0
    best_validation_nll: float = float("inf")
    validation_nll: float = float("inf")

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class Trainer:
    """One run: model, optimisers, data and progress."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.run: Path = options.run
        self.accelerator = Accelerator(
            mixed_precision="no" if options.precision == "fp32" else "bf16",
            cpu=options.device == "cpu",
        )
        tokens = _token_folder(options, self.accelerator)
        last = self.run / LAST
        resumed = load_checkpoint(last) if last.exists() else None
        if resumed is not None and resumed.progress["decay"] >= 1.0:
            resumed = self._state_before_decay(resumed)
        initial = resumed
        if initial is None and options.init is not None:
            initial = load_checkpoint(options.init)
        architecture = PRESETS[options.preset] if initial is None else initial.architecture
        torch.manual_seed(options.seed)
        model = PerceiverS(architecture, options.dropout)
        if initial is not None:
            model.load_state_dict(initial.weights)
        self.architecture = architecture
        self.model = self.accelerator.prepare(model)
        self.optimizers = Optimizers(self.accelerator.unwrap_model(self.model), options.rate)
        self.progress = Progress()
        if resumed is not None:
            self.optimizers.restore(resumed.resume)
            self.progress = Progress(**resumed.progress)
        self._open_data(tokens, architecture)
        self._stopping = False

    def _state_before_decay(self, finished: Checkpoint) -> Checkpoint:
        """Choose where a finished run goes on: a budget in minutes starts a new stable part."""
        if self.options.steps is not None and self.options.steps <= finished.progress["step"]:
            raise PerformerError(
                f"{self.run}: finished at step {finished.progress['step']}; nothing left to do "
                f"with --steps {self.options.steps} (give more, or another --run)"
            )
        return load_checkpoint(self.run / STABLE)

    def _open_data(self, folder: Path, architecture: Architecture) -> None:
        context = min(self.options.context or architecture.context, architecture.context)
        train, validation = TokenStore(folder, "train"), TokenStore(folder, "validation")
        if not len(train):
            raise PerformerError(f"{folder}: no piece of the split 'train'")
        self.source = BatchSource(train, context, architecture.latents, self.options.seed)
        self.validation = fixed_batches(
            validation, architecture.context, architecture.latents, self.options.micro_batch
        )

    def train(self) -> None:
        """Run until the budget is used up or a signal asks to stop; then save."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask_to_stop)
        self._announce()
        budget = Budget(
            self.options.steps,
            None if self.options.minutes is None else 60.0 * self.options.minutes,
            self.options.decay_share,
        )
        started_s = saved_s = time.monotonic()
        decay_at_start = self.progress.decay
        curve = CurveWriter(self.run, self.progress)
        if self.progress.step == 0:
            self._validate()
            self._say(f"before training: validation {self.progress.validation_nll:.3f}")
        while True:
            elapsed_s = self._agree(time.monotonic() - started_s)
            share = budget.progress(self.progress.step, elapsed_s)
            decay = budget.decay_progress(share, decay_at_start)
            if decay > 0.0 and self.progress.decay == 0.0:
                self._save(STABLE)
            self.progress.decay = decay
            if self._stopping or share >= 1.0:
                break
            nll, tokens = self._step(rate_factor(self.progress.step, decay))
            self.progress.step += 1
            self.progress.tokens += tokens
            curve.add(nll, tokens)
            if self.progress.step % self.options.validate_every == 0:
                self._validate()
                self._write_curve(curve, rate_factor(self.progress.step, decay))
                self._say(f"validation {self.progress.validation_nll:.3f}")
            if time.monotonic() - saved_s > self.options.save_every_s:
                self._save(LAST)
                saved_s = time.monotonic()
            if curve.due():
                self._say(curve.line(share, elapsed_s, self._stopping))
        self._finish(curve)

    def _finish(self, curve: "CurveWriter") -> None:
        self._validate()
        self._write_curve(curve, 0.0)
        self._save(LAST)
        if self._stopping:
            self._say("stopped; the same command goes on from here")
            return
        best = self.run / BEST
        self._say(
            f"done: step {self.progress.step}, {self.progress.tokens:,} tokens, "
            f"validation {self.progress.validation_nll:.3f} nats/token, best checkpoint {best}\n"
            f"export it:  python export/export_onnx.py {best} {self.run / 'model'}\n"
            f"play it:    python -m daemon --model {self.run / 'model'}"
        )

    def _step(self, factor: float) -> tuple[float, int]:
        """Train on one batch; return its mean loss (nats/token) and its loss tokens."""
        accelerator = self.accelerator
        rank, world = accelerator.process_index, accelerator.num_processes
        torch.manual_seed(_seed_of(self.options.seed, self.progress.step, rank))
        share = self.options.batch // world
        rows = range(rank * share, (rank + 1) * share)
        width = self.options.micro_batch
        batches = [
            self.source.batch(self.progress.step, rows[i : i + width])
            for i in range(0, len(rows), width)
        ]
        count = sum(batch.loss_tokens for batch in batches)
        total = int(accelerator.reduce(torch.tensor(count, device=accelerator.device)).item())
        nll = torch.zeros((), device=accelerator.device)
        for number, batch in enumerate(batches):
            nll += self._backward(batch, world / total, last=number == len(batches) - 1)
        accelerator.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self.optimizers.step(factor)
        return float(accelerator.reduce(nll)) / total, total

    def _backward(self, batch: Batch, weight: float, last: bool) -> torch.Tensor:
        accelerator = self.accelerator
        if not last:
            with accelerator.no_sync(self.model), accelerator.autocast():
                loss = batch_nll(self.model, batch, accelerator.device)
                accelerator.backward(loss * weight)
                return loss.detach()
        with accelerator.autocast():
            loss = batch_nll(self.model, batch, accelerator.device)
        accelerator.backward(loss * weight)
        return loss.detach()

    def _validate(self) -> None:
        with self.accelerator.autocast():
            model = self.accelerator.unwrap_model(self.model)
            nll = mean_nll(model, self.validation, self.accelerator.device)
        self.progress.validation_nll = nll
        if nll < self.progress.best_validation_nll:
            self.progress.best_validation_nll = nll
            self._save(BEST)

    def _save(self, name: str) -> None:
        if not self.accelerator.is_main_process:
            return
        model = self.accelerator.unwrap_model(self.model)
        weights = {key: value.detach().cpu() for key, value in model.state_dict().items()}
        resume = {} if name == BEST else self.optimizers.state()
        checkpoint = Checkpoint(self.architecture, weights, self.progress.to_json(), resume)
        save_checkpoint(self.run / name, checkpoint)

    def _write_curve(self, curve: "CurveWriter", factor: float) -> None:
        if self.accelerator.is_main_process:
            curve.write(self.progress, factor)

    def _agree(self, elapsed_s: float) -> float:
        """Return the main process's clock, so that all processes stop at the same step."""
        if self.accelerator.num_processes == 1:
            return elapsed_s
        state = torch.tensor(
            [elapsed_s, float(self._stopping)],
            dtype=torch.float64,
            device=self.accelerator.device,
        )
        agreed = broadcast(state)
        self._stopping = bool(agreed[1] > 0)
        return float(agreed[0])

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._stopping:
            raise KeyboardInterrupt
        self._stopping = True

    def _announce(self) -> None:
        size = sum(p.numel() for p in self.accelerator.unwrap_model(self.model).parameters()) / 1e6
        verb = "going on" if self.progress.step else "starting"
        self._say(
            f"{verb} at step {self.progress.step}: {size:.1f} M parameters on "
            f"{self.accelerator.device} x {self.accelerator.num_processes}, run {self.run}"
        )

    def _say(self, text: str) -> None:
        if self.accelerator.is_main_process:
            print(text, flush=True)


class CurveWriter:
    """Gathers losses between the lines of the learning curve and of the screen."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._folder = folder
        self._progress = progress
        self._losses: list[float] = []
        self._shown_s = time.monotonic()
        self._shown_tokens = progress.tokens
        self._recent: list[float] = []

    def add(self, nll: float, tokens: int) -> None:
        """Take the loss of one step."""
        del tokens
        self._losses.append(nll)
        self._recent.append(nll)

    def due(self) -> bool:
        """Tell whether it is time for a line on the screen."""
        return time.monotonic() - self._shown_s >= 10.0

    def line(self, share: float, elapsed_s: float, stopping: bool) -> str:
        """Return the line: step, loss, speed and time left."""
        now_s = time.monotonic()
        rate = (self._progress.tokens - self._shown_tokens) / (now_s - self._shown_s)
        loss = sum(self._recent) / len(self._recent)
        self._shown_s, self._shown_tokens, self._recent = now_s, self._progress.tokens, []
        left_s = elapsed_s * (1.0 - share) / share if share > 0 else float("inf")
        ending = "stopping" if stopping else f"{_clock(left_s)} left"
        return (
            f"step {self._progress.step:>6}  loss {loss:.3f}  {rate:,.0f} tokens/s  "
            f"{self._progress.tokens / 1e6:.2f} M tokens  {ending}"
        )

    def write(self, progress: Progress, factor: float) -> None:
        """Add a line to the curve and draw it."""
        if self._losses:
            mean = sum(self._losses) / len(self._losses)
            point = Point(progress.step, progress.tokens, mean, progress.validation_nll, factor)
            append_point(self._folder, point)
            draw(self._folder)
        self._losses = []


def _seed_of(seed: int, step: int, rank: int) -> int:
    """Return the seed of the dropout of one step: the same whenever that step is run."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0])


def _clock(seconds: float) -> str:
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _token_folder(options: argparse.Namespace, accelerator: Accelerator) -> Path:
    """Return the prepared tokens, preparing them first if need be."""
    if options.tokens is not None:
        tokens: Path = options.tokens
        if not (tokens / INDEX).exists():
            raise PerformerError(f"{tokens}: no {INDEX}; prepare it with training/prepare_data.py")
        return tokens
    prepared: Path = options.run / "tokens"
    with accelerator.main_process_first():
        if accelerator.is_main_process:
            print_report(prepare(options.midi, prepared))
    return prepared


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = parser.add_argument_group("data")
    data.add_argument("--midi", type=Path, default=STARTER_SET, help="folder of MIDI files")
    data.add_argument("--tokens", type=Path, help="folder made by prepare_data.py, instead")
    run = parser.add_argument_group("run")
    run.add_argument("--run", type=Path, default=Path("runs/default"), help="folder of this run")
    run.add_argument("--minutes", type=float, help="time budget of this invocation")
    run.add_argument("--steps", type=int, help="steps in all (default: 2000 without --minutes)")
    run.add_argument("--init", type=Path, help="checkpoint to start from (best.pt of another run)")
    run.add_argument("--save-every-s", type=float, default=60.0)
    run.add_argument("--validate-every", type=int, default=100, help="in steps")
    model = parser.add_argument_group("model and recipe")
    model.add_argument("--preset", choices=sorted(PRESETS), default="small")
    model.add_argument("--context", type=int, help="context of the crops (default: the model's)")
    model.add_argument("--batch", type=int, default=4, help="crops per step, over all devices")
    model.add_argument("--micro-batch", type=int, default=4, help="crops at once on a device")
    model.add_argument("--rate", type=float, default=1.0, help="factor on the learning rates")
    model.add_argument("--dropout", type=float, default=0.1)
    model.add_argument("--decay-share", type=float, default=0.35, help="of the budget")
    model.add_argument("--seed", type=int, default=0)
    model.add_argument("--device", choices=("auto", "cpu"), default="auto")
    model.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    options = parser.parse_args(arguments)
    if options.steps is None and options.minutes is None:
        options.steps = 2000
    return options


def check(options: argparse.Namespace) -> None:
    """Refuse options that cannot work. Raises PerformerError naming them all."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rules = {
        f"--batch {options.batch} must be a multiple of {world} processes": options.batch % world,
        f"--minutes {options.minutes} must be above 0": (options.minutes or 1) <= 0,
        f"--steps {options.steps} must be above 0": (options.steps or 1) <= 0,
        f"--decay-share {options.decay_share} must lie in (0, 1]": not 0 < options.decay_share <= 1,
        f"--dropout {options.dropout} must lie in [0, 1)": not 0 <= options.dropout < 1,
        f"--micro-batch {options.micro_batch} must be at least 1": options.micro_batch < 1,
    }
    broken = [rule for rule, is_broken in rules.items() if is_broken]
    if broken:
        raise PerformerError("; ".join(broken))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    options = parse(arguments)
    try:
        check(options)
        options.run.mkdir(parents=True, exist_ok=True)
        Trainer(options).train()
    except PerformerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped at once; the last saved checkpoint stays", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
