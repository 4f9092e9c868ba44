"""What a training run is asked to do, checked before anything is loaded."""

from dataclasses import dataclass
from pathlib import Path

from perceivers.errors import PerformerError


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """The options of `training/train.py`; its help says what each one means."""

    run: Path
    midi: Path
    tokens: Path | None
    minutes: float | None
    steps: int | None
    init: Path | None
    preset: str | None
    context: list[int] | None  # of the crops, taken in turn
    batch: int
    micro_batch: int
    rate: float
    dropout: float
    decay_share: float
    seed: int
    save_every_s: float
    validate_every: int
    device: str
    precision: str

    def check(self, processes: int) -> None:
        """Refuse what cannot work. Raises PerformerError naming every such option at once."""
        broken = [f"{self._shown(name)} {rule}" for name, rule in self._broken(processes)]
        if broken:
            raise PerformerError("; ".join(broken))

    def _broken(self, processes: int) -> list[tuple[str, str]]:
        rules = (
            ("minutes", self.minutes is None or self.minutes > 0, "must be above 0"),
            ("steps", self.steps is None or self.steps > 0, "must be above 0"),
            ("context", all(length > 0 for length in self.context or []), "must be above 0"),
            ("batch", self.batch > 0, "must be above 0"),
            (
                "batch",
                self.batch % processes == 0,
                f"must be a multiple of the {processes} processes",
            ),
            ("micro_batch", self.micro_batch > 0, "must be above 0"),
            ("rate", self.rate > 0, "must be above 0"),
            ("dropout", 0 <= self.dropout < 1, "must lie in 0 <= dropout < 1"),
            ("decay_share", 0 < self.decay_share <= 1, "must lie in 0 < share <= 1"),
            ("seed", self.seed >= 0, "must not be negative"),
            ("save_every_s", self.save_every_s >= 0, "must not be negative"),
            ("validate_every", self.validate_every > 0, "must be above 0"),
            ("init", self.init is None or self.init.is_file(), "is no file"),
        )
        return [(name, rule) for name, is_met, rule in rules if not is_met]

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        words = " ".join(map(str, value)) if isinstance(value, list) else str(value)
        return f"--{name.replace('_', '-')} {words}"
