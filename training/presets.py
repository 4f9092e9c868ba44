"""Named sizes of the model."""

from perceivers.architecture import Architecture

PRESETS: dict[str, Architecture] = {
    "tiny": Architecture(
        dim=64,
        heads=2,
        feedforward=128,
        context=512,
        latents=128,
        scales=(None, 64),
        windows=(16, 32),
    ),
    "small": Architecture(),
    "base": Architecture(
        dim=512,
        heads=8,
        feedforward=2048,
        windows=(32, 32, 64, 64, 128, 128, 256, 256),
    ),
}
