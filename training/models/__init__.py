"""Which models are trained: named sizes and variants of them.

`presets` is imported by whoever makes a model; `plain_encoder` is what a reader would write first,
for `benchmark` to time ours against.
"""
