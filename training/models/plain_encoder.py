"""What a reader would write first, to time ours against: a decoder of nn.TransformerEncoder."""

from torch import Tensor, nn

from perceivers.architecture import Architecture


class PlainEncoder(nn.Module):
    """As many blocks of the same width as a PerceiverS, causal over its latents alone."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        dim = architecture.dim
        layer = nn.TransformerEncoderLayer(
            dim,
            architecture.heads,
            architecture.feedforward,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
            bias=False,
        )
        blocks = len(architecture.scales) + len(architecture.windows)
        self.embedding = nn.Embedding(architecture.vocabulary_size, dim)
        self.encoder = nn.TransformerEncoder(layer, blocks, enable_nested_tensor=False)
        self.head = nn.Linear(dim, architecture.vocabulary_size, bias=False)

    def forward(self, latents: Tensor) -> Tensor:
        """Map tokens (B, N) to logits (B, N, V)."""
        mask = nn.Transformer.generate_square_subsequent_mask(latents.shape[1], latents.device)
        logits: Tensor = self.head(self.encoder(self.embedding(latents), mask, is_causal=True))
        return logits
