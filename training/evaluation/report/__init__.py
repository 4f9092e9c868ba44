"""All figures of a model as JSON, and a page that opens from disk.

`making` runs the parts and is what `training/evaluate.py` imports, with `request`; `page` writes
the page from `sections`, `comparisons` and `charts`.
"""
