"""Export: from a checkpoint to a model folder that the daemon plays.

`export_onnx` makes a folder and `verify` compares one with its checkpoint; both are programs. The
graph is put together by `graph`; `folding`, `nodes` and `*_attention` are its parts.
"""
