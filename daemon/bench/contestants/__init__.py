"""Who is timed: this engine, the same model in torch, and other people's models.

`this_engine` and each `*_model` is a process of its own that speaks `protocol` by lines; `process`
is its other end. Programs of `daemon/bench/` import `protocol` and `process`, nobody the others.
"""
