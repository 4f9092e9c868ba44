"""One training run: its options, its loop, its state on disk.

`trainer` is the loop and is what programs import, with `command_line` and `options`; `state` says
where a run stands; `precision` is for whatever else trains a model; the others are the trainer's
own: one for each thing that a run needs.
"""
