"""What a model learns from its own answers: to prefer the pianist's to them.

`tuning` is what the program `training/prefer.py` imports; `pairs` reads what both played after the
same primers, `loss` says what is learned from it.
"""
