"""One training run: the loop and its clock."""

import time
from contextlib import closing, nullcontext
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast
from torch import Tensor

from perceivers.architecture import Architecture
from perceivers.checkpoint import Checkpoint
from perceivers.errors import PerformerError
from perceivers.model import PerceiverS
from perceivers.vocabulary import Flavour
from training.data.batches import Batch
from training.data.prefetch import drawing_ahead
from training.data.preparation import prepare, print_report
from training.run.data import TOKENS, licence_of, open_data
from training.run.fusing import fuse_blocks, unfused
from training.run.keeping import Keeper
from training.run.learning_curve import LearningCurve, Point
from training.run.next_steps import next_steps
from training.run.optimizers import CLIP_NORM, Optimizers
from training.run.options import TrainingOptions
from training.run.precision import BF16, chosen_precision
from training.run.schedule import Budget, rate_factor
from training.run.state import (
    BEST,
    LAST,
    STABLE,
    Progress,
    begun_progress,
    load_weights,
    saved_state,
    starting_point,
)
from training.run.status_line import StatusLine
from training.run.stop_signal import StopSignal
from training.run.validation import batch_nll, mean_nll
from training.run.weight_average import WeightAverage


class Trainer:
    """A run in its folder: what is there is taken up, what is missing is made.

    architecture: that of the model, where it is none of the presets.
    """

    def __init__(self, options: TrainingOptions, architecture: Architecture | None = None) -> None:
        self.options = options
        self.run = options.run
        on_cpu = options.device == "cpu"
        self.precision = chosen_precision(options.precision, PartialState(cpu=on_cpu).device)
        self.accelerator = Accelerator(
            mixed_precision="bf16" if self.precision == BF16 else "no", cpu=on_cpu
        )
        self.budget = Budget(
            options.steps,
            None if options.minutes is None else 60.0 * options.minutes,
            options.decay_share,
        )
        resumed = saved_state(self.run, options.steps)
        start = starting_point(options, resumed, architecture)
        self.architecture = start.architecture
        self.data = open_data(options, self.architecture, self._prepare)
        if resumed is None:
            self.progress = begun_progress(start, self.data.told, licence_of(options))
        else:
            self.progress = Progress(**resumed.progress)
            self.progress.data = self.progress.data or self.data.told  # older runs say nothing
        if not (self.run / BEST).exists():
            self.progress.best_validation_nll = float("inf")
        torch.manual_seed(options.seed)
        model = PerceiverS(self.architecture, options.dropout, options.prefix_dropout)
        if start.weights is not None:
            load_weights(model, start, self.data.flavour)
        if options.fuse:
            fuse_blocks(model)
        self.model = self.accelerator.prepare(model)
        self._prepare_steps(resumed)
        self.curve = LearningCurve(self.run)
        self._stop = StopSignal()

    def _prepare_steps(self, resumed: Checkpoint | None) -> None:
        """Make what changes the weights, and take up its saved state."""
        options = self.options
        self.optimizers = Optimizers(
            self._plain_model, options.rate, options.optimizer, options.weight_decay
        )
        self.average: WeightAverage | None = None
        if options.average:
            self.average = WeightAverage(self._plain_model, options.average)
        self.keeper = Keeper(
            self.run,
            self.architecture,
            self.data.flavour,
            self._plain_model,
            self.optimizers,
            self.average,
        )
        if resumed is None:
            return
        self.optimizers.restore(resumed.resume)
        if self.average is not None and "average" in resumed.resume:
            self.average.restore(**resumed.resume["average"])

    def _prepare(self, midi: Path, tokens: Path, flavour: Flavour) -> None:
        """Make token files, once for all processes."""
        with self.accelerator.main_process_first():
            if self.accelerator.is_main_process:
                print_report(prepare(midi, tokens, flavour=flavour))

    # --- the loop ---

    def train(self) -> None:
        """Run until the budget is used up or a signal asks to stop; then save."""
        ahead = drawing_ahead(self._micro_batches, self.options.draw_processes)
        with self._stop.listening(), closing(ahead) as self._ahead:
            self._begin()
            while self._plan_step():
                factor = rate_factor(self.progress.step, self.progress.decay)
                nll, tokens = self._step(factor)
                self._count(nll, tokens)
                self._validate_and_record(nll, factor)
                self._save_if_due()
                self._tell_if_due()
            self._finish()

    def _begin(self) -> None:
        self.run.mkdir(parents=True, exist_ok=True)
        self._announce()
        self._started_s = self._saved_s = time.monotonic()
        self._seconds_before = self.progress.seconds
        self._decay_at_start = self.progress.decay
        share_used = self.budget.share_used(self.progress.step, 0.0)
        self._status = StatusLine(self._started_s, share_used)
        if self._is_main:
            self.curve.rewind(self.progress.step)
        if self.progress.step == 0:
            self._validate()
            self._record(Point(0, 0, None, self.progress.validation_nll, 0.0))
            self._tell_validation()

    def _plan_step(self) -> bool:
        """Settle how far the decay is; tell whether there is another step to do."""
        elapsed_s = self._agreed_clock()
        self._share_used = self.budget.share_used(self.progress.step, elapsed_s)
        decay = self.budget.decay_progress(self.progress.step, elapsed_s, self._decay_at_start)
        if decay > 0.0 and self.progress.decay == 0.0:
            self._save(STABLE)
        self.progress.decay = decay
        self.progress.seconds = self._seconds_before + elapsed_s
        return not self._stop.asked and self._share_used < 1.0

    def _step(self, factor: float) -> tuple[float, int]:
        """Train on one batch; return its mean loss (nats/token) and its loss tokens."""
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        torch.manual_seed(_seed_of(self.options.seed, self.progress.step, rank))
        batches = self._ahead.batches(self.progress.step)
        count = torch.tensor(
            sum(batch.loss_tokens for batch in batches), device=self.accelerator.device
        )
        total = int(self._summed(count))
        nll = torch.zeros((), device=self.accelerator.device)
        for batch in batches[:-1]:
            with self.accelerator.no_sync(self.model):
                nll += self._backward(batch, world / total)
        nll += self._backward(batches[-1], world / total)
        self.accelerator.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self.optimizers.step(factor)
        if self.average is not None:
            self.average.update(self._plain_model)
        return float(self._summed(nll)) / total, total

    def _micro_batches(self, step: int) -> list[Batch]:
        """Return this process's rows of the batch of one step, a few at a time."""
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        share, width = self.options.batch // world, self.options.micro_batch
        rows = range(rank * share, (rank + 1) * share)
        parts = [rows[i : i + width] for i in range(0, len(rows), width)]
        return [self.data.source.batch(step, part) for part in parts]

    def _backward(self, batch: Batch, weight: float) -> Tensor:
        with self.accelerator.autocast():
            loss = batch_nll(self.model, batch, self.accelerator.device)
        self.accelerator.backward(loss * weight)
        return loss.detach()

    def _summed(self, value: Tensor) -> Tensor:
        """Return the sum over all processes."""
        summed: Tensor = self.accelerator.reduce(value)
        return summed

    def _count(self, nll: float, tokens: int) -> None:
        if not np.isfinite(nll):
            raise PerformerError(
                f"the loss is {nll} at step {self.progress.step}; the last saved checkpoint stays. "
                "Try a lower --rate, or --precision fp32"
            )
        self.progress.step += 1
        self.progress.tokens += tokens
        self._status.add(nll, tokens)

    def _validate_and_record(self, nll: float, factor: float) -> None:
        step, validation_nll = self.progress.step, None
        if step % self.options.validate_every == 0:
            self._validate()
            validation_nll = self.progress.validation_nll
        self._record(Point(step, self.progress.tokens, nll, validation_nll, factor))
        if validation_nll is not None:
            self._draw()
            self._tell_validation()

    def _save_if_due(self) -> None:
        if time.monotonic() - self._saved_s >= self.options.save_every_s:
            self._save(LAST)
            self._saved_s = time.monotonic()

    def _tell_if_due(self) -> None:
        now_s = time.monotonic()
        if self._status.due(now_s):
            progress = self.progress
            self._say(self._status.line(progress.step, progress.tokens, self._share_used, now_s))

    def _finish(self) -> None:
        if self._stop.asked:  # save first and at once: whoever stops a run may not wait long
            self._save(LAST)
            self._draw()
            self._say("stopped; the same command goes on from here")
            return
        if self.progress.step % self.options.validate_every:
            self._validate()
            self._record(self._last_point._replace(validation_nll=self.progress.validation_nll))
            self._tell_validation()
        self._draw()
        self._save(LAST)
        tokens = self.options.tokens or self.run / TOKENS
        self._say(
            f"done: step {self.progress.step}, {self.progress.tokens:,} tokens, validation "
            f"{self.progress.validation_nll:.3f} nats/token; the best so far, "
            f"{self.progress.best_validation_nll:.3f}, is {self.run / BEST}\n"
            + next_steps(self.run, tokens, self.architecture, self.data.flavour)
        )

    # --- what the loop stands on ---

    def _validate(self) -> None:
        """Take the loss on unseen pieces; keep the weights if they are the best so far.

        Where the starter set is rehearsed, both losses count, as both are trained.
        """
        device, share = self.accelerator.device, self.options.rehearsal
        plain = unfused() if self.options.fuse else nullcontext()  # it takes seconds to load
        with self.keeper.weights_to_play() as model, self.accelerator.autocast(), plain:
            self._on_data = nll = mean_nll(model, self.data.validation, device)
            if self.data.rehearsal:
                self._on_rehearsal = mean_nll(model, self.data.rehearsal, device)
                nll = (1.0 - share) * nll + share * self._on_rehearsal
        self.progress.validation_nll = nll
        if nll < self.progress.best_validation_nll:
            self.progress.best_validation_nll = nll
            self._save(BEST)

    def _tell_validation(self) -> None:
        line = f"step {self.progress.step:>6}  validation {self.progress.validation_nll:.3f}"
        if self.data.rehearsal:
            line += f"  (new pieces {self._on_data:.3f}, starter set {self._on_rehearsal:.3f})"
        self._say(line)

    def _save(self, name: str) -> None:
        if self._is_main:
            self.keeper.save(name, self.progress)

    def _record(self, point: Point) -> None:
        self._last_point = point
        if self._is_main:
            self.curve.append(point)

    def _draw(self) -> None:
        if self._is_main:
            self.curve.draw()

    def _agreed_clock(self) -> float:
        """Return the main process's elapsed seconds, so that all stop at the same step."""
        elapsed_s = time.monotonic() - self._started_s
        if self.accelerator.num_processes == 1:
            return elapsed_s
        state = torch.tensor([elapsed_s, self._stop.asked], device=self.accelerator.device)
        elapsed, stopping = broadcast(state).tolist()
        self._stop.asked = stopping > 0
        return float(elapsed)

    @property
    def _plain_model(self) -> PerceiverS:
        """The model without the wrapper that several devices need."""
        model: PerceiverS = self.accelerator.unwrap_model(self.model)
        return model

    @property
    def _is_main(self) -> bool:
        return bool(self.accelerator.is_main_process)

    def _announce(self) -> None:
        size = sum(p.numel() for p in self._plain_model.parameters()) / 1e6
        verb = "going on" if self.progress.step else "starting"
        self._say(
            f"{verb} at step {self.progress.step}: {size:.1f} M parameters in {self.precision} on "
            f"{self.accelerator.device} x {self.accelerator.num_processes}, run {self.run}"
        )

    def _say(self, text: str) -> None:
        if self._is_main:
            print(text, flush=True)


def _seed_of(seed: int, step: int, rank: int) -> int:
    """Return the seed of the dropout of one step: the same whenever that step is run."""
    return int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0])
