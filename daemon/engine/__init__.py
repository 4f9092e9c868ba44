"""The engine: tokens in, logits out, by ONNX Runtime, with the whole context in caches.

Import `Engine`, `Mark`, `RewindError` and `Snapshot` from here; `primed_engine` reads an opening
once; `replay` is a program that scores. `caches/` is the engine's own.
"""

from daemon.engine.engine import Engine, Mark, RewindError, Snapshot

__all__ = ["Engine", "Mark", "RewindError", "Snapshot"]
