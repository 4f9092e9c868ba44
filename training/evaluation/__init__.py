"""What a model is worth, measured: likelihood, and what it plays against what people play.

Rooms: `likelihood/`, `continuations/`, `metrics/`, `two_sample/`, and `report/`, which imports all
others. The programs are `training/evaluate.py` and `training/compare.py`.
"""
