"""One quantity in each file: times, memory, bandwidth, agreement, placement.

Each takes an engine, or two, and returns numbers; only `footprint` is also a program, which needs a
fresh process. Imported by the programs of `daemon/bench/`.
"""
