"""What a training run is asked to do, checked before anything is loaded."""

from dataclasses import dataclass
from pathlib import Path

from perceivers.errors import PerformerError

OPTIMIZERS = ("muon", "adamw")


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """The options of `training/train.py`; its help says what each one means.

    `training.run.command_line.parse` makes them, with every default filled in.
    """

    # the run
    run: Path
    minutes: float | None
    steps: int | None
    init: Path | None
    save_every_s: float
    validate_every: int
    seed: int
    device: str
    precision: str
    # the data
    midi: Path
    tokens: Path | None
    weight: list[tuple[str, float]]  # of data sets
    rehearsal: float
    # the model and the crops
    preset: str | None
    tell_keys: bool  # which keys are down, to a model that was not told so far
    carry: int | None  # latents before a crop that serve its self-attentions; None: the model's
    context: list[int] | None  # of the crops, taken in turn
    segmentation: str
    curriculum_steps: int | None
    batch: int
    micro_batch: int
    draw_processes: int  # 0: a thread draws the batches
    fuse: bool
    # the recipe
    rate: float
    optimizer: str
    weight_decay: float | None  # None: the optimiser's own
    decay_share: float
    average: float
    dropout: float
    prefix_dropout: float
    tag_dropout: float
    # augmentation
    transpose: list[int]  # lowest and highest, in semitones
    stretch: float
    velocity_shift: int

    def check(self, processes: int) -> None:
        """Refuse what cannot work. Raises PerformerError naming every such option at once."""
        broken = [f"{self._shown(name)} {rule}" for name, rule in self._broken(processes)]
        if broken:
            raise PerformerError("; ".join(broken))

    def _broken(self, processes: int) -> list[tuple[str, str]]:
        rules = (*self._run_rules(processes), *self._recipe_rules())
        return [(name, rule) for name, is_met, rule in rules if not is_met]

    def _run_rules(self, processes: int) -> tuple[tuple[str, bool, str], ...]:
        return (
            ("minutes", self.minutes is None or self.minutes > 0, "must be above 0"),
            ("steps", self.steps is None or self.steps > 0, "must be above 0"),
            ("context", all(length > 0 for length in self.context or []), "must be above 0"),
            ("tell_keys", not self.tell_keys or self.init is not None, "needs --init"),
            ("carry", self.carry is None or self.carry >= 0, "must not be negative"),
            (
                "curriculum_steps",
                self.curriculum_steps is None or self.curriculum_steps > 0,
                "must be above 0",
            ),
            (
                "segmentation",
                self.segmentation != "curriculum" or bool(self.curriculum_steps or self.steps),
                "needs --curriculum-steps, or --steps",
            ),
            ("batch", self.batch > 0, "must be above 0"),
            (
                "batch",
                self.batch % processes == 0,
                f"must be a multiple of the {processes} processes",
            ),
            ("micro_batch", self.micro_batch > 0, "must be above 0"),
            ("draw_processes", self.draw_processes >= 0, "must not be negative"),
            ("seed", self.seed >= 0, "must not be negative"),
            ("save_every_s", self.save_every_s >= 0, "must not be negative"),
            ("validate_every", self.validate_every > 0, "must be above 0"),
            (
                "init",
                self.init is None or self.init.exists(),
                "is neither a checkpoint nor a folder with one",
            ),
        )

    def _recipe_rules(self) -> tuple[tuple[str, bool, str], ...]:
        return (
            (
                "weight",
                all(0.0 <= factor < float("inf") for _, factor in self.weight),
                "must have factors of 0 or more",
            ),
            ("rehearsal", 0 <= self.rehearsal < 1, "must lie in 0 <= share < 1"),
            ("rate", self.rate > 0, "must be above 0"),
            (
                "weight_decay",
                self.weight_decay is None or self.weight_decay >= 0,
                "must not be negative",
            ),
            ("decay_share", 0 < self.decay_share <= 1, "must lie in 0 < share <= 1"),
            ("average", 0 <= self.average < 1, "must lie in 0 <= average < 1"),
            ("dropout", 0 <= self.dropout < 1, "must lie in 0 <= dropout < 1"),
            ("prefix_dropout", 0 <= self.prefix_dropout < 1, "must lie in 0 <= dropout < 1"),
            ("tag_dropout", 0 <= self.tag_dropout <= 1, "must lie in 0 <= share <= 1"),
            (
                "transpose",
                -11 <= self.transpose[0] <= self.transpose[1] <= 11,
                "must be the lowest and the highest, within -11 to 11 semitones",
            ),
            ("stretch", 0 <= self.stretch <= 0.5, "must lie in 0 <= stretch <= 0.5"),
            ("velocity_shift", 0 <= self.velocity_shift <= 31, "must lie in 0 to 31 bins"),
        )

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if name == "weight":
            return " ".join(f"--weight {dataset}={factor:g}" for dataset, factor in value)
        if value is True:
            return f"--{name.replace('_', '-')}"
        words = " ".join(map(str, value)) if isinstance(value, list) else str(value)
        return f"--{name.replace('_', '-')} {words}"
