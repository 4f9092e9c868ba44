"""The architecture of a PerceiverS model as plain data, readable without torch."""

from dataclasses import asdict, dataclass
from typing import Any

from perceivers.errors import ModelMismatch
from perceivers.vocabulary import VOCABULARY_SIZE


@dataclass(frozen=True, slots=True)
class Architecture:
    """Everything about a model that its weights depend on.

    Raises ModelMismatch when the numbers do not fit together.
    """

    dim: int = 256
    heads: int = 4
    feedforward: int = 1024
    context: int = 32_768
    """M: tokens that a latent can look back on, itself included."""
    latents: int = 1024
    """N: positions per training crop that carry a state and a loss."""
    scales: tuple[int | None, ...] = (None, 1024)
    """Window of each cross-attention, in tokens; None is the whole context."""
    windows: tuple[int, ...] = (64, 128, 128, 128, 256, 256)
    """Window of each self-attention layer, in latents, itself included."""
    rope_base: float = 50_000.0
    vocabulary_size: int = VOCABULARY_SIZE

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ModelMismatch("architecture: " + "; ".join(problems))

    def _problems(self) -> list[str]:
        problems = []
        if self.dim % self.heads or (self.dim // self.heads) % 2:
            problems.append(f"dim {self.dim} is not heads {self.heads} times an even number")
        if not 1 <= self.latents <= self.context:
            problems.append(f"latents {self.latents} must lie in 1..context ({self.context})")
        if not self.scales:
            problems.append("scales is empty; at least one cross-attention is needed")
        if any(scale is not None and not 1 <= scale <= self.context for scale in self.scales):
            problems.append(f"scales {list(self.scales)} must lie in 1..context ({self.context})")
        reach = sum(window - 1 for window in self.windows)
        if any(window < 1 for window in self.windows) or reach > self.latents - 1:
            problems.append(
                f"windows {list(self.windows)}: the sum of (w - 1) is {reach}, more than "
                f"latents - 1 = {self.latents - 1}: streaming would leave the trained function"
            )
        return problems

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.dim // self.heads

    @property
    def cross_windows(self) -> tuple[int, ...]:
        """Window of each cross-attention in tokens, the whole context spelled out."""
        return tuple(self.context if scale is None else scale for scale in self.scales)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self) | {"scales": list(self.scales), "windows": list(self.windows)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Architecture":
        """Build from JSON values. Raises ModelMismatch for missing or unknown fields."""
        known = set(cls.__dataclass_fields__)
        if set(fields) != known:
            unknown, missing = sorted(set(fields) - known), sorted(known - set(fields))
            raise ModelMismatch(f"architecture: unknown fields {unknown}, missing {missing}")
        lists = {"scales": tuple(fields["scales"]), "windows": tuple(fields["windows"])}
        return cls(**(fields | lists))
