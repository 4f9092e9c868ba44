"""Which tokens of a piece are scored together, and which of these blocks are scored at all."""

from dataclasses import dataclass


def block_ends(length: int, latents: int) -> list[int]:
    """Return where the latents of each block end; the last latent of a piece predicts its end.

    The first block may score all of its latents, every further one its last half.
    """
    last = length - 1
    if last <= latents:
        return [last]
    return [*range(latents, last, latents // 2), last]


@dataclass(frozen=True, slots=True)
class BlockSampling:
    """Which blocks of a piece are scored: every k-th, beginning somewhere else in each piece."""

    every: int = 1
    offset: int = 0

    @classmethod
    def of(cls, piece: int, every: int) -> "BlockSampling":
        """Return the sampling of the piece with this number."""
        return cls(every, piece % every)

    def takes(self, block: int) -> bool:
        """Tell whether a block is scored."""
        return (block + self.offset) % self.every == 0
