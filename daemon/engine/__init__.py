"""The engine: tokens in, logits out, by ONNX Runtime, with the whole context in caches."""

from daemon.engine.engine import Engine, Mark, RewindError, Snapshot

__all__ = ["Engine", "Mark", "RewindError", "Snapshot"]
