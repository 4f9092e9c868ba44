"""The architecture of a PerceiverS model as plain data, readable without torch."""

from dataclasses import asdict, dataclass
from typing import Any

from perceivers.errors import ModelMismatch
from perceivers.vocabulary import VOCABULARY_SIZE

COMBINATIONS = ("cascade", "sum", "concat", "mlp")
# Fields that older files lack; they mean the defaults.
_ADDED_LATER = {"combine", "carried", "knows_keys"}


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
    """Window of each cross-attention, in tokens; None is the whole context. Without any, the
    model is a plain decoder over the latents."""
    windows: tuple[int | None, ...] = (64, 128, 128, 128, 256, 256)
    """Window of each self-attention layer, in latents, itself included; None is all latents."""
    rope_base: float = 50_000.0
    vocabulary_size: int = VOCABULARY_SIZE
    combine: str = "cascade"
    """How several scales work together, one of COMBINATIONS: each queries what the one before it
    made of the latents (cascade), or all query the latents, and what they found is added up, or
    joined by one matrix (concat) or by two with a GELU between them (mlp)."""
    carried: int = 0
    """Latents before the N of a training crop that are computed without gradient: they only
    serve the self-attentions as keys and values."""
    knows_keys: bool = False
    """Whether each latent is told which keys are down, for how long and how loud, and the pedal
    (`perceivers/keys_down.py`), instead of having to find it in what it looks back on."""

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
        if any(scale is not None and not 1 <= scale <= self.context for scale in self.scales):
            problems.append(f"scales {list(self.scales)} must lie in 1..context ({self.context})")
        if any(window is not None and window < 1 for window in self.windows):
            problems.append(f"windows {list(self.windows)} must be 1 or more")
        if self.combine not in COMBINATIONS:
            problems.append(f"combine {self.combine!r} is none of {', '.join(COMBINATIONS)}")
        elif not self.scales and self.combine != "cascade":
            problems.append(f"combine {self.combine!r} needs scales, and there are none")
        room = max(0, self.context - self.latents)
        if not 0 <= self.carried <= room:
            problems.append(f"carried {self.carried} must lie in 0..context - latents ({room})")
        return problems

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.dim // self.heads

    @property
    def cross_windows(self) -> tuple[int, ...]:
        """Window of each cross-attention in tokens, the whole context spelled out."""
        return tuple(self.context if scale is None else scale for scale in self.scales)

    @property
    def self_windows(self) -> tuple[int, ...]:
        """Window of each self-attention in latents, the whole crop spelled out."""
        whole = self.latents + self.carried
        return tuple(whole if window is None else window for window in self.windows)

    @property
    def reach(self) -> int:
        """Latents before a latent that its final state depends on."""
        return sum(window - 1 for window in self.self_windows)

    @property
    def streams_exactly(self) -> bool:
        """Whether the last latent of a training crop has all that it reaches inside the crop.

        Then a stream of one token at a time, however long, is the trained function.
        """
        return self.reach <= self.latents + self.carried - 1

    def check_streams_exactly(self) -> None:
        """Raise ModelMismatch for what only a full forward pass computes."""
        if not self.streams_exactly:
            raise ModelMismatch(
                f"this architecture cannot stream: its windows {list(self.windows)} reach "
                f"{self.reach} latents back, and a training crop has {self.latents} + "
                f"{self.carried} carried; it can only be evaluated on whole crops"
            )

    def check_playable(self) -> None:
        """Raise ModelMismatch for a variant that is neither exported nor played."""
        self.check_streams_exactly()
        if self.combine != "cascade":
            raise ModelMismatch(
                f"combine {self.combine!r} cannot be exported or played, only 'cascade' can; "
                "train a model with combine 'cascade'"
            )
        if not self.scales:
            raise ModelMismatch(
                "a model without scales (plain decoder) cannot be exported or played; "
                "train a model with at least one scale"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self) | {"scales": list(self.scales), "windows": list(self.windows)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Architecture":
        """Build from JSON values. Raises ModelMismatch for missing or unknown fields."""
        known = set(cls.__dataclass_fields__)
        unknown, missing = set(fields) - known, known - _ADDED_LATER - set(fields)
        if unknown or missing:
            raise ModelMismatch(
                f"architecture: unknown fields {sorted(unknown)}, missing {sorted(missing)}"
            )
        lists = {"scales": tuple(fields["scales"]), "windows": tuple(fields["windows"])}
        return cls(**(fields | lists))
